//! Why something was not seen or not compared, in words.

use std::fmt;

use crate::look::{NotCompared, Why};

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::OneFileAlone => f.write_str("not looked at: one file alone was given"),
            Self::LocksOfOneFileAlone => f.write_str("one file alone was given; locks were not looked at"),
            Self::LeftOut => f.write_str("left out of this bundle"),
            Self::TooShort(error) => error.fmt(f),
            Self::NotTrusted => f.write_str("the header copies differ, or their checksum is wrong"),
            Self::Recorded(reason) => f.write_str(reason),
        }
    }
}

impl fmt::Display for NotCompared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAsked => "not looked at",
            Self::Replaced => "the files were replaced while they were read",
            Self::Changed => "the files changed while they were read",
            Self::WalNotSeen => "the -wal was not looked at",
            Self::PagesLeftOut => "the pages of the WAL were left out of the bundle",
            Self::NoFrames => "the frames are not there to be compared",
            Self::FramesOutside => "not all frames follow one another",
            Self::NoDatabase => "there is no database to compare with",
            Self::NoIndexOfThisWal => "no wal-index that a reader would trust lists frames of this WAL",
            Self::NoIndex => "there is no wal-index that a reader would trust",
            Self::JournalWaits => "a -journal waits to be rolled back",
            Self::DatabaseLeftOut => "only page 1 of the database was looked at",
            Self::NoHeader => "page 1 has no header of SQLite's",
            Self::WalHeaderUnusable => "the WAL's header cannot be used",
            Self::PageSizesDiffer => "the WAL has another page size than the database",
            Self::SizeNotStated => "nothing states how many pages the database has",
            Self::NoPageOne => "no page 1 in the WAL",
            Self::NoFramesOfGenerationBefore => "no commit of the generation before is left in the WAL",
            Self::AllWrittenAgain => "each page of the generation before was written again",
            Self::OtherGeneration => "the wal-index speaks of another generation of the WAL",
            Self::NothingClaimed => "nothing is claimed to be copied",
            Self::FramesMissing => "the wal-index claims frames that the WAL does not have",
            Self::LeftOver => "nobody was seen to have the -shm open, and it does not belong to this WAL to the frame",
        })
    }
}
