//! `walscope/ps/1`: every wal-index mapped on this host, and databases that are locked without one.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::finding::{FindingDocument, documents};
use super::shm::Lock;
use super::text::{self, BOLD, RED, YELLOW, count, entry, many, styled, words};
use super::{line, table};
use crate::evidence::{
    DatabaseContent, Device, InSight, InodeId, Leads, LockSlot, LockState, LockedDatabase, LockingProcess, Mapped,
    MappedIndex, MappingProcess,
};
use crate::finding::{Finding, surroundings};
use crate::look::MappedHead;
use crate::number::FrameNumber;
use crate::say::held_up::{duration, resume, tracer_lets_go_on};
use crate::shell_word::walscope;

/// The schema's name and version.
pub const SCHEMA: &str = "walscope/ps/1";

/// The document.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
pub struct PsDocument {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// How much could be seen.
    pub sight: Sight,
    /// The wal-indexes, ordered by the identity that the kernel prints for mappings.
    pub wal_indexes: Vec<WalIndex>,
    /// Databases that processes have locked without a wal-index of this list: in exclusive locking mode, and during a
    /// transaction in rollback mode.
    pub databases: Vec<Locked>,
    /// Findings, the gravest first.
    pub findings: Vec<FindingDocument>,
}

/// How much could be seen.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Sight {
    /// Number of processes whose mappings could be read.
    pub processes_read: u32,
    /// Number of processes whose mappings could not be read.
    pub processes_denied: u32,
    /// Whether every process of the machine is visible, because this is its first PID namespace. It does not say that
    /// the mappings of every process could be read: `processes_denied` counts those that could not. Null: not known.
    pub every_process: Option<bool>,
    /// What cannot be seen from here, in words. Null: nothing is known to be hidden.
    pub unseen: Option<String>,
    /// Number of mappings that seemed cut off from their path and were gone at a later look, as happens while a
    /// database is closed. They are left out.
    pub passing: u32,
}

/// One wal-index.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct WalIndex {
    /// Device and inode as the kernel prints them for mappings.
    pub identity: InodeId,
    /// `st_dev` on btrfs, null on other file systems. On btrfs the device in `identity` is the same for all subvolumes,
    /// whose files can have equal inode numbers.
    pub subvolume: Option<Device>,
    /// The paths of the database, as the processes that map the wal-index see them: each different path of the `-shm`,
    /// without `-shm`.
    pub databases: Vec<String>,
    /// What these paths lead to now.
    pub state: State,
    /// Other wal-indexes that are mapped under the same path in the same mount namespace, or for the same database under another
    /// name.
    pub split_with: Vec<InodeId>,
    /// Bytes of the file. Null: it could not be opened.
    pub size: Option<u64>,
    /// `mxFrame`. Null: the header could not be read or trusted.
    pub mx_frame: Option<u32>,
    /// `nBackfill`. Null: the header could not be read or trusted.
    pub backfilled: Option<u32>,
    /// The lock bytes by name.
    pub locks: Vec<Lock>,
    /// Read marks by slot; null for an unused mark. Empty if the head could not be read.
    pub read_marks: Vec<Option<u32>>,
    /// The processes that map it.
    pub processes: Vec<Process>,
    /// Number of processes that are not listed because there are too many.
    pub processes_not_listed: u64,
    /// A SOURCE for other commands, such as `walscope inspect`, under which the database can be looked at from here, as
    /// one of the processes sees it. Null: its path cannot be written in one line.
    pub look: Option<String>,
    /// Why a value is null or unknown, under the name of that value.
    pub reasons: BTreeMap<String, String>,
}

/// A database that processes have locked without a wal-index that is listed.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "LockedDatabase")]
pub struct Locked {
    /// Device and inode as the kernel prints them in the lock table.
    pub identity: InodeId,
    /// The paths of the database, as the processes that have it locked see them.
    pub databases: Vec<String>,
    /// `wal` or `rollback`. Null: the file is empty, or its header was not read.
    pub journal_mode: Option<&'static str>,
    /// Whether the header was read. If not, the file is only locked as SQLite locks databases.
    pub header_read: bool,
    /// The locks of the database itself: `database` (its SHARED range), `reserved` and `pending`.
    pub locks: Vec<Lock>,
    /// The processes that have it locked.
    pub processes: Vec<LockingDocument>,
    /// A SOURCE for other commands, as in `wal_indexes`.
    pub look: Option<String>,
}

/// A process that has a database locked.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "LockingProcess")]
pub struct LockingDocument {
    /// Process id in the PID namespace of the observer.
    pub pid: u32,
    /// Name of its command.
    pub command: Option<String>,
    /// Name of its container if the runtime gives it, otherwise the short id.
    pub container: Option<String>,
    /// Path of the database as the process sees it.
    pub path: String,
    /// Whether no path leads to the file any more.
    pub deleted: bool,
}

/// What the paths of a mapped wal-index lead to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The path leads to the mapped file.
    Current,
    /// The path leads to nothing: the file was deleted.
    Deleted,
    /// The path leads to another file.
    Replaced,
    /// The path could not be looked at.
    Unknown,
}

/// A process that maps a wal-index.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Process {
    /// Process id in the PID namespace of the observer.
    pub pid: u32,
    /// Name of its command.
    pub command: Option<String>,
    /// Name of its container if the runtime gives it, otherwise the short id.
    pub container: Option<String>,
    /// Its mount namespace.
    pub mount_namespace: Option<String>,
    /// Path of the `-shm` as the process sees it.
    pub path: String,
    /// What this path leads to now.
    pub path_leads_to: Leads,
}

impl PsDocument {
    /// Makes the document from the mappings that were found. `closer`: what a closer look at single databases found.
    #[must_use]
    pub fn new(mapped: &Mapped, closer: Vec<Finding>) -> Self {
        let splits = surroundings::splits(mapped);
        let by_database = surroundings::splits_by_database(mapped);
        let split_with = |index: &MappedIndex| {
            let all = splits.values().chain(by_database.values());
            let mine = all.filter(|split| split.iter().any(|one| std::ptr::eq(*one, index)));
            let others = mine.flatten().filter(|other| !std::ptr::eq(**other, index));
            others.map(|other| other.identity).collect::<BTreeSet<InodeId>>().into_iter().collect()
        };
        let mut findings = surroundings::of_mapped(mapped);
        findings.extend(closer);
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Self {
            schema: SCHEMA,
            sight: Sight::new(mapped),
            databases: mapped.databases.iter().map(Locked::new).collect(),
            wal_indexes: mapped.indexes.iter().map(|index| WalIndex::new(index, split_with(index))).collect(),
            findings: documents(&findings),
        }
    }

    /// The page, at most `width` columns wide.
    #[must_use]
    pub fn draw(&self, width: usize) -> String {
        let mut out = String::new();
        // What was not seen comes first: the lists below may lack it.
        if let Some(unseen) = &self.sight.unseen {
            out.push_str(&entry("Not seen", &line(unseen), width));
            out.push('\n');
        }
        for database in &self.databases {
            out.push_str(&database.draw(width));
            out.push('\n');
        }
        for index in &self.wal_indexes {
            out.push_str(&index.draw(width));
            out.push('\n');
        }
        if !self.findings.is_empty() {
            out.push_str(&text::findings(&self.findings, width));
            out.push('\n');
        }
        let seen = format!(
            "{} in the maps of {}.",
            match self.wal_indexes.len() {
                0 => "No mapped wal-index was seen".to_owned(),
                1 => "1 mapped wal-index was seen".to_owned(),
                n => format!("{} mapped wal-indexes were seen", count(n as u64)),
            },
            match self.sight.processes_read {
                1 => "1 process".to_owned(),
                n => format!("{} processes", count(n)),
            }
        );
        let locked = match self.databases.len() {
            0 => String::new(),
            1 => " 1 database is locked without one.".to_owned(),
            n => format!(" {} databases are locked without one.", count(n as u64)),
        };
        out.push_str(&text::wrap(&format!("{seen}{locked}"), width, "", ""));
        out
    }
}

impl Sight {
    fn new(mapped: &Mapped) -> Self {
        let mut unseen = Vec::new();
        if mapped.in_sight == InSight::OfThisNamespace {
            unseen.push(
                "processes outside of this PID namespace, which other containers' are; look from the host".to_owned(),
            );
        }
        if mapped.processes_denied > 0 {
            let why = mapped.denied_reason.as_deref().unwrap_or("no permission");
            unseen.push(format!(
                "what {} may have mapped or locked ({why}); root sees what processes of other users have",
                match mapped.processes_denied {
                    1 => "1 process".to_owned(),
                    n => format!("{} processes", count(n)),
                }
            ));
        }
        if mapped.databases_unseen > 0 {
            unseen.push(format!(
                "which {} locked in the way of SQLite by processes whose descriptors could not be read",
                match mapped.databases_unseen {
                    1 => "1 file is".to_owned(),
                    n => format!("{} files are", count(n)),
                }
            ));
        }
        if mapped.files_not_looked_at > 0 {
            unseen.push(format!("whether {} are wal-indexes", many(mapped.files_not_looked_at, "more mapped file")));
        }
        if mapped.mappings_not_looked_at > 0 {
            unseen.push(format!("what {} are of", many(mapped.mappings_not_looked_at, "more mapping")));
        }
        Self {
            processes_read: mapped.processes_read,
            processes_denied: mapped.processes_denied,
            every_process: mapped.in_sight.every(),
            unseen: (!unseen.is_empty()).then(|| unseen.join("; ")),
            passing: mapped.passing,
        }
    }
}

impl Locked {
    fn new(found: &LockedDatabase) -> Self {
        let databases: BTreeSet<String> = found.processes.iter().map(|process| process.path.clone()).collect();
        let first = found.processes.first();
        Self {
            identity: found.identity,
            databases: databases.into_iter().collect(),
            journal_mode: match found.content {
                DatabaseContent::WalMode => Some("wal"),
                DatabaseContent::RollbackMode => Some("rollback"),
                DatabaseContent::Empty | DatabaseContent::NotRead => None,
            },
            header_read: found.content != DatabaseContent::NotRead,
            locks: found.locks.iter().map(|(slot, lock)| Lock::new((*slot, lock))).collect(),
            processes: found.processes.iter().map(LockingDocument::from).collect(),
            look: first
                .and_then(|first| source(first.pid, first.container.as_ref(), first.path == first.place, &first.path)),
        }
    }

    fn draw(&self, width: usize) -> String {
        let databases: Vec<String> = self.databases.iter().map(|database| line(database)).collect();
        let mut out = entry("Database", &styled(BOLD, &databases.join(", ")), width);
        let exclusive =
            self.locks.iter().any(|lock| lock.name == LockSlot::Database && lock.lock == LockState::Exclusive);
        let how = match (self.journal_mode, exclusive) {
            (Some("wal"), true) => {
                "the whole database is locked exclusively: in exclusive locking mode the wal-index is in the memory of that process, or it closes the database now"
            }
            (Some("wal"), false) => {
                "locked without a wal-index of this list: it is being opened or closed, or has another one"
            }
            (Some(_), true) => {
                "rollback mode, the whole database is locked exclusively: nobody else can read or write it"
            }
            (Some(_), false) => "rollback mode, in a transaction",
            (None, _) if self.header_read => "empty, a new database",
            (None, _) => "locked in the way of SQLite; its header was not read",
        };
        out.push_str(&entry("Locked", how, width));
        let holds = |pid: u32| {
            let held = self.locks.iter().filter(|lock| lock.holders.iter().any(|holder| holder.pid == Some(pid)));
            held.map(|lock| format!("{} {}", words(&lock.name), words(&lock.lock))).collect::<Vec<_>>().join(", ")
        };
        let rows = self.processes.iter().map(|process| {
            let gone = if process.deleted { " (gone)" } else { "" };
            vec![
                process.pid.to_string(),
                command(process.command.as_deref(), process.pid, &self.locks),
                started(process.pid, &self.locks),
                process.container.clone().unwrap_or_default(),
                holds(process.pid),
                format!("{}{gone}", process.path),
            ]
        });
        let rows: Vec<Vec<String>> = rows.collect();
        out.push_str(&table::draw(&["pid", "command", "started", "container", "holds", "path"], &rows, width));
        out.push_str(&look_line(self.look.as_deref()));
        out.push_str(&resume_lines(&self.locks, width));
        out
    }
}

impl From<&LockingProcess> for LockingDocument {
    fn from(process: &LockingProcess) -> Self {
        Self {
            pid: process.pid,
            command: process.command.clone(),
            container: process.container.clone(),
            path: process.path.clone(),
            deleted: process.deleted,
        }
    }
}

/// The command of a process, and whether it is kept from running: what it holds stays until it goes on or ends.
fn command(name: Option<&str>, pid: u32, locks: &[Lock]) -> String {
    let holders = locks.iter().flat_map(|lock| &lock.holders).filter(|holder| holder.pid == Some(pid));
    let kept = holders.filter_map(|holder| holder.process_state?.kept_from_running()).next();
    [name, kept].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// How long ago a process was started. Empty: not known.
fn started(pid: u32, locks: &[Lock]) -> String {
    let holders = locks.iter().flat_map(|lock| &lock.holders).filter(|holder| holder.pid == Some(pid));
    let age = holders.filter_map(|holder| holder.started_at?.age()).next();
    age.map(|age| format!("{} ago", duration(age))).unwrap_or_default()
}

/// What lets stopped processes go on: a command, or who traces them.
fn resume_lines(locks: &[Lock], width: usize) -> String {
    let how = |holder| resume(holder).or_else(|| tracer_lets_go_on(holder));
    let commands: BTreeSet<String> = locks.iter().flat_map(|lock| &lock.holders).filter_map(how).collect();
    commands.iter().map(|command| text::wrap(&format!("resume: {}", line(command)), width, "", "  ")).collect()
}

fn look_line(source: Option<&str>) -> String {
    let Some(source) = source else { return String::new() };
    format!("look: {}\n", walscope("inspect", source, ""))
}

impl WalIndex {
    fn new(index: &MappedIndex, split_with: Vec<InodeId>) -> Self {
        let mut reasons = BTreeMap::new();
        let seen = MappedHead::of(index);
        if let Err(why) = &seen.header {
            reasons.insert("mx_frame".to_owned(), why.to_string());
        }
        if let Some(reason) = &index.locks.write.reason {
            reasons.insert("locks".to_owned(), reason.clone());
        }
        let trusted = seen.header.as_ref().ok();
        let checkpoint = seen.head.as_ref().map(|head| &head.checkpoint);
        let databases: BTreeSet<String> = index.processes.iter().map(|process| database(&process.path)).collect();
        Self {
            identity: index.identity,
            subvolume: index.subvolume,
            databases: databases.into_iter().collect(),
            state: State::of(&index.processes),
            split_with,
            size: index.size,
            mx_frame: trusted.map(|header| header.mx_frame.saturating_u32()),
            backfilled: trusted.and(checkpoint).map(|checkpoint| checkpoint.backfilled.saturating_u32()),
            locks: index.locks.iter().map(Lock::new).collect(),
            read_marks: seen.read_marks.iter().map(|mark| mark.mark.map(FrameNumber::saturating_u32)).collect(),
            processes: index.processes.iter().map(Process::from).collect(),
            processes_not_listed: index.processes_not_listed,
            look: look(&index.processes),
            reasons,
        }
    }

    fn draw(&self, width: usize) -> String {
        let state = match self.state {
            State::Current => String::new(),
            State::Deleted => format!(", {}", styled(RED, "deleted: the path leads to no file any more")),
            State::Replaced => format!(", {}", styled(RED, "replaced: the path leads to another file")),
            State::Unknown => ", whether the path still leads to it is not known".to_owned(),
        };
        let split: Vec<String> = self.split_with.iter().map(ToString::to_string).collect();
        let split = match split.is_empty() {
            true => String::new(),
            false => format!(", {} {}", styled(RED, "split with"), split.join(", ")),
        };
        let frames = match (self.mx_frame, self.backfilled) {
            (Some(mx_frame), Some(backfilled)) => {
                format!("{}, {} of them in the database", many(mx_frame, "frame"), count(backfilled))
            }
            _ => self.reasons.get("mx_frame").map_or_else(|| "not read".to_owned(), |reason| line(reason)),
        };
        let databases: Vec<String> = self.databases.iter().map(|database| line(database)).collect();
        let mut out = entry("Database", &styled(BOLD, &databases.join(", ")), width);
        let subvolume = self.subvolume.map(|device| format!(" on subvolume {device}")).unwrap_or_default();
        out.push_str(&entry("wal-index", &format!("{}{subvolume}{state}{split}: {frames}", self.identity), width));
        out.push_str(&entry("Locks", &self.locks_in_words(), width));
        let rows: Vec<Vec<String>> = self.processes.iter().map(|process| self.row(process)).collect();
        out.push_str(&table::draw(&["pid", "command", "started", "container", "holds", "path"], &rows, width));
        if self.processes_not_listed > 0 {
            out.push_str(&text::wrap(&format!("and {} more", count(self.processes_not_listed)), width, "", ""));
        }
        out.push_str(&look_line(self.look.as_deref()));
        out.push_str(&resume_lines(&self.locks, width));
        out
    }

    fn locks_in_words(&self) -> String {
        if self.locks.iter().all(|lock| lock.lock == LockState::Unknown) {
            let reason = self.reasons.get("locks").map_or_else(|| "not seen".to_owned(), |reason| line(reason));
            return styled(YELLOW, &format!("unknown: {reason}"));
        }
        let held = self.locks.iter().filter(|lock| matches!(lock.lock, LockState::Shared | LockState::Exclusive));
        let held: Vec<String> = held
            .map(|lock| {
                let mark = lock.name.read_mark().and_then(|mark| *self.read_marks.get(usize::from(mark))?);
                let mark = mark.map(|mark| format!(" at frame {}", count(mark))).unwrap_or_default();
                format!("{} {}{mark}", words(&lock.name), words(&lock.lock))
            })
            .collect();
        if held.is_empty() { "none held".to_owned() } else { held.join(", ") }
    }

    fn row(&self, process: &Process) -> Vec<String> {
        let holds = self.locks.iter().filter(|lock| lock.holders.iter().any(|holder| holder.pid == Some(process.pid)));
        // Every process that has it open holds the dead-man switch.
        let holds = holds.map(|lock| lock.name).filter(|slot| *slot != LockSlot::DeadManSwitch).map(LockSlot::name);
        let path = match process.path_leads_to {
            Leads::Here => process.path.clone(),
            Leads::Elsewhere => format!("{} (leads elsewhere)", process.path),
            Leads::Nowhere => format!("{} (gone)", process.path),
            Leads::Unknown => format!("{} (not looked at)", process.path),
        };
        vec![
            process.pid.to_string(),
            command(process.command.as_deref(), process.pid, &self.locks),
            started(process.pid, &self.locks),
            process.container.clone().unwrap_or_default(),
            holds.collect::<Vec<_>>().join(", "),
            path,
        ]
    }
}

impl State {
    /// The state from the paths of all processes. One path that leads to the file makes it current.
    fn of(processes: &[MappingProcess]) -> Self {
        let any = |leads| processes.iter().any(|process| process.path_leads_to == leads);
        if any(Leads::Here) {
            Self::Current
        } else if any(Leads::Elsewhere) {
            Self::Replaced
        } else if any(Leads::Nowhere) {
            Self::Deleted
        } else {
            Self::Unknown
        }
    }
}

impl From<&MappingProcess> for Process {
    fn from(process: &MappingProcess) -> Self {
        Self {
            pid: process.pid,
            command: process.command.clone(),
            container: process.container.clone(),
            mount_namespace: process.mount_namespace.value().cloned(),
            path: process.path.clone(),
            path_leads_to: process.path_leads_to,
        }
    }
}

/// A SOURCE for the database. It goes through a process whose path leads to the file it maps, if there is one. It uses
/// the container's name when that is known and the process has the root of its mount namespace; else `pid:N:`, which
/// works as long as the process lives.
fn look(processes: &[MappingProcess]) -> Option<String> {
    let process = processes.iter().find(|process| process.path_leads_to == Leads::Here).or(processes.first())?;
    source(process.pid, process.container.as_ref(), process.place == process.path, &database(&process.path))
}

fn source(pid: u32, container: Option<&String>, own_root: bool, path: &str) -> Option<String> {
    // A short id stands in place of a name that is not known.
    let is_id = |name: &&String| name.len() >= 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let name = container.filter(|name| !is_id(name) && own_root);
    let source = match name {
        Some(name) => format!("{name}:{path}"),
        None => format!("pid:{pid}:{path}"),
    };
    (line(&source) == source).then_some(source)
}

fn database(shm: &str) -> String {
    shm.strip_suffix("-shm").unwrap_or(shm).to_owned()
}
