//! Whether SQLite can open the database here, in documents.

use schemars::JsonSchema;
use serde::Serialize;

use crate::finding::obstacle::Obstacle;
use crate::finding::openable::{Answer, Openable};
use crate::say;

/// Whether SQLite can open the database through this path now, for the user who asks.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "Open")]
pub struct OpenDocument {
    /// Whether it can read.
    pub read: AnswerDocument,
    /// Whether it can write.
    pub write: AnswerDocument,
    /// The effective user who asks: that of walscope, of process N (`pid:N:/path`), or of the container's first process. Null: not seen.
    pub as_uid: Option<u32>,
    /// Its effective group.
    pub as_gid: Option<u32>,
    /// The process whose user this is. Null: walscope itself.
    pub as_pid: Option<u32>,
    /// What is, or may be, in the way: first of reading, then of writing.
    pub reasons: Vec<ReasonDocument>,
    /// The same in one sentence. Null: there is nothing in the way, or findings say it.
    pub explanation: Option<String>,
}

/// Yes, no, or not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Answer")]
pub enum AnswerDocument {
    /// It can.
    Yes,
    /// It cannot.
    No,
    /// It is not known.
    Unknown,
}

impl From<Answer> for AnswerDocument {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Yes => Self::Yes,
            Answer::No => Self::No,
            Answer::Unknown => Self::Unknown,
        }
    }
}

/// One thing that is, or may be, in the way.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "OpenReason")]
pub struct ReasonDocument {
    /// `read` or `write`. Who cannot read cannot write either.
    pub about: &'static str,
    /// Whether it certainly is in the way. Otherwise it is not known.
    pub certain: bool,
    /// `way`, `file`, `make`, `hot_journal`, `shared_mapping`, `room`, `locked`, `recovery`, `format`, `finding` or `open_already`.
    pub what: &'static str,
    /// The file that it is about (`database`, `-wal`, `-shm`, `-journal`, `folder`), or the code of a finding.
    pub subject: Option<&'static str>,
    /// `read_only_mount`, `rights`, `attribute`, `sticky_folder`; or why it is not known: `access_list`, `user_namespace`,
    /// `other_kernel`, `not_seen`.
    pub why: Option<&'static str>,
    /// The error that SQLite fails with. Null: not known.
    pub sqlite: Option<&'static str>,
    /// The same in words.
    pub text: String,
}

impl From<&Obstacle> for ReasonDocument {
    fn from(one: &Obstacle) -> Self {
        Self {
            about: one.aim.name(),
            certain: one.certain,
            what: one.what.name(),
            subject: one.what.subject(),
            why: one.cause.map(|cause| cause.name()),
            sqlite: one.error,
            text: say::opening::obstacle(one),
        }
    }
}

impl From<&Openable> for OpenDocument {
    fn from(openable: &Openable) -> Self {
        Self {
            read: openable.read.into(),
            write: openable.write.into(),
            as_uid: openable.uid,
            as_gid: openable.gid,
            as_pid: openable.process,
            reasons: openable.obstacles.iter().map(ReasonDocument::from).collect(),
            explanation: say::opening::line(openable),
        }
    }
}
