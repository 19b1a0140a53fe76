//! Why a capture cannot be shown to be of one moment. The manifest keeps the sentence, so it is made here.

use rustix::io::Errno;
use thiserror::Error;

use crate::evidence::{Part, UnstableCause};
use crate::number::FrameNumber;

/// Why an attempt cannot be shown to be of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unstable {
    /// The reason.
    pub(super) why: Why,
    /// Whether another attempt would fail for the same reason.
    pub(super) lasting: bool,
}

impl Unstable {
    /// Another attempt may succeed.
    pub(super) fn passing(why: Why) -> Self {
        Self { why, lasting: false }
    }

    /// Another attempt would fail, too.
    pub(super) fn lasting(why: Why) -> Self {
        Self { why, lasting: true }
    }
}

/// What stands in the way, as it is written into the manifest: without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Why {
    /// A file is there, and could not be opened.
    #[error("the {0} could not be opened: {1}")]
    NotOpened(Part, String),
    /// A path leads to another file than the one that was opened.
    #[error("one of the files was created, removed or replaced during the capture")]
    Replaced,
    /// A member of the bundle had to be padded.
    #[error("a file became shorter while it was copied")]
    Padded,
    /// Bytes of the database before and after.
    #[error("the database became shorter during the capture: from {0} to {1} bytes")]
    DatabaseShorter(u64, u64),
    /// A `-journal` waits to be rolled back.
    #[error("a -journal waits beside the database: a rollback-mode transaction is under way, or was cut off")]
    HotJournal,
    /// Whether it is committed stands in a file that is not one of the database.
    #[error(
        "the transaction under way writes to several databases, and the -journal names its super-journal, which is not copied"
    )]
    SuperJournal,
    /// Another process came to have the database open, so that its `-journal` was not looked for.
    #[error("another process opened the database meanwhile")]
    OpenedMeanwhile,
    /// A transaction that writes to the database and has no `-journal` on a disk.
    #[error(
        "a process holds the database exclusively and there is no -journal: with journal_mode=memory or off the database has \
         half a transaction"
    )]
    ExclusiveWithoutJournal,
    /// Bytes of the `-wal` at each look.
    #[error("the -wal became shorter during the capture: {0:?} bytes")]
    WalShorter([u64; 3]),
    /// Another generation of the WAL.
    #[error("the -wal was restarted during the capture")]
    WalRestarted,
    /// A generation at one end of the capture only, or not in between.
    #[error("a generation of the -wal began or ended during the capture")]
    GenerationCameOrWent,
    /// Fewer frames than the wal-index counts.
    #[error("the -wal has fewer frames than the -shm counts: needed {} bytes, found {found}", needed.unwrap_or(0))]
    FramesMissing {
        /// Bytes that the frames need; `None` without a page size.
        needed: Option<u64>,
        /// Bytes of the file.
        found: u64,
    },
    /// Only a database without its WAL is disturbed by it.
    #[error("a checkpoint went on during the capture, and the pages of the -wal are not in the bundle")]
    CheckpointWentOn,
    /// `nBackfillAttempted` is ahead of `nBackfill`.
    #[error(
        "a checkpoint was begun and not ended before the capture, or the wal-index was recovered since the last one, \
         and the pages of the -wal are not in the bundle"
    )]
    CheckpointHalfWay,
    /// There is a WAL and no wal-index that shows how much of it is copied.
    #[error(
        "nothing tells whether the database holds all pages of the -wal or some, and those of the -wal are not in the \
         bundle"
    )]
    CheckpointUnseen,
    /// Its size or a time changed.
    #[error("the {0} changed during the capture")]
    Changed(Part),
    /// A watch saw a write.
    #[error("the {0} was written to during the capture")]
    Written(Part),
    /// No watch could see writes.
    #[error(transparent)]
    Unwatched(#[from] Unwatched),
    /// The `-wal` was removed, replaced or cut off while it was in use.
    #[error(
        "the -shm counts {frames} frames that the -wal does not have: it was removed, replaced or cut off while it was \
         in use"
    )]
    WalCutOff {
        /// How many.
        frames: FrameNumber,
    },
    /// The wal-index counts frames of a WAL that was not captured.
    #[error("the -shm counts {frames} frames of another -wal than the one that is there, and {}", opener(open_unseen.as_deref()))]
    OtherWal {
        /// How many.
        frames: FrameNumber,
        /// Why it could not be seen whether anybody has the `-shm` open; `None`: somebody has.
        open_unseen: Option<String>,
    },
}

impl Why {
    /// The cause as a verdict needs it.
    pub(super) fn cause(&self) -> UnstableCause {
        match self {
            Self::WalCutOff { .. } => UnstableCause::WalCutOff,
            _ => UnstableCause::Other,
        }
    }
}

/// Why writes to a file cannot be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Unwatched {
    /// What the kernel said.
    #[error("writes could not be watched: inotify: {0}")]
    Refused(Errno),
    /// A file system with this name in sentences.
    #[error("writes could not be watched: {0} does not report those of other mounts")]
    FileSystem(&'static str),
}

fn opener(unseen: Option<&str>) -> String {
    match unseen {
        None => "somebody has it open".to_owned(),
        Some(reason) => format!("whether anybody has it open could not be seen: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Manifests keep these words, and people search for them.
    #[test]
    fn every_reason_has_its_words() {
        let told = [
            (Why::NotOpened(Part::Shm, "EACCES".to_owned()), "the -shm could not be opened: EACCES"),
            (
                Why::DatabaseShorter(2048, 1024),
                "the database became shorter during the capture: from 2048 to 1024 bytes",
            ),
            (Why::WalShorter([3, 2, 1]), "the -wal became shorter during the capture: [3, 2, 1] bytes"),
            (
                Why::FramesMissing { needed: None, found: 33 },
                "the -wal has fewer frames than the -shm counts: needed 0 bytes, found 33",
            ),
            (
                Why::WalCutOff { frames: FrameNumber(7) },
                "the -shm counts 7 frames that the -wal does not have: it was removed, replaced or cut off while it was in \
                 use",
            ),
            (Why::Changed(Part::Wal), "the -wal changed during the capture"),
            (Why::Written(Part::Database), "the database was written to during the capture"),
            (
                Unwatched::Refused(Errno::MFILE).into(),
                "writes could not be watched: inotify: Too many open files (os error 24)",
            ),
            (
                Unwatched::FileSystem("NFS").into(),
                "writes could not be watched: NFS does not report those of other mounts",
            ),
            (
                Why::OtherWal { frames: FrameNumber(7), open_unseen: None },
                "the -shm counts 7 frames of another -wal than the one that is there, and somebody has it open",
            ),
            (
                Why::OtherWal { frames: FrameNumber(7), open_unseen: Some("no -shm".to_owned()) },
                "the -shm counts 7 frames of another -wal than the one that is there, and whether anybody has it open \
                 could not be seen: no -shm",
            ),
        ];
        for (why, words) in told {
            assert_eq!(why.to_string(), words);
        }
    }
}
