//! From evidence to a verdict about two sides.

use super::identity::{self, Identity, Part};
use super::{
    About, Answer, Because, Kind, Pair, Says, Side, Subject, beacon, directory, history, mappings, pages, temporal,
};
use crate::evidence::{ClockSample, Observation};

/// The verdict about one pair, and what it was drawn from.
pub(super) struct Judged<'a> {
    /// The pair.
    pub pair: Pair<'a>,
    /// Positions of the two among the sides.
    pub at: (usize, usize),
    /// What the identity of the `-shm` came to.
    pub shm: Identity,
    /// The sides have two databases or two `-wal` files behind one `-shm`: the file and how it is known.
    pub apart: Option<(Part, String)>,
    /// Why it is not known whether database and `-wal` are one.
    pub doubt: Option<String>,
    /// Both sides are one: nothing was compared.
    pub same: Option<Same>,
    /// The `-shm` pages.
    pub memory: Answer,
    /// The locks.
    pub locks: Answer,
    /// Both.
    pub sharing: Answer,
    /// What the verdict is about.
    pub subject: Subject,
    /// The kinds that decided.
    pub decided_by: Vec<Kind>,
    /// All evidence.
    pub because: Vec<Because>,
    /// What page frames say was seen between running processes.
    pub pages_of_processes: bool,
}

/// Judges two sides.
pub(super) fn judge(pair: Pair<'_>, at: (usize, usize)) -> Judged<'_> {
    let beside = beside(&pair);
    let same = same(&pair);
    let pages = pages::judge(&pair);
    let of_processes = pages.of_processes;
    let mut because = evidence(&pair, &beside.shm, pages.because);
    if let Some(same) = same {
        // That its own processes do not use what the path leads to, one place says as well as two.
        because.retain(|item| same == Same::Place && item.says == Says::Refutes);
        because.push(nothing_said(same));
    }
    let memory = answer(&because, About::Memory);
    let locks = answer(&because, About::Locks);
    // One folder and one name: whatever the next opener finds there, it is the same on both sides.
    let by_folder = because.iter().any(|item| item.kind == Kind::DirectoryIdentity && item.says == Says::Proves);
    let sharing = match Answer::of_both(memory, locks) {
        Answer::Proven if !by_folder && beside.is_open() => Answer::Undecided,
        sharing => sharing,
    };
    let Beside { shm, apart, doubt } = beside;
    Judged {
        subject: subject(&pair, &because, sharing, of_processes),
        decided_by: decided_by(&because, sharing, memory, locks),
        pair,
        at,
        shm,
        apart,
        doubt,
        same,
        memory,
        locks,
        sharing,
        because,
        pages_of_processes: of_processes,
    }
}

/// All evidence, that of physical pages first.
fn evidence(pair: &Pair<'_>, shm: &Identity, pages: Vec<Because>) -> Vec<Because> {
    let mut because = pages;
    because.extend(identity::because(shm));
    because.push(directory::because(pair, shm));
    because.push(mappings::because(pair, shm));
    because.extend(beacon::because(&pair.a.label, &pair.b.label, pair.live));
    because.extend(pair.live.and_then(beacon::coherence));
    because.push(temporal::because(pair));
    because.push(history::content(pair));
    because.push(history::equal_bytes(pair));
    because
}

/// What names a capture: when it began and ended, to the nanosecond, and who made it.
fn capture(side: &Side) -> impl PartialEq + use<> {
    let of = |clock: ClockSample| (clock.boottime, clock.realtime);
    (of(side.evidence.begun), of(side.evidence.ended), side.evidence.host.pid)
}

/// How two sides can be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Same {
    /// One capture, given twice.
    Capture,
    /// One path, looked at from one process twice, live.
    Place,
}

impl Same {
    /// In words.
    pub(super) fn described(self) -> &'static str {
        match self {
            Self::Capture => "one and the same capture: it says nothing about two sides",
            Self::Place => "one and the same path seen from one place: nothing was compared",
        }
    }
}

fn same(pair: &Pair<'_>) -> Option<Same> {
    let place = |side: &Side| (side.evidence.host.pid, side.evidence.files.database_path.clone());
    if capture(pair.a) == capture(pair.b) {
        return Some(Same::Capture);
    }
    // Captures of other times, or of other PID namespaces, can have been made by other processes under one pid.
    let live = pair.simultaneous || pair.live.is_some();
    let [a, b] = [pair.a, pair.b].map(|side| side.evidence.host.namespaces.mount.value());
    let apart = a.zip(b).is_some_and(|(a, b)| a != b);
    (live && !apart && place(pair.a) == place(pair.b)).then_some(Same::Place)
}

/// All there is to say about what is compared with itself.
fn nothing_said(same: Same) -> Because {
    let reason = format!("these are {}", same.described());
    Because::silent(Kind::KernelIdentity, About::Both, reason, "everything is equal to itself")
}

/// What one `-shm` is worth beside the database and the `-wal`.
pub(super) struct Beside {
    /// Its identity: a proof only where those are not two.
    pub shm: Identity,
    /// They are two: the file and how it is known.
    pub apart: Option<(Part, String)>,
    /// Why it is not known whether they are.
    pub doubt: Option<String>,
}

impl Beside {
    /// Whether database or `-wal` are two, or may be: one wal-index is then no sharing that anybody wants.
    pub(super) fn is_open(&self) -> bool {
        self.apart.is_some() || self.doubt.is_some()
    }
}

/// What was not seen of database and `-wal` might have spoken against one wal-index, and takes a proof away as well.
pub(super) fn beside(pair: &Pair<'_>) -> Beside {
    let shm = identity::judge(pair, identity::SHM);
    let is_one = matches!(shm, Identity::One(_));
    let (mut apart, mut doubt) = (None, None);
    for part in [identity::DATABASE, identity::WAL] {
        let missing = |side: &Side| matches!((part.of)(&side.evidence.files), Observation::Missing { .. });
        match identity::judge(pair, part) {
            Identity::Two(detail) | Identity::LocksApart(detail) => apart = apart.or(Some((part, detail))),
            Identity::Unknown(_) if missing(pair.a) && missing(pair.b) => {}
            Identity::Unknown(reason) => doubt = doubt.or(Some(reason)),
            // Equal as far as it was seen. What was refused might have told them apart.
            Identity::Alike(_) => doubt = doubt.or_else(|| identity::refused(pair, part)),
            // folklore: a -wal comes before its -shm and goes after it (sqlite3WalOpen, sqlite3WalClose), and both beside
            // a database that stays. So under a -shm that stayed a part that is younger was removed, or another was put in
            // its place, and whoever mapped the -shm before goes on with the old one. Where the -shm was made anew, too, the
            // folder has the word. Held by
            // `a_database_or_wal_that_was_replaced_under_its_wal_index_leaves_it_open`.
            Identity::MadeAnew(reason) => doubt = doubt.or(Some(reason)),
            Identity::One(_) => {}
        }
    }
    let but = apart.as_ref().map(|(_, detail)| detail).or(doubt.as_ref());
    let shm = match (shm, but) {
        (Identity::One(one), Some(but)) => Identity::Alike(format!("{one}, but {but}")),
        (shm, _) => shm,
    };
    // Where the -shm is not known to be one by its identity, the two are a doubt about whatever else proves it.
    let doubt = doubt.or_else(|| apart.as_ref().filter(|_| !is_one).map(|(_, detail)| detail.clone()));
    Beside { apart: apart.filter(|_| is_one), shm, doubt }
}

/// One aspect: a refuting fact wins, then a proof.
pub(super) fn answer(because: &[Because], aspect: About) -> Answer {
    let any = |says| because.iter().any(|item| item.says == says && touches(item, aspect));
    if any(Says::Refutes) {
        Answer::Refuted
    } else if any(Says::Proves) {
        Answer::Proven
    } else {
        Answer::Undecided
    }
}

fn touches(item: &Because, aspect: About) -> bool {
    item.about == About::Both || item.about == aspect
}

/// `pages_of_processes`: what page frames say was seen between running processes of both sides.
fn subject(pair: &Pair<'_>, because: &[Because], sharing: Answer, pages_of_processes: bool) -> Subject {
    let says = |kind, says| because.iter().any(|item| item.kind == kind && item.says == says);
    let mappings = match sharing {
        // Process mappings support only where each side was seen to map the one inode that kernel identity proves.
        Answer::Proven => {
            says(Kind::ProcessMappings, Says::Supports) && says(Kind::KernelIdentity, Says::Proves)
                || pages_of_processes && says(Kind::PhysicalPages, Says::Proves) && mappings::seen_at_work(pair)
        }
        Answer::Refuted => {
            let of_mappings = |item: &Because| match item.kind {
                Kind::ProcessMappings => true,
                Kind::PhysicalPages => pages_of_processes,
                _ => false,
            };
            let refuting = || because.iter().filter(|item| item.says == Says::Refutes);
            says(Kind::ProcessMappings, Says::Refutes) || refuting().all(of_mappings)
        }
        Answer::Undecided => false,
    };
    if mappings { Subject::Mappings } else { Subject::Paths }
}

pub(super) fn decided_by(because: &[Because], sharing: Answer, memory: Answer, locks: Answer) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for item in because {
        let decides = match (sharing, item.says) {
            (Answer::Refuted, Says::Refutes) => true,
            (Answer::Proven | Answer::Undecided, Says::Proves) => {
                (memory == Answer::Proven && touches(item, About::Memory))
                    || (locks == Answer::Proven && touches(item, About::Locks))
            }
            _ => false,
        };
        if decides && !kinds.contains(&item.kind) {
            kinds.push(item.kind);
        }
    }
    kinds
}
