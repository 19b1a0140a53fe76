//! What must not stand on one page: a sentence about the checkpoint, and findings beside it that say otherwise.

use walscope::finding::Code;
use walscope::say::checkpoint::Sentence;

/// These say that the frames get into the database: a checkpoint copies them, or the next to open it reads them.
pub const PROMISES_FRAMES: &[Sentence] = &[
    Sentence::Blocked,
    Sentence::BlockedByDatabaseReader,
    Sentence::Interrupted,
    Sentence::RestInterrupted,
    Sentence::RestNextReadsThem,
    Sentence::RestSomeWait,
    Sentence::RestAsFarAsSeen,
    Sentence::WaitCannotRestart,
    Sentence::WaitCheckpointCopies,
    Sentence::WaitReadersUnseen,
];

/// A promise about frames is wrong or harmful where one of these is found: the frames are of another database, nobody
/// reads them, or a checkpoint would destroy what is left.
const NO_PROMISE: &[Code] = &[
    Code::BackfillNotInDatabase,
    Code::DatabaseWal2,
    Code::FilesReplaced,
    Code::PageSizeDiffers,
    Code::SplitBrain,
    Code::WalHeaderUnusable,
    Code::WalOfOtherDatabase,
    Code::WalTruncated,
    Code::WalVersionUnsupported,
    Code::WalWithoutDatabase,
];

/// These say that all is in the database, or that nothing waits.
pub const ALL_IS_WELL: &[Sentence] = &[
    Sentence::CopiedCannotRestart,
    Sentence::CopiedNothingToDo,
    Sentence::CopiedReadersUnseen,
    Sentence::CopiedWriterAtWork,
    Sentence::NothingWaits,
    Sentence::RestCopied,
    Sentence::Restarted,
];

/// All is not well where one of these is found.
const NOT_WELL: &[Code] = &[
    Code::BackfillNotInDatabase,
    Code::DatabaseTooShort,
    Code::DatabaseWal2,
    Code::FilesReplaced,
    Code::PageSizeDiffers,
    Code::SplitBrain,
    Code::WalHeaderUnusable,
    Code::WalOfOtherDatabase,
    Code::WalTruncated,
    Code::WalVersionUnsupported,
    Code::WalWithoutDatabase,
];

/// Whether a sentence promises what a finding beside it denies.
pub fn contradict(sentence: Sentence, code: Code) -> bool {
    PROMISES_FRAMES.contains(&sentence) && NO_PROMISE.contains(&code)
        || ALL_IS_WELL.contains(&sentence) && NOT_WELL.contains(&code)
}
