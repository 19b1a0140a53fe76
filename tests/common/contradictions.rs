//! What must not stand on one page: a sentence about the checkpoint, and findings beside it that say otherwise.

use walscope::finding::{Code, Finding, Found, Severity};
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

/// Beside one of these findings no sentence may promise anything about frames, nor say that all is well: the frames belong
/// to another database, nobody reads them, or a checkpoint would destroy what is left.
pub const NO_PROMISE: &[Code] = &[
    Code::BackfillNotInDatabase,
    Code::DatabaseBytesMangled,
    Code::DatabaseHeaderUnusable,
    Code::DatabaseOpaque,
    Code::DatabaseOverwritten,
    Code::DatabasePagesZero,
    Code::DatabaseRenamed,
    Code::DatabaseTooShort,
    Code::DatabaseWal2,
    Code::FileSystemFull,
    Code::FilesReplaced,
    Code::LogApart,
    Code::PageSizeDiffers,
    Code::SharedMappingsRefused,
    Code::ShmBackfillBeyondMxFrame,
    Code::ShmBeyondWal,
    Code::ShmFramesUnreachable,
    Code::ShmHeaderContradictsWal,
    Code::ShmOfOtherWal,
    Code::ShmPagesWrong,
    Code::ShmSlotsDuplicate,
    Code::ShmSlotsOutOfOrder,
    Code::ShmTruncated,
    Code::SidecarsUnderOtherName,
    Code::SplitBrain,
    Code::StaleFramesNotInDatabase,
    Code::UsedWithoutWalIndex,
    Code::WalBesideRollbackDatabase,
    Code::WalBytesMangled,
    Code::WalHeaderUnusable,
    Code::WalIndexSharedDatabaseNot,
    Code::WalIndexSharedWalNot,
    Code::WalOfOtherDatabase,
    Code::WalTruncated,
    Code::WalVersionUnsupported,
    Code::WalWithoutDatabase,
    Code::WorkerOnReplacedFiles,
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

/// Beside one of these findings no sentence may say that all is well. A promise about frames is right, unless the journal shows
/// signs that it is of another database.
pub const NOT_WELL: &[Code] = &[Code::HotJournal];

/// Beside one of these findings every sentence may stand.
pub const NO_CONTRADICTION: &[Code] = &[
    Code::AccessTimeMoved,
    Code::BundleReadableByOthers,
    Code::BundleUnstable,
    Code::CannotOpenHere,
    Code::CapturesDiverged,
    Code::DatabaseEmptied,
    Code::DatabaseFileMount,
    Code::DatabaseHardLinked,
    Code::DatabaseHeldExclusively,
    Code::DatabaseSharedWalIndexNot,
    Code::DatabaseSymlinked,
    Code::DifferentDatabases,
    Code::FileSystemNeedsCare,
    Code::MappingWithoutLocks,
    Code::PagesNeverUsed,
    Code::SeveralSqliteLibraries,
    Code::ShmDeleted,
    Code::ShmHeaderChecksumWrong,
    Code::ShmHeaderCopiesDiffer,
    Code::ShmVersionUnsupported,
    Code::SidecarsElsewhere,
    Code::SidecarsStricter,
    Code::TreesDamaged,
    Code::TwoMountsOfOneFileSystem,
    Code::UsedThroughFuse,
    Code::UserCannotWrite,
    Code::WalAheadOfShm,
    Code::WalCommitsBehindBreak,
    Code::WalLargeLittleLive,
    Code::WrittenInWalResetRange,
];

/// Those of [`NO_PROMISE`] that are a notice where nobody has the `-shm` open: the next to open the database makes it anew
/// from the WAL, and a promise is right. For [`Code::ShmOfOtherWal`] that is so where it is only a notice and there is no `-wal`.
pub const ONLY_IN_USE: &[Code] = &[
    Code::ShmBackfillBeyondMxFrame,
    Code::ShmBeyondWal,
    Code::ShmFramesUnreachable,
    Code::ShmHeaderContradictsWal,
    Code::ShmOfOtherWal,
    Code::ShmPagesWrong,
    Code::ShmSlotsDuplicate,
    Code::ShmSlotsOutOfOrder,
    Code::ShmTruncated,
];

/// Whether SQLite opens the database although its header is damaged: it does not look at that field, or page 1 is in the WAL.
fn opens_all_the_same(found: &Found) -> bool {
    match found {
        Found::DatabaseHeaderUnusable { refused, page_one_in_wal, .. } => !refused || *page_one_in_wal != Some(false),
        // Without zeros it is encrypted.
        Found::DatabaseOpaque { zeros, page_one_in_wal } => !zeros || *page_one_in_wal != Some(false),
        _ => false,
    }
}

/// Whether a sentence promises what a finding beside it denies.
pub fn contradict(sentence: Sentence, finding: &Finding) -> bool {
    let (code, severity) = (finding.code(), finding.severity);
    // A notice of these is a database that is encrypted, or being made.
    let header = [Code::DatabaseHeaderUnusable, Code::DatabaseOpaque].contains(&code);
    if header && (severity < Severity::Warning || opens_all_the_same(&finding.found)) {
        return false;
    }
    // An error where commits stand in a deleted -wal alone.
    if [Code::LogApart, Code::UsedWithoutWalIndex].contains(&code) && severity < Severity::Error {
        return false;
    }
    let foreign = matches!(finding.found, Found::ShmOfOtherWal { wal_salts: Some(_), .. });
    if ONLY_IN_USE.contains(&code) && severity < Severity::Warning && !foreign {
        return false;
    }
    let journal_of_other = matches!(&finding.found, Found::HotJournal { signs, .. } if !signs.is_empty());
    if journal_of_other && PROMISES_FRAMES.contains(&sentence) {
        return true;
    }
    PROMISES_FRAMES.contains(&sentence) && NO_PROMISE.contains(&code)
        || ALL_IS_WELL.contains(&sentence) && (NO_PROMISE.contains(&code) || NOT_WELL.contains(&code))
}
