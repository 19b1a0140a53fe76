//! What a finding means for the sentence about the checkpoint: beside which findings the usual one would be wrong, and what
//! is said instead. One table over all codes: the compiler asks for a row of a new code.

use std::cmp::Reverse;

use super::sentence::{Against, Sentence, usual};
use super::words::{all, many, one_or};
use super::{damage, header, journal, rescue, room};
use crate::evidence::Part;
use crate::finding::frames_gone::FramesGone;
use crate::finding::journal_sign::JournalSign;
use crate::finding::room::shm_not_made;
use crate::finding::value::{Apart, OtherSign};
use crate::finding::{Code, Finding, Found, Severity};
use crate::look::SizeStated;
use crate::look::checkpoint::{Basis, CheckpointFacts, CheckpointState, Doubt};
use crate::wal::WalFacts;

impl Against {
    /// What a finding means for the sentence; `None`: every sentence may stand beside it, or the state has a sentence of
    /// its own for it.
    fn of(finding: &Finding, at_rest: bool) -> Option<Self> {
        use Code as C;
        let (from, against) = match finding.code() {
            C::SidecarsUnderOtherName | C::SplitBrain => (Severity::Warning, Self::OtherFiles),
            C::DatabaseRenamed
            | C::LogApart
            | C::WalIndexSharedDatabaseNot
            | C::WalIndexSharedWalNot
            | C::UsedWithoutWalIndex
            | C::WorkerOnReplacedFiles => (Severity::Error, Self::OtherFiles),
            C::ShmTruncated => (Severity::Error, Self::IndexCutOff),
            C::WalWithoutDatabase => (Severity::Warning, Self::NoDatabase),
            C::DatabaseWal2 => (Severity::Warning, Self::OtherFormat),
            C::PageSizeDiffers | C::WalOfOtherDatabase => (Severity::Warning, Self::OtherDatabase),
            C::DatabaseHeaderUnusable | C::DatabaseOpaque if header::refused(finding) => {
                (Severity::Warning, Self::NoHeader)
            }
            C::DatabaseHeaderUnusable | C::DatabaseOpaque => return None,
            C::DatabaseBytesMangled | C::WalBytesMangled => (Severity::Warning, Self::Mangled),
            C::DatabaseTooShort | C::DatabasePagesZero => (Severity::Warning, Self::PagesNowhere),
            C::BackfillNotInDatabase => (Severity::Warning, Self::NotInDatabase),
            C::DatabaseOverwritten => (Severity::Warning, Self::Overwritten),
            // The next opener reads such a WAL up to the damage, and only who has it open reads on.
            C::ShmBeyondWal if at_rest && damaged_before_its_end(finding) => (Severity::Notice, Self::CommitsBehind),
            C::WalCommitsBehindBreak if at_rest => (Severity::Warning, Self::CommitsBehind),
            C::WalCommitsBehindBreak => return None,
            C::ShmOfOtherWal | C::ShmBeyondWal if at_rest && gone(finding).is_some() => {
                (Severity::Notice, Self::FramesGone)
            }
            // The -shm is left over, and not of this -wal: the -wal may have been put here.
            C::ShmOfOtherWal if at_rest && has_wal(finding) => (Severity::Notice, Self::Foreign),
            C::WalBesideRollbackDatabase => (Severity::Warning, Self::Foreign),
            // A notice if nobody has the -shm open: the next to open the database makes it anew.
            C::ShmBackfillBeyondMxFrame
            | C::ShmBeyondWal
            | C::ShmFramesUnreachable
            | C::ShmHeaderContradictsWal
            | C::ShmPagesWrong
            | C::ShmSlotsDuplicate
            | C::ShmSlotsOutOfOrder => (Severity::Warning, Self::IndexWrong),
            C::WalHeaderUnusable => (Severity::Error, Self::BehindHeader),
            C::StaleFramesNotInDatabase => (Severity::Warning, Self::OlderFrames),
            C::FileSystemFull => (Severity::Warning, Self::NoRoom),
            C::SharedMappingsRefused => (Severity::Warning, Self::NoMapping),
            C::HotJournal if journal_of_process(finding) => (Severity::Error, Self::OtherFiles),
            C::HotJournal => (Severity::Warning, Self::Journal),
            // The state has a sentence of its own.
            C::FilesReplaced
            | C::ShmHeaderChecksumWrong
            | C::ShmHeaderCopiesDiffer
            | C::ShmOfOtherWal
            | C::ShmVersionUnsupported
            | C::WalAheadOfShm
            | C::WalTruncated
            | C::WalVersionUnsupported => return None,
            // It changes nothing about frames and the database.
            C::AccessTimeMoved
            | C::BundleReadableByOthers
            | C::BundleUnstable
            | C::CannotOpenHere
            | C::CapturesDiverged
            | C::DatabaseEmptied
            | C::DatabaseFileMount
            | C::DatabaseHardLinked
            | C::DatabaseHeldExclusively
            | C::DatabaseSharedWalIndexNot
            | C::DatabaseSymlinked
            | C::DifferentDatabases
            | C::FileSystemNeedsCare
            | C::MappingWithoutLocks
            | C::PagesNeverUsed
            | C::UsedThroughFuse
            | C::SeveralSqliteLibraries
            | C::ShmDeleted
            | C::SidecarsElsewhere
            | C::SidecarsStricter
            | C::TwoMountsOfOneFileSystem
            | C::TreesDamaged
            | C::UserCannotWrite
            | C::WalLargeLittleLive
            | C::WrittenInWalResetRange => return None,
        };
        (finding.severity >= from).then_some(against)
    }

    /// Whether it makes this sentence wrong.
    fn denies(self, usual: Sentence, finding: &Finding) -> bool {
        let own = matches!(
            usual,
            Sentence::Replaced
                | Sentence::NoWal
                | Sentence::HeaderUnusable
                | Sentence::OtherVersion
                | Sentence::Doubted(_)
        );
        match self {
            Self::OtherFiles | Self::IndexCutOff => true,
            Self::BehindHeader => usual == Sentence::HeaderUnusable,
            Self::FramesGone => !own || usual == Sentence::NoWal,
            Self::Mangled => !own || usual == Sentence::HeaderUnusable,
            Self::Journal => usual.all_is_well() || usual.invites() && journal_of_other(finding),
            Self::OlderFrames | Self::Foreign => usual.all_is_well() || usual.invites(),
            Self::NoMapping => !matches!(usual, Sentence::Replaced | Sentence::HeaderUnusable | Sentence::OtherVersion),
            // A -shm that could not be made is why the wal-index cannot be read.
            Self::NoRoom => {
                let unread = matches!(usual, Sentence::Doubted(Doubt::Unreadable | Doubt::Torn));
                !own || unread && shm_not_made(finding)
            }
            _ => !own,
        }
    }
}

fn is_by_other_name(finding: &Finding) -> bool {
    finding.code() == Code::SplitBrain && finding.severity < Severity::Error
}

fn damaged_before_its_end(finding: &Finding) -> bool {
    matches!(finding.found, Found::ShmBeyondWal { damaged_before_its_end: true, .. })
}

fn has_wal(finding: &Finding) -> bool {
    matches!(finding.found, Found::ShmOfOtherWal { wal_salts: Some(_), .. })
}

/// Whether the journal that waits shows signs that it is not of this database.
fn journal_of_other(finding: &Finding) -> bool {
    matches!(&finding.found, Found::HotJournal { signs, .. } if !signs.is_empty())
}

fn journal_of_process(finding: &Finding) -> bool {
    matches!(&finding.found, Found::HotJournal { used_by, .. } if !used_by.is_empty())
}

/// The finding beside which nothing may open or checkpoint the database before its files are copied; the gravest of several.
/// No advice beside it may tell to do so.
pub(super) fn forbids(beside: &[Finding]) -> Option<&Finding> {
    let forbids = |finding: &&Finding| match Against::of(finding, true) {
        // Waiting, or making room, is all that is asked for.
        None | Some(Against::NoRoom | Against::NoMapping) => false,
        Some(Against::Journal) => journal_of_other(finding),
        Some(_) => true,
    };
    beside.iter().filter(forbids).min_by_key(|finding| Reverse(finding.severity))
}

/// What SQLite does with frames of another database: it goes on with "them".
const MIXES: &str =
    "SQLite reads a mix of both files or calls it malformed, and a checkpoint, also that of the last close, writes";

/// Whether SQLite refuses the two by their sizes, and they may be of one database whose header is damaged.
fn fewer_pages(finding: &Finding) -> bool {
    matches!(&finding.found, Found::WalOfOtherDatabase { signs, .. } if signs.as_slice() == [OtherSign::FewerPages])
}

/// The checkpoint, where files are not mapped shared.
fn no_mapping(committed: u64) -> String {
    let waits = match committed {
        0 => "Nothing is committed in a -wal".to_owned(),
        n => {
            format!("{} committed in the -wal: keep it with the database", many(n, "frame") + one_or(n, " is", " are"))
        }
    };
    format!("{waits}. {}.", super::opening::CHECKPOINT)
}

/// Frames that are in no file.
fn gone(finding: &Finding) -> Option<FramesGone> {
    match finding.found {
        Found::ShmOfOtherWal { frames_gone, .. } | Found::ShmBeyondWal { frames_gone, .. } => frames_gone,
        _ => None,
    }
}

/// The finding beside which the usual sentence would be wrong, and why; the gravest of several.
pub(super) fn decides<'a>(usual: Sentence, basis: &Basis, beside: &'a [Finding]) -> Option<(Against, &'a Finding)> {
    let at_rest = matches!(basis, Basis::AtRest { .. });
    let all = beside.iter().filter_map(|finding| Some((Against::of(finding, at_rest)?, finding)));
    all.filter(|(against, finding)| against.denies(usual, finding))
        .min_by_key(|(against, finding)| (Reverse(finding.severity), *against))
}

/// The kind of the sentence for these facts. `beside` are the findings of the same look: one of them may decide.
#[must_use]
pub fn sentence(facts: &CheckpointFacts, wal: &WalFacts, beside: &[Finding]) -> Sentence {
    let usual = usual(facts, wal);
    decides(usual, &facts.basis, beside).map_or(usual, |(against, _)| Sentence::Against(against))
}

/// What is said instead of the usual sentence.
pub(super) fn told(against: Against, finding: &Finding, facts: &CheckpointFacts, wal: &WalFacts) -> String {
    let at_rest = matches!(facts.basis, Basis::AtRest { .. });
    let first = if at_rest { rescue::COPY_AT_REST } else { rescue::COPY_IN_USE };
    let n = facts.committed.max(wal.frames.committed);
    let (are, they, them) =
        (many(n, "frame") + one_or(n, " is", " are"), one_or(n, "it", "they"), one_or(n, "it", "them"));
    match against {
        Against::OtherFiles if is_by_other_name(finding) => {
            "Do not checkpoint by this name: the database is in use by another one, and its frames are in the -wal beside that name."
                .to_owned()
        }
        Against::OtherFiles => format!("Do not checkpoint: {}. {}", other_files(finding), rescue::SEE_FINDING),
        Against::IndexCutOff => format!(
            "Do not checkpoint: the -shm was cut off under the processes that use it, and they die at their next access to \
             it. {}",
            rescue::SEE_FINDING
        ),
        Against::NoDatabase => {
            let gone = if matches!(finding.found, Found::WalWithoutDatabase { empty: true, .. }) {
                "empty"
            } else {
                "missing"
            };
            format!(
                "{are} committed in the -wal, and the database is {gone}: there is nothing that {they} can be copied to. \
                 The next to open a database by this name deletes the -wal. {}",
                if at_rest { "Copy the -wal before anything does." } else { first }
            )
        }
        Against::OtherFormat if n == 0 => format!(
            "The database is in wal2 mode, which has two -wal files and which SQLite calls no database. Nothing is committed in \
             this one. {first}"
        ),
        Against::OtherFormat => format!(
            "{are} committed in this -wal, and the database is in wal2 mode, which has two of them: SQLite calls it no \
             database, and its closing copies {them} into it all the same and deletes the -wal. {first}"
        ),
        Against::OtherDatabase => {
            let (belong, so) = match finding.severity {
                Severity::Error if fewer_pages(finding) => {
                    (one_or(n, "does not fit", "do not fit"), "SQLite calls the two malformed, and its closing writes")
                }
                Severity::Error => (one_or(n, "does not belong to", "do not belong to"), MIXES),
                _ => ("may not belong to", MIXES),
            };
            let perhaps = if finding.severity == Severity::Error { "" } else { "If so: " };
            format!(
                "{are} committed in the -wal, and {they} {belong} this database. {perhaps}{so} {them} over the database \
                 all the same and deletes the -wal. {first}"
            )
        }
        Against::Foreign => {
            let why = match finding.code() {
                Code::WalBesideRollbackDatabase => {
                    "the header of the database says rollback mode, so one of the two was put here"
                }
                _ => "the -shm beside it is of another -wal, so it may have been put here",
            };
            format!(
                "{are} committed in the -wal, and {why}. If the -wal is of another database or of another time, the next to open \
                 the database destroys it: SQLite reads {them} all the same, and its closing copies {them} over the database \
                 and deletes the -wal. {first}"
            )
        }
        Against::Mangled => {
            let so = match finding.code() {
                Code::WalBytesMangled => {
                    let reads = match wal.frames.valid {
                        0 => "no frame".to_owned(),
                        frames => many(frames, "frame"),
                    };
                    format!("SQLite reads {reads} of it, and the last to close deletes the file with the rest")
                }
                _ => "SQLite reads wrong bytes, and a checkpoint writes among them".to_owned(),
            };
            format!("{} {first}", damage::mangled_in_short(finding, &so))
        }
        Against::PagesNowhere => pages_nowhere(finding, first),
        Against::NotInDatabase => {
            let counted =
                format!("Of the {} that count as copied, not all are in the database", many(facts.backfilled, "frame"));
            if at_rest {
                format!(
                    "{counted}. If nobody has the -shm open, the next to open the database makes it anew, reads every frame \
                     of the -wal, and copies all of them: keep the -wal with the database. {first}"
                )
            } else {
                format!(
                    "{counted}: a checkpoint does not copy them again, who reads their pages gets older content, and the last \
                     to close deletes the -wal. {first}"
                )
            }
        }
        Against::Overwritten => format!(
            "Do not checkpoint: the database is not as its wal-index in use left it, and the next commit mixes pages of two \
             files. {}",
            rescue::SEE_FINDING
        ),
        Against::IndexWrong => {
            let why = if finding.code() == Code::ShmBeyondWal {
                "the wal-index in use counts frames that are damaged in the -wal, and a checkpoint copies them as they are"
            } else {
                "the wal-index in use is wrong, and a checkpoint goes by it"
            };
            format!("Do not checkpoint: {why}. {}", rescue::SEE_FINDING)
        }
        Against::CommitsBehind => format!(
            "{are} committed up to a break in the -wal, and commits stand at the break or behind it. The next to open the \
             database does not read those, and its closing deletes the -wal with them. {first}"
        ),
        Against::NoHeader => header::checkpoint(finding, n, first),
        Against::FramesGone => frames_gone(finding, wal),
        Against::NoRoom => room::checkpoint(finding, facts, wal),
        Against::NoMapping => no_mapping(n),
        Against::BehindHeader => format!(
            "The -wal's header is broken, so SQLite takes the file for empty: the next writer overwrites it, and the last to close deletes it. {} {first}",
            damage::lost_behind_header(&finding.found)
        ),
        Against::OlderFrames => {
            let state = match facts.state {
                CheckpointState::Complete => all(n, "frame", "is in the database", "are in the database"),
                _ if n > 0 => format!("{are} committed in the -wal"),
                _ => "The WAL was restarted and nothing is committed in the new generation yet".to_owned(),
            };
            let so = match facts.state {
                CheckpointState::Complete => String::new(),
                _ if n > 0 => format!(
                    " If the two are not of one time, the next to open the database mixes them, and its closing copies {them} over the \
                     database and deletes the -wal."
                ),
                _ => String::new(),
            };
            format!(
                "{state}, but frames of the generation before are not in the database: the finding says what that can be.{so} \
                 {first}"
            )
        }
        Against::Journal => {
            let what = match &finding.found {
                Found::HotJournal { signs, .. } if signs == &[JournalSign::SuperJournal] => {
                    "writes the pages of the -journal back into the database, or deletes it if its super-journal is not there"
                }
                _ if journal::is_beside_empty_database(finding) => {
                    "deletes the -journal, and with it the only old pages of the database"
                }
                _ => "writes the pages of the -journal back into the database",
            };
            format!(
                "A -journal with content waits beside the database: the next to open it first {what}. {first} Copy the -journal, too."
            )
        }
    }
}

/// A left-over `-shm` counts frames that are in no file. They may have been copied all the same.
fn frames_gone(finding: &Finding, wal: &WalFacts) -> String {
    let Some(FramesGone { frames: n, missing_pages }) = gone(finding) else { return String::new() };
    let cut = matches!(finding.found, Found::ShmBeyondWal { .. });
    let (state, look_for) = match &finding.found {
        Found::ShmOfOtherWal { wal_size: None, .. } => ("gone", "look for the -wal"),
        Found::ShmOfOtherWal { wal_size: Some(0), .. } => ("empty", "look for the -wal"),
        _ if cut => ("cut short", "look for the whole -wal"),
        _ => ("of another generation", "look for the -wal of the -shm"),
    };
    let reads = match wal.frames.committed {
        0 => String::new(),
        n => {
            format!(" The next to open the database reads the {} of the -wal that is here.", many(n, "committed frame"))
        }
    };
    let it = one_or(n, "it", "them");
    // A connection in exclusive locking mode leaves no fewer frames of the same generation.
    let unless = match missing_pages {
        _ if cut => String::new(),
        0 => format!(", unless a connection in exclusive locking mode copied {it}, which leaves no mark"),
        _ => format!(
            ", unless a connection in exclusive locking mode copied {it} and made the database smaller, which leaves no mark"
        ),
    };
    format!(
        "The -wal is {state}, and the -shm counts {} that {} in no file here and not marked as copied. What was committed in \
         {it} is lost{unless}.{reads} Copy the database, -wal and -shm before anything opens the database, and {look_for}.",
        many(n, "frame"),
        one_or(n, "is", "are"),
    )
}

/// Why no checkpoint should run where processes use other files than the paths lead to.
fn other_files(finding: &Finding) -> &'static str {
    match &finding.found {
        Found::WalIndexSharedDatabaseNot { apart: Apart::Process { .. } } => {
            "a process uses this wal-index with another database file: a checkpoint would mix two databases"
        }
        Found::WalIndexSharedDatabaseNot { .. } => "two databases have this wal-index: a checkpoint would mix them",
        Found::WalIndexSharedWalNot { .. } => {
            "this wal-index is in use with another -wal: a checkpoint would copy frames of the wrong file"
        }
        Found::DatabaseRenamed { .. } => {
            "a process goes on with the database, or with this -wal, by the old name of the database: a checkpoint by another \
             process leaves its commits out, or mixes two databases"
        }
        Found::SidecarsUnderOtherName { .. } => {
            "its -wal or -journal may have another name, and a checkpoint or a write leaves out what is there"
        }
        Found::HotJournal { .. } => {
            "the -journal here is of a transaction of another database: who opens this one writes pages of the other one into it"
        }
        Found::LogApart { logs, .. } if logs.iter().any(|log| log.part == Part::Journal) => {
            "a process is in a transaction whose -journal is gone or was emptied: nobody else can take back what it wrote"
        }
        Found::LogApart { .. } | Found::UsedWithoutWalIndex { .. } => {
            "a process goes on with a -wal that was deleted: a checkpoint by another process leaves its commits out"
        }
        Found::WorkerOnReplacedFiles { .. } => {
            "a process goes on with files that were replaced: a checkpoint would mix old and new files"
        }
        _ => {
            "running processes use another wal-index for this database: a checkpoint does not see their locks and commits"
        }
    }
}

fn pages_nowhere(finding: &Finding, first: &str) -> String {
    if let Found::DatabasePagesZero { pages, .. } = &finding.found {
        let pages = all(*pages, "page", "behind page 1 is zeros", "behind page 1 are zeros");
        return format!("{pages}, and there is no frame of them. {first}");
    }
    let Found::DatabaseTooShort { missing, stated, in_use, .. } = &finding.found else { return String::new() };
    let first = if *in_use { rescue::SEE_FINDING } else { first };
    let are = many(*missing, "page") + one_or(*missing, " is", " are");
    let plain = finding.severity == Severity::Error || *stated == SizeStated::ByHeader;
    let perhaps = if plain { "" } else { "If the file is not compressed, " };
    match stated {
        SizeStated::ByCommit { .. } => format!(
            "{perhaps}{are} in neither file, and the last commit counts on them: do not checkpoint. A checkpoint, also that of \
             the last close, makes up for them with zero bytes and deletes the -wal. {first}"
        ),
        SizeStated::ByHeader => {
            format!("{perhaps}{are} missing at the end of the database, and there is no frame of them. {first}")
        }
    }
}
