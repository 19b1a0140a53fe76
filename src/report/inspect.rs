//! `walscope/inspect/1`: one database on one page.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::checkpoint::CheckpointDocument;
use super::database::Database;
use super::finding::{FindingDocument, documents};
use super::opening::OpenDocument;
use super::over_time::OverTimeDocument;
use super::shm::{Lock, Shm};
use super::wal::Wal;
use crate::evidence::{ByteLock, Holder, LockSlot, LockState, Role, User};
use crate::finding::openable::openable;
use crate::finding::{findings, users};
use crate::look::held_up::{NotRunning, not_running};
use crate::look::over_time::OverTime;
use crate::look::{self, Inspection, Origin, OriginKind, Reasons};
use crate::say;

/// The schema's name and version.
pub const SCHEMA: &str = "walscope/inspect/1";

/// Where the facts come from.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Source {
    /// The name that the user gave for it.
    pub label: String,
    /// Whether it is files or a bundle.
    pub kind: SourceKind,
    /// The database's path with symbolic links resolved. For a bundle it is the path that the capturing process saw.
    pub path: String,
    /// Whether a bundle is of one moment. Null for live files, which are read one after the other.
    pub stable: Option<bool>,
}

/// What kind of source the bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// Files on this machine.
    Files,
    /// A bundle.
    Bundle,
}

/// Sizes of the files in bytes. Null: the file is absent or was not looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Sizes {
    /// Bytes of the database.
    pub database: Option<u64>,
    /// Bytes of the `-wal`.
    pub wal: Option<u64>,
    /// Bytes of the `-shm`.
    pub shm: Option<u64>,
}

/// A process that uses the database.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct UserDocument {
    /// Process id in the PID namespace of the observer.
    pub pid: u32,
    /// Name of its command. Null: not seen.
    pub command: Option<String>,
    /// Its container: the name, or else the id. Null: none was seen.
    pub container: Option<String>,
    /// How it uses the database, as its locks, its mappings and its descriptors show it.
    pub role: Role,
    /// The same in words.
    pub does: &'static str,
}

impl UserDocument {
    fn new(user: &User, rollback_mode: bool) -> Self {
        let container =
            user.container.as_ref().map(|container| container.name.as_ref().unwrap_or(&container.id).clone());
        let role = users::role(user, rollback_mode);
        let does = say::users::does(role, rollback_mode);
        Self { pid: user.pid, command: user.command.clone(), container, role, does }
    }
}

/// A process that is stopped or frozen and holds others up.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "NotRunning")]
pub struct NotRunningDocument {
    /// The process.
    pub holder: Holder,
    /// The locks by which it holds others up.
    #[schemars(with = "Vec<String>")]
    pub locks: Vec<LockSlot>,
    /// The command that lets it go on. Null: none is known.
    pub resume: Option<String>,
    /// The same in words.
    pub explanation: String,
}

impl From<NotRunning> for NotRunningDocument {
    fn from(one: NotRunning) -> Self {
        let explanation =
            format!("{} {}.", say::checkpoint::names([&one.holder].into_iter()), say::held_up::keeps_others(&one));
        Self {
            resume: say::held_up::resume(&one.holder),
            explanation,
            locks: one.locks.iter().map(|(lock, _)| *lock).collect(),
            holder: one.holder,
        }
    }
}

/// The document.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
pub struct InspectDocument {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Where the facts come from.
    pub source: Source,
    /// File sizes in bytes.
    pub sizes: Sizes,
    /// The header of the database.
    pub database: Option<Database>,
    /// The `-wal`. Null: it was not looked at. If it does not exist, `end.reason` is `no_file`.
    pub wal: Option<Wal>,
    /// The `-shm`.
    pub shm: Option<Shm>,
    /// The locks of the database itself: `database` is its SHARED range, which a connection holds shared while it reads, in
    /// WAL mode as long as it is open, and exclusively in exclusive locking mode; `reserved` and `pending` belong to the
    /// writer in rollback mode. Null: nobody looked.
    pub database_locks: Option<Vec<Lock>>,
    /// What is known of the checkpoint.
    pub checkpoint: Option<CheckpointDocument>,
    /// Processes that are stopped or frozen and hold a lock that others need. Empty also where that was not seen.
    pub not_running: Vec<NotRunningDocument>,
    /// What several looks found, with `--for` and `--fail-if-blocked`. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_time: Option<OverTimeDocument>,
    /// Whether SQLite can open the database through this path now. Null: nobody asks that of this source.
    pub open: Option<OpenDocument>,
    /// The processes that have the database open, mapped or locked, as far as they are visible. Null: nobody looked.
    pub users: Option<Vec<UserDocument>>,
    /// Findings, the gravest first.
    pub findings: Vec<FindingDocument>,
    /// Why a value is null or unknown, under the name of that value.
    pub reasons: BTreeMap<String, String>,
}

impl InspectDocument {
    /// Makes the document of one look.
    #[must_use]
    pub fn new(inspection: &Inspection) -> Self {
        let findings = findings(inspection);
        let diagnosed = inspection.checkpoint.as_ref().zip(inspection.wal.as_ref());
        let mut reasons = reasons(inspection);
        if diagnosed.is_none() {
            let why = reasons.get("wal").cloned().unwrap_or_else(|| "there is no -wal to judge by".to_owned());
            reasons.insert("checkpoint".to_owned(), why);
        }
        let locks = inspection.locks.as_ref().map(|locks| &locks.shm);
        let database_locks =
            inspection.locks.as_ref().filter(|locks| locks.of_database().any(|(_, lock)| is_known(lock)));
        let evidence = inspection.surroundings.as_ref();
        let rollback = evidence.is_some_and(|seen| users::in_rollback_mode(seen, inspection.database.as_ref()));
        let users = evidence.map(|evidence| &evidence.users);
        if users.is_none_or(|users| users.value().is_none()) {
            let why = users.and_then(|users| users.reason()).unwrap_or("processes are not looked at for this source");
            reasons.insert("users".to_owned(), why.to_owned());
        }
        let open = openable(inspection, &findings);
        if let Err(why) = open {
            reasons.insert("open".to_owned(), say::opening::not_asked(why).to_owned());
        }
        Self {
            schema: SCHEMA,
            source: Source::from(&inspection.origin),
            sizes: Sizes::from(inspection.sizes),
            database: inspection.database.as_ref().map(Database::from),
            wal: inspection.wal.as_ref().map(Wal::from),
            shm: inspection.shm.as_ref().map(|head| Shm::new(head, inspection.sizes.shm.unwrap_or(0), locks)),
            checkpoint: diagnosed.map(|(checkpoint, wal)| {
                let mut document = CheckpointDocument::new(checkpoint, wal, &findings);
                if inspection.without_wal() {
                    document.explanation = format!("{} {}", document.explanation, say::check::WITHOUT_WAL);
                }
                document
            }),
            database_locks: database_locks.map(|locks| locks.of_database().map(Lock::new).collect()),
            not_running: stopped(inspection),
            over_time: None,
            users: users.and_then(|users| {
                Some(users.value()?.users.iter().map(|user| UserDocument::new(user, rollback)).collect())
            }),
            open: open.ok().as_ref().map(OpenDocument::from),
            findings: documents(&findings),
            reasons,
        }
    }
}

impl InspectDocument {
    /// Adds what several looks found. The sentence about the checkpoint is then that of the last look.
    #[must_use]
    pub fn with_over_time(mut self, over: Option<&OverTime>) -> Self {
        self.over_time = over.map(OverTimeDocument::from);
        if let Some(checkpoint) = self.checkpoint.as_mut().filter(|_| over.is_some()) {
            checkpoint.explanation = say::checkpoint::of_last_look(&checkpoint.explanation);
        }
        self
    }
}

fn stopped(inspection: &Inspection) -> Vec<NotRunningDocument> {
    let in_the_way =
        inspection.checkpoint.as_ref().map(|checkpoint| checkpoint.blocked_by.as_slice()).unwrap_or_default();
    not_running(inspection, in_the_way).into_iter().map(NotRunningDocument::from).collect()
}

fn is_known(lock: &ByteLock) -> bool {
    lock.state != LockState::Unknown
}

/// Why something is null or unknown, by its name in the documents.
#[must_use]
pub(super) fn reasons(inspection: &Inspection) -> BTreeMap<String, String> {
    let Reasons { database, wal, shm, locks } = &inspection.reasons;
    let named = [("database", database), ("wal", wal), ("shm", shm), ("shm.locks", locks)];
    named.into_iter().filter_map(|(name, why)| Some((name.to_owned(), why.as_ref()?.to_string()))).collect()
}

impl From<&Origin> for Source {
    fn from(origin: &Origin) -> Self {
        Self {
            label: origin.label.clone(),
            kind: match origin.kind {
                OriginKind::Files | OriginKind::Memory => SourceKind::Files,
                OriginKind::Bundle => SourceKind::Bundle,
            },
            path: origin.path.clone(),
            stable: origin.stable(),
        }
    }
}

impl From<look::Sizes> for Sizes {
    fn from(sizes: look::Sizes) -> Self {
        let look::Sizes { database, wal, shm } = sizes;
        Self { database, wal, shm }
    }
}
