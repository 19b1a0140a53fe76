//! The facts of findings as data, and how each stands in the `evidence` of a document.

use std::collections::BTreeSet;

use crate::evidence::{Device, InodeId, Leads, MappingProcess, User};
use crate::format::db::HeaderFault;
use crate::format::flip::Flipped;
use crate::look::WrongPage;
use crate::number::{Checksum, FrameNumber, FrameOfPage, PageNumber, Salts};
use crate::sides::{Identity, NotRefuted, Part, Parting, Process, SideIndex};
use crate::tree::TreeFault;
use crate::wal::EndReason;
use crate::wal::mangled::{Change, Undoing};

/// A fact as a document shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// There is no value.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
    /// Why a chain of frames ends.
    EndReason(EndReason),
    /// Several.
    List(Vec<Value>),
    /// Several with names.
    Fields(Vec<(&'static str, Value)>),
    /// What comparing two sides found. A document shows its sentence, with the names of the sides.
    Compared(Sides, Compared),
}

/// What comparing two sides found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compared {
    /// Whether a file is one inode.
    Identity(Box<Identity>),
    /// Content that does not fit together.
    Parting(Parting),
    /// Why it refutes nothing.
    NotRefuted(NotRefuted),
}

/// Facts by their names.
pub type Evidence = Vec<(&'static str, Value)>;

/// A fact that a finding rests on.
pub trait Fact {
    /// Adds it to the evidence under this name, or under names of its own.
    fn show(&self, name: &'static str, evidence: &mut Evidence);
}

impl<T: Clone> Fact for T
where
    Value: From<T>,
{
    fn show(&self, name: &'static str, evidence: &mut Evidence) {
        evidence.push((name, Value::from(self.clone())));
    }
}

/// What the wal-index and the WAL say about one value. It is evidence only if they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Both<T> {
    /// According to the wal-index.
    pub shm: T,
    /// According to the WAL.
    pub wal: T,
}

impl<T: PartialEq> Both<T> {
    /// Whether they differ.
    pub fn differ(&self) -> bool {
        self.shm != self.wal
    }
}

impl<T: PartialEq + Clone> Fact for Both<T>
where
    Value: From<T>,
{
    fn show(&self, name: &'static str, evidence: &mut Evidence) {
        if self.differ() {
            let both = [("shm", self.shm.clone().into()), ("wal", self.wal.clone().into())];
            evidence.push((name, Value::Fields(both.into())));
        }
    }
}

/// A file, and who may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnedFile {
    /// `database`, `-wal` or `-shm`.
    pub name: &'static str,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A sign that a WAL and a database do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OtherSign {
    /// Page 1 in the WAL has no header, and the database has one.
    NoHeader,
    /// The latest page 1 in the WAL has a lower change counter than the database.
    CounterBehind,
    /// The first page 1 in the WAL has a change counter that is more than one above that of the database.
    CounterAhead,
    /// The change counter is between those of the first and the latest page 1 in the WAL, or that of one, and page 1 of the
    /// database is none of them.
    CounterOfNone,
    /// The latest page 1 in the WAL has a lower schema cookie than the database.
    CookieBehind,
    /// The schema cookies are equal, and the schemas are not.
    SchemaDiffers,
    /// The WAL has no page 1, and its last commit counts on fewer pages than the header of the database states.
    FewerPages,
    /// The WAL has no page 1, and its last commit counts on more pages than the header of the database states and its file has.
    MorePages,
}

impl OtherSign {
    /// The name in documents, in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoHeader => "no_header",
            Self::CounterBehind => "change_counter_behind",
            Self::CounterAhead => "change_counter_ahead",
            Self::CounterOfNone => "change_counter_of_none",
            Self::CookieBehind => "schema_cookie_behind",
            Self::SchemaDiffers => "schema_differs",
            Self::FewerPages => "fewer_pages",
            Self::MorePages => "more_pages",
        }
    }
}

/// Two of the sides that were compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sides {
    /// Their positions among all.
    pub at: [SideIndex; 2],
    /// What they are called.
    pub labels: [String; 2],
}

impl Sides {
    fn compared(&self, identity: &Identity) -> Value {
        Value::Compared(self.clone(), Compared::Identity(Box::new(identity.clone())))
    }
}

impl From<Sides> for Value {
    fn from(fact: Sides) -> Self {
        fact.labels.into()
    }
}

/// A capture that is not of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsettled {
    /// The capture that is looked at, and why it is not of one moment.
    This {
        /// The reason.
        reason: String,
    },
    /// One of several captures, by its side.
    Side {
        /// Its label.
        side: String,
    },
}

impl Fact for Unsettled {
    fn show(&self, _: &'static str, evidence: &mut Evidence) {
        if let Self::Side { side } = self {
            side.show("side", evidence);
        }
    }
}

/// A mapped `-shm` that its path does not lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GoneIndex {
    /// It was deleted or replaced while a side was captured.
    DuringCapture {
        /// The side's label.
        side: String,
        /// Number of paths that still lead to it.
        links: u64,
        /// Whether the names of all files still led to them.
        paths_unchanged: bool,
    },
    /// Running processes have it mapped.
    Mapped {
        /// What is mapped.
        mapped: InodeId,
        /// The path that it was mapped by.
        path: String,
        /// What that path leads to now.
        leads: Leads,
        /// Who maps it.
        processes: Vec<MappingProcess>,
    },
}

impl Fact for GoneIndex {
    fn show(&self, _: &'static str, evidence: &mut Evidence) {
        match self {
            Self::DuringCapture { side, links, paths_unchanged } => {
                side.show("side", evidence);
                links.show("links", evidence);
                paths_unchanged.show("paths_unchanged", evidence);
            }
            Self::Mapped { mapped, path, .. } => {
                mapped.show("mapped", evidence);
                path.show("path", evidence);
            }
        }
    }
}

/// One wal-index that is used for two files.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Apart {
    /// A process of one side has another file open than the side's path leads to.
    Process {
        /// The side's label.
        side: String,
        /// The database or the `-wal`.
        apart: Part,
        /// The processes, each once, sorted by pid.
        processes: Vec<Process>,
    },
    /// Two sides have two files.
    Pair {
        /// The sides.
        sides: Sides,
        /// The database or the `-wal`.
        apart: Part,
        /// How it is known.
        files: Box<Identity>,
    },
}

impl Apart {
    /// The file that there are two of.
    #[must_use]
    pub const fn part(&self) -> Part {
        match self {
            Self::Process { apart, .. } | Self::Pair { apart, .. } => *apart,
        }
    }
}

impl Fact for Apart {
    fn show(&self, _: &'static str, evidence: &mut Evidence) {
        match self {
            Self::Process { side, apart, processes } => {
                let pids: BTreeSet<u32> = processes.iter().map(|process| process.pid).collect();
                side.show("side", evidence);
                pids.into_iter().collect::<Vec<u32>>().show("pids", evidence);
                apart.show("apart", evidence);
            }
            Self::Pair { sides, apart, files } => {
                sides.show("sides", evidence);
                apart.show("apart", evidence);
                evidence.push(("detail", sides.compared(files)));
            }
        }
    }
}

/// Captures that do not continue each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diverged {
    /// The sides.
    pub sides: Sides,
    /// What does not fit.
    pub parting: Parting,
    /// Why that refutes nothing.
    pub not_refuted: NotRefuted,
}

impl Fact for Diverged {
    fn show(&self, _: &'static str, evidence: &mut Evidence) {
        let Self { sides, parting, not_refuted } = self;
        sides.show("sides", evidence);
        evidence.push(("detail", Value::Compared(sides.clone(), Compared::Parting(*parting))));
        evidence
            .push(("not_refuted_because", Value::Compared(sides.clone(), Compared::NotRefuted(not_refuted.clone()))));
    }
}

/// One database with two wal-indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwoIndexes {
    /// The sides.
    pub sides: Sides,
    /// How it is known that the database is one.
    pub database: Box<Identity>,
    /// How it is known that the wal-indexes are two.
    pub shm: Box<Identity>,
}

impl Fact for TwoIndexes {
    fn show(&self, _: &'static str, evidence: &mut Evidence) {
        let Self { sides, database, shm } = self;
        sides.show("sides", evidence);
        evidence.push(("database", sides.compared(database)));
        evidence.push(("shm", sides.compared(shm)));
    }
}

/// Two database files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwoDatabases {
    /// The sides.
    pub sides: Sides,
    /// How it is known.
    pub database: Box<Identity>,
}

impl Fact for TwoDatabases {
    fn show(&self, _: &'static str, evidence: &mut Evidence) {
        self.sides.show("sides", evidence);
        evidence.push(("database", self.sides.compared(&self.database)));
    }
}

/// Processes whose use of a database does not fit together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsersFound {
    /// Those of one side.
    Side {
        /// The side's label.
        side: String,
        /// The processes.
        users: Vec<User>,
    },
    /// Somebody at the database of one side who is not visible from here.
    Unseen {
        /// The side's label.
        side: String,
    },
    /// Those that map one wal-index.
    Index {
        /// What is mapped.
        mapped: InodeId,
        /// The path that it was mapped by.
        path: String,
        /// The processes.
        processes: Vec<MappingProcess>,
    },
}

impl Fact for UsersFound {
    fn show(&self, _: &'static str, evidence: &mut Evidence) {
        match self {
            Self::Side { side, users } => {
                side.show("side", evidence);
                users.iter().map(|user| user.pid).collect::<Vec<u32>>().show("pids", evidence);
            }
            Self::Unseen { side } => {
                side.show("side", evidence);
                Vec::<u32>::new().show("pids", evidence);
            }
            Self::Index { mapped, path, processes } => {
                mapped.show("mapped", evidence);
                path.show("path", evidence);
                processes.iter().map(|process| process.pid).collect::<Vec<u32>>().show("pids", evidence);
            }
        }
    }
}

impl From<bool> for Value {
    fn from(fact: bool) -> Self {
        Self::Bool(fact)
    }
}

impl From<u8> for Value {
    fn from(fact: u8) -> Self {
        Self::Number(fact.into())
    }
}

impl From<u32> for Value {
    fn from(fact: u32) -> Self {
        Self::Number(fact.into())
    }
}

impl From<u64> for Value {
    fn from(fact: u64) -> Self {
        Self::Number(fact)
    }
}

impl From<FrameNumber> for Value {
    fn from(fact: FrameNumber) -> Self {
        Self::Number(fact.count())
    }
}

impl From<PageNumber> for Value {
    fn from(fact: PageNumber) -> Self {
        Self::Number(fact.into())
    }
}

impl From<Salts> for Value {
    fn from(fact: Salts) -> Self {
        fact.0.into()
    }
}

impl From<Checksum> for Value {
    fn from(fact: Checksum) -> Self {
        fact.0.into()
    }
}

impl From<String> for Value {
    fn from(fact: String) -> Self {
        Self::Text(fact)
    }
}

impl From<&'static str> for Value {
    fn from(fact: &'static str) -> Self {
        Self::Text(fact.to_owned())
    }
}

impl From<Flipped> for Value {
    fn from(Flipped { at, places, .. }: Flipped) -> Self {
        let numbers = [("byte", at.byte as u64), ("bit", at.bit.into()), ("places", places as u64)];
        Self::Fields(numbers.map(|(name, number)| (name, number.into())).into())
    }
}

impl From<HeaderFault> for Value {
    fn from(fact: HeaderFault) -> Self {
        fact.name().into()
    }
}

impl From<OtherSign> for Value {
    fn from(fact: OtherSign) -> Self {
        fact.name().into()
    }
}

impl From<Change> for Value {
    fn from(fact: Change) -> Self {
        fact.name().into()
    }
}

impl From<Undoing> for Value {
    fn from(Undoing { frames, commits }: Undoing) -> Self {
        Self::Fields(vec![("frames", frames.into()), ("commits", commits.into())])
    }
}

impl From<Part> for Value {
    fn from(fact: Part) -> Self {
        fact.name().into()
    }
}

impl From<Device> for Value {
    fn from(fact: Device) -> Self {
        Self::Text(fact.to_string())
    }
}

impl From<InodeId> for Value {
    fn from(fact: InodeId) -> Self {
        Self::Text(fact.to_string())
    }
}

impl From<EndReason> for Value {
    fn from(fact: EndReason) -> Self {
        Self::EndReason(fact)
    }
}

impl From<OwnedFile> for Value {
    fn from(fact: OwnedFile) -> Self {
        fact.name.into()
    }
}

impl From<FrameOfPage> for Value {
    fn from(FrameOfPage { page, frame }: FrameOfPage) -> Self {
        Self::Fields(vec![("page", page.into()), ("frame", frame.into())])
    }
}

impl From<TreeFault> for Value {
    fn from(fact: TreeFault) -> Self {
        let of = fact.of.map_or(Self::Null, Self::Text);
        Self::Fields(vec![("page", fact.page.into()), ("of", of), ("fault", fact.fault.name().into())])
    }
}

impl From<WrongPage> for Value {
    fn from(WrongPage { frame, in_index, in_wal }: WrongPage) -> Self {
        Self::Fields(vec![("frame", frame.into()), ("shm", in_index.into()), ("wal", in_wal.into())])
    }
}

impl<T> From<Option<T>> for Value
where
    Self: From<T>,
{
    fn from(fact: Option<T>) -> Self {
        fact.map_or(Self::Null, Self::from)
    }
}

impl<T> From<Vec<T>> for Value
where
    Self: From<T>,
{
    fn from(facts: Vec<T>) -> Self {
        Self::List(facts.into_iter().map(Self::from).collect())
    }
}

impl<T, const N: usize> From<[T; N]> for Value
where
    Self: From<T>,
{
    fn from(facts: [T; N]) -> Self {
        Self::List(facts.into_iter().map(Self::from).collect())
    }
}
