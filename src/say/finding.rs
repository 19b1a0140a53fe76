//! The sentences of each finding: what is the case here, and what to do about it.

use std::borrow::Cow;

use super::compared::{diverged_captures, identity_of};
use super::users_found::{
    are_of_exclusive, no_index_yet, on_replaced, only_in_deleted, processes, through_fuse, users_found, without_index,
    without_locks,
};
use super::words::{self, Names, count, many, one_or};
use super::{
    against, damage, header, journal, links, log_apart, opening, pair, rescue, room, sides, trees, wal_truncated,
};
use crate::evidence::{InodeId, Leads, MappingProcess};
use crate::finding::frames_gone::FramesGone;
use crate::finding::mappers::Mappers;
use crate::finding::split_index::SplitIndex;
use crate::finding::value::{Apart, GoneIndex, OwnedFile, Sides, TwoDatabases, TwoIndexes, Unsettled};
use crate::finding::{Finding, Found, Severity};
use crate::look::checkpoint::Restart;
use crate::number::FrameNumber;

/// A finding in sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// A short title.
    pub title: &'static str,
    /// One or two sentences about this case.
    pub detail: String,
    /// What to do about it.
    pub advice: Cow<'static, str>,
}

/// What to do about a wal-index that no process was seen to use.
const LEFT: &str =
    "Nothing to do if nobody has the database open: the next to open it rebuilds the wal-index from the WAL.";
/// What to do about a left-over wal-index that is of another WAL than the one beside it: one of the two may be foreign.
const PERHAPS_FOREIGN: &str = "The next to open the database makes the wal-index anew from this -wal, and what is committed in the -wal becomes part of the database. If the -wal may be of another database or of another time, that destroys the database: copy the database, -wal and -shm before anything opens it, and look for the -wal that belongs to it.";
/// What to do about damage within the WAL: only the -shm still shows the commits after it.
const KEEP: &str = "Copy the database, -wal and -shm before anything opens, closes or checkpoints the database: the next to open it recovers the WAL only up to the damage, and the commits behind it are lost.";
/// What to do about a wal-index that is left over, if there is no WAL either.
const LEFT_WITHOUT_WAL: &str =
    "Nothing to do if nobody has the database open: the next to open it makes the wal-index anew.";

/// What to do where a left-over wal-index counts frames that were not copied, and the WAL does not have them.
const LOOK_FOR_WAL: &str = "Copy the database, -wal and -shm before anything opens the database: the -shm lists the pages of these frames, and the next to open the database makes it anew. Look for the -wal in backups; walscope rescue copies it if a process still has it open. Put it beside a copy of the database, without the -shm, and open that copy. Nothing is missing if a connection in locking_mode=EXCLUSIVE was the last to use the database, or if the database or the -wal was put here from elsewhere and the -shm is not of its time.";
/// What to do where the WAL ends before the frames that a left-over wal-index counts.
const CUT_WAL: &str = "Copy the database, -wal and -shm before anything opens the database: the -shm lists the pages of these frames, and the next to open the database makes it anew. If the three files are copies, copy them again at one moment: walscope snapshot --with-db, or sqlite3's .backup. If the -wal was cut off, look for a whole copy of it. A machine that went down can have lost the end of a -wal that was not synced; then these commits are lost.";

/// A wal-index in use that counts no frames has no `-wal` beside it.
const NO_WAL_BESIDE: &str = "It is in use, and there is no -wal: the -wal was removed or renamed while it was in use. What its users commit goes into that file, which goes with the last of them; whoever opens the database now makes a new -wal, and both write frames of one wal-index to two files.";

/// The sentences of one finding.
#[must_use]
pub fn finding(finding: &Finding) -> Told {
    let (detail, advice) = sentences(finding);
    let detail = match &finding.source {
        Some(source) => format!("{source}: {detail}"),
        None => detail.into_owned(),
    };
    Told { title: title(finding), detail, advice: advice.into() }
}

/// The sentences of each finding of one look. No advice tells to open or to checkpoint the database where another finding says
/// to copy its files first.
#[must_use]
pub fn findings(all: &[Finding]) -> Vec<Told> {
    let forbids = against::forbids(all).map(Finding::code);
    let told = all.iter().map(|one| {
        let told = finding(one);
        match forbids.filter(|code| *code != one.code() && invites(one)) {
            None => told,
            Some(code) => Told {
                advice: format!(
                    "Because of {code}, nothing may open or checkpoint the database before its files are copied. Then, on a copy: {}",
                    told.advice
                )
                .into(),
                ..told
            },
        }
    });
    told.collect()
}

/// Whether the advice tells to let somebody open or checkpoint the database.
fn invites(finding: &Finding) -> bool {
    match &finding.found {
        Found::CannotOpenHere { .. } | Found::WalLargeLittleLive { .. } => true,
        Found::ShmBackfillBeyondMxFrame { .. }
        | Found::ShmBeyondWal { damaged_before_its_end: false, frames_gone: None, .. }
        | Found::ShmFramesUnreachable { .. }
        | Found::ShmHeaderChecksumWrong { .. }
        | Found::ShmHeaderContradictsWal { .. }
        | Found::ShmHeaderCopiesDiffer { .. }
        | Found::ShmOfOtherWal { wal_salts: None, frames_gone: None, .. }
        | Found::ShmPagesWrong { .. }
        | Found::ShmSlotsDuplicate { .. }
        | Found::ShmSlotsOutOfOrder { .. }
        | Found::ShmVersionUnsupported { .. } => finding.severity < Severity::Warning,
        _ => false,
    }
}

/// The title from the table, or a more exact one if a code has several kinds of facts.
fn title(finding: &Finding) -> &'static str {
    match &finding.found {
        Found::WalOfOtherDatabase { .. } if finding.severity == Severity::Error => {
            "This WAL does not fit this database"
        }
        Found::WalTruncated { deleted_wals, .. } if !deleted_wals.is_empty() => {
            "The -wal was deleted or replaced while it is in use"
        }
        Found::DatabaseHardLinked { links: 0..=1, .. } => "The -wal or -shm belongs to another database, too",
        Found::MappingWithoutLocks { users } if are_of_exclusive(users) => "A child has its parent's files and no lock",
        Found::LogApart { logs, .. } => log_apart::title(logs).unwrap_or(finding.code().title()),
        Found::BundleUnstable { unsettled: Unsettled::Side { .. } } => "The capture is not of one moment",
        Found::ShmDeleted { gone: GoneIndex::DuringCapture { .. } } => {
            "The -shm was deleted or replaced during the capture"
        }
        Found::SplitBrain { split: SplitIndex::Side { .. } } if finding.severity < Severity::Error => {
            links::title(finding.severity)
        }
        Found::SplitBrain { split: SplitIndex::Side { .. } } => {
            "Running processes use another wal-index than the path leads to"
        }
        Found::SplitBrain { split: SplitIndex::Database { .. } } => {
            "Running processes use one database with different wal-indexes"
        }
        Found::WalIndexSharedDatabaseNot { apart: Apart::Process { .. } } => {
            "A process uses this wal-index for another database file"
        }
        Found::WalIndexSharedWalNot { apart: Apart::Process { .. } } => {
            "A process uses this wal-index with another -wal"
        }
        found => found.code().title(),
    }
}

/// Detail and advice.
fn sentences(finding: &Finding) -> (Cow<'static, str>, &'static str) {
    let rebuild = if finding.severity >= Severity::Warning { rescue::LIVE } else { LEFT };
    let torn = match finding.severity {
        Severity::Info => "A writer is at work: look again.",
        Severity::Notice => "Nothing to do: the first connection to open the database recovers the wal-index.",
        Severity::Warning | Severity::Error => {
            "The next connection that reads recovers the wal-index; if this lasts, no connection can."
        }
    };
    match &finding.found {
        Found::AccessTimeMoved { files } => (
            format!("Not owned by this user, so that reading may have moved their access time: {}.", files.join(", "))
                .into(),
            "Look as the files' owner or with CAP_FOWNER, or refuse with --strict-atime.",
        ),
        Found::BackfillNotInDatabase { .. } => pair::not_copied(&finding.found),
        Found::BundleReadableByOthers {} => (
            "The bundle holds content of a database, and its mode lets others than its owner read it.".into(),
            "chmod 600 the bundle; set umask 077 before redirecting output into one.",
        ),
        Found::BundleUnstable { unsettled: Unsettled::This { reason } } => (
            format!("The files could not be shown to be of one moment: {reason}.").into(),
            "Numbers of this capture may belong to different moments. If the files were changing, capture again, with more --attempts.",
        ),
        Found::BundleUnstable { unsettled: Unsettled::Side { side } } => (
            format!("The files of {side} could not be shown to be of one moment; identities hold, the content may be mixed.").into(),
            "Capture again, when there is less traffic or while a connection stays open.",
        ),
        Found::CannotOpenHere { .. } => opening::cannot_open(finding),
        Found::CapturesDiverged { diverged } => (diverged_captures(diverged).into(), match finding.severity {
            Severity::Error => "Find out whether files were restored in place. Then compare the live databases, or capture one side with walscope snapshot --hold, and the other while that is held.",
            _ => "Capture both sides again while a connection stays open on each, or compare the live databases.",
        }),
        Found::DatabaseBytesMangled { .. } => {
            let (detail, advice) = damage::mangled_database(&finding.found);
            (detail.into(), advice)
        }
        Found::DatabaseFileMount { mounted, deleted, .. } => file_mount(mounted, deleted),
        Found::DatabaseHardLinked { .. } => links::hard_linked(&finding.found),
        Found::DatabaseHeaderUnusable { .. } => header::unusable(finding),
        Found::DatabaseHeldExclusively { users } => (
            format!("{} holds the whole database exclusively: nobody else can open or checkpoint it, and there may be no wal-index to share.", users_found(users)).into(),
            "Usual in exclusive locking mode (PRAGMA locking_mode=EXCLUSIVE), for a moment when the last connection closes, and in rollback mode while a writer commits. If others should use the database too, that process has to leave exclusive mode or close it.",
        ),
        Found::DatabaseOpaque { zeros, .. } => header::opaque(*zeros),
        Found::DatabaseEmptied { .. } => pair::emptied(&finding.found),
        Found::DatabaseOverwritten { .. } => pair::overwritten(&finding.found),
        Found::DatabasePagesZero { pages, tables } => pair::pages_zero(*pages, *tables, finding.severity),
        Found::TreesDamaged { faults, listed, rolled_back } => (trees::damaged(*faults, listed, *rolled_back), trees::DAMAGED),
        Found::PagesNeverUsed { pages, first, of, rolled_back } => (trees::never_used(*pages, *first, *of, *rolled_back), trees::NEVER_USED),
        Found::DatabaseRenamed { renamed } => super::renamed::renamed(renamed),
        Found::DatabaseSharedWalIndexNot { indexes: TwoIndexes { sides, database, shm } } => (
            format!("{}; {}. Commits of one side overwrite those of the other, and integrity_check does not notice.", identity_of(sides, database), identity_of(sides, shm)).into(),
            rescue::TWO_INDEXES,
        ),
        Found::DatabaseSymlinked { leads_to, .. } => (
            format!("The name leads to {leads_to}, and -wal and -shm lie beside that. Another container may resolve the same name to another place.").into(),
            "Give every container the folder that the link leads to, and compare them.",
        ),
        Found::DatabaseTooShort { .. } => pair::pages_nowhere(finding),
        Found::DatabaseWal2 { .. } => (
            "Bytes 18 and 19 of the database say 3: wal2, a format of its own with two WAL files. What is said here about the WAL does not hold for it.".into(),
            "Use the tools of the SQLite branch that wrote it.",
        ),
        Found::DifferentDatabases { databases: TwoDatabases { sides, database } } => (
            format!("{}. Equal content only means that one was copied.", identity_of(sides, database)).into(),
            "If it should be one database, mount the same folder on every side.",
        ),
        Found::FileSystemNeedsCare { file_system, why } => (
            format!("The files are on {file_system}: {why}. Within one mount on one machine it may still be all right.").into(),
            "Compare the sides with walscope, and try it with real writers before trusting it; the file system's name alone decides nothing.",
        ),
        Found::FileSystemFull { .. } => room::full(finding),
        Found::FilesReplaced {} => (
            "The database, its -wal or its -shm was created, deleted or replaced by another file during each look: what was read is not of one time, and was not held against each other.".into(),
            "Usual beside connections that open and close in quick succession: the last one deletes -wal and -shm. Look again, or while a connection stays open.",
        ),
        Found::HotJournal { .. } => journal::hot(finding),
        Found::LogApart { side, logs } => log_apart::apart(side, logs),
        Found::MappingWithoutLocks { users } => without_locks(users, finding.severity),
        Found::PageSizeDiffers { wal, database } => (
            format!("Frames hold {wal} bytes, and the database has pages of {database}. The page size cannot change in WAL mode, so this WAL is of another database.").into(),
            "Open the database only after putting the right -wal beside it, or none if it was complete without: SQLite would take this one's pages for its own.",
        ),
        Found::SeveralSqliteLibraries { users } => (
            format!("{} has the wal-index open and mapped more than once, or shares its descriptors with another process that has: several SQLite libraries with one owner of locks use it. Such locks never keep each other out, so two connections can write at once; and the first library that closes the database drops the locks of the others. Commits are lost.", users_found(users)).into(),
            "Let one library open the database in each process: a language's own SQLite and one that an extension brings with it are two. Or use a process for each.",
        ),
        Found::ShmBackfillBeyondMxFrame { backfilled, mx_frame } => (
            format!("nBackfill is {}, and mxFrame is {}: the next {} would never be copied.", count(*backfilled), count(*mx_frame), many(backfilled.frames_after(*mx_frame), "frame")).into(),
            rebuild,
        ),
        Found::ShmBeyondWal { mx_frame, committed, end_frame, frames_gone, damaged_before_its_end, .. } => {
            let detail = format!("mxFrame is {}, and the WAL's last commit is {}.", count(*mx_frame), if *committed == 0 { "none".to_owned() } else { format!("frame {}", count(*committed)) });
            if *damaged_before_its_end {
                (format!("{detail} Frame {} stands in the file as it was committed, so frame {} or one before it was damaged or never reached the disk.", count(*mx_frame), count(*end_frame)).into(), KEEP)
            } else if let Some(gone) = frames_gone {
                (format!("{detail}{}", in_no_file(*gone)).into(), CUT_WAL)
            } else {
                (format!("{detail} Frames behind it are missing or damaged.").into(), rebuild)
            }
        }
        Found::ShmDeleted { gone } => gone_index(gone),
        Found::ShmFramesUnreachable { unreachable, unindexed, full_blocks, .. } => {
            let full = match full_blocks {
                0 => "",
                _ => " Of a block no hash slot is empty: a search there fails with SQLITE_CORRUPT.",
            };
            (format!("A search by page misses {}, and {} {} no entry because the file is too short: readers get older content for them.{full}", many(*unreachable, "frame"), count(*unindexed), one_or(*unindexed, "has", "have")).into(), rebuild)
        }
        Found::ShmHeaderChecksumWrong { .. } => (
            "Both copies agree and their checksum is wrong: a reader recovers the wal-index from the WAL.".into(),
            torn,
        ),
        Found::ShmHeaderContradictsWal { mx_frame, commit_frame, database_pages, frame_checksum, page_size, big_endian_checksums } => {
            let all = [
                ("commit_frame", commit_frame.differ()),
                ("database_pages", database_pages.differ()),
                ("frame_checksum", frame_checksum.differ()),
                ("page_size", page_size.differ()),
                ("big_endian_checksums", big_endian_checksums.differ()),
            ];
            let names: Vec<&str> = all.into_iter().filter(|(_, differ)| *differ).map(|(name, _)| name).collect();
            (format!("It names frame {} as the last commit and differs from it in {}.", count(*mx_frame), names.join(", ")).into(), rebuild)
        }
        Found::ShmHeaderCopiesDiffer { mx_frame: [first, second], .. } => (
            format!("Copy 0 says mxFrame {} and copy 1 says {}: a reader waits or recovers.", count(*first), count(*second)).into(),
            torn,
        ),
        Found::ShmOfOtherWal { mx_frame, shm_salts, wal_salts, wal_size, frames_gone, .. } => {
            let has = match (wal_salts, wal_size) {
                (Some(salts), _) => format!("the WAL's header has {salts}"),
                (None, Some(size)) => format!("there is no WAL header ({})", many(*size, "byte")),
                (None, None) => "there is no -wal".to_owned(),
            };
            let advice = match (wal_salts, finding.severity >= Severity::Warning) {
                _ if frames_gone.is_some() => LOOK_FOR_WAL,
                (None, true) => rescue::NO_WAL,
                // There is a -wal, but it may be another one than those that processes have open.
                (Some(_), true) => rescue::START_AGAIN,
                (None, false) => LEFT_WITHOUT_WAL,
                (Some(_), false) => PERHAPS_FOREIGN,
            };
            if *mx_frame == FrameNumber::NONE {
                return (NO_WAL_BESIDE.into(), advice);
            }
            let counts = format!("It counts {} under the salts {shm_salts}, but {has}.", many(*mx_frame, "frame"));
            (format!("{counts}{}", frames_gone.map(in_no_file).unwrap_or_default()).into(), advice)
        }
        Found::ShmPagesWrong { wrong, compared, .. } => (
            format!("{}.", words::part(*wrong, *compared, "frame", "holds another page than its entry says", "hold another page than their entry says")).into(),
            rebuild,
        ),
        Found::ShmSlotsDuplicate { duplicate_slots } => (
            format!("{} {} another; SQLite never leaves that behind.", many(*duplicate_slots, "slot"), one_or(*duplicate_slots, "repeats", "repeat")).into(),
            rebuild,
        ),
        Found::ShmSlotsOutOfOrder { misordered_slots, .. } => (
            format!("A search takes the last slot that it comes across, and {} {} behind the slot of a newer frame of the same page.", count(*misordered_slots), one_or(*misordered_slots, "stands", "stand")).into(),
            rebuild,
        ),
        Found::SharedMappingsRefused { file_system } => opening::no_shared_mappings(file_system.as_deref()),
        Found::ShmTruncated { size, needed, mappers } => cut_shm(*size, *needed, mappers, finding.severity),
        Found::ShmVersionUnsupported { version } => (
            format!("Both copies of its header are intact and say version {version}; 3007000 is the only one there is. As long as somebody has it open, SQLite cannot open the database.").into(),
            if finding.severity == Severity::Error {
                rescue::OTHER_VERSION
            } else {
                LEFT
            },
        ),
        Found::SidecarsElsewhere { files, .. } => (
            format!("The {} {} mounted apart from the database, over {}: who has the database need not have {}. One database with two of them loses commits, and two databases with one are mixed.", files.join(" and "), one_or(files.len() as u64, "is", "are"), one_or(files.len() as u64, "a single file", "single files"), one_or(files.len() as u64, "it", "them")).into(),
            "Keep database, -wal and -shm in one folder of one file system.",
        ),
        Found::SidecarsStricter { files, database } => {
            let owned = |file: &OwnedFile| format!("mode {:04o} and owner {}:{}", file.mode, file.uid, file.gid);
            let told: Vec<String> = files.iter().map(|file| format!("the {} has {}", file.name, owned(file))).collect();
            (
                format!("The database has {}, but {}. Another container's user may open the database and then fails: to read where it may not read one of them, else to write.", owned(database), told.join(", ")).into(),
                "Run every container with one user and group, or give all three files the same group and mode (SQLite copies the database's mode to the files it makes).",
            )
        }
        Found::SidecarsUnderOtherName { files, locked, pages_compared, pages_same, commits } => {
            super::other_names::told(files, *locked, pages_compared.zip(*pages_same), *commits)
        }
        Found::SplitBrain { split } => split_index(split, finding.severity),
        Found::StaleFramesNotInDatabase { .. } => pair::stale(&finding.found),
        Found::TwoMountsOfOneFileSystem { sides: Sides { labels: [a, b], .. }, file_system, devices: [first, second], why, .. } => (
            format!("{a} and {b} have the same inode numbers on two devices, {first} and {second}, both {file_system}: {why}.").into(),
            "Mount it once on the machine, and give that one mount to every container.",
        ),
        Found::UsedThroughFuse { users } => through_fuse(users, finding.severity),
        Found::UsedWithoutWalIndex { users, .. } if finding.severity <= Severity::Notice => no_index_yet(users),
        Found::UsedWithoutWalIndex { users, deleted_wals } => (
            format!("{}.{} Who uses the database so sees neither what others commit to the WAL meanwhile nor their locks, or cannot take part in them; if it writes, commits are lost.", without_index(users), only_in_deleted(deleted_wals)).into(),
            rescue::WITHOUT_INDEX,
        ),
        Found::UserCannotWrite { uid, gid, files } => opening::cannot_write(*uid, *gid, files),
        Found::WalAheadOfShm { committed, mx_frame } => (
            format!("The WAL's last commit is frame {}, and mxFrame is {}: readers see the state before.", count(*committed), count(*mx_frame)).into(),
            "Usual while a commit is being synced. If it stays so with no writer at work, a writer died there: the commit was never confirmed, and the next writer overwrites it. But if the folder is also reached by another mount (FUSE, network) or from another machine, somebody may have committed it there: copy all three files before anything writes, and see walscope compare.",
        ),
        Found::WalBesideRollbackDatabase { committed, .. } => (
            format!("Bytes 18 and 19 of the database say rollback journal, but {} {} beside it. SQLite replays a -wal that exists, whatever the database says.", many(*committed, "committed frame"), one_or(*committed, "lies", "lie")).into(),
            "Find out where the -wal comes from before anything opens the database: leaving WAL mode deletes it.",
        ),
        Found::WalBytesMangled { .. } => {
            let (detail, advice) = damage::mangled_wal(&finding.found);
            (detail.into(), advice)
        }
        Found::WalCommitsBehindBreak { flipped: Some(bit), end_frame, commits, .. } => {
            (damage::flipped(*end_frame, *commits, bit).into(), rescue::FLIPPED)
        }
        Found::WalCommitsBehindBreak { end_frame, commits, continued, by_rollback_to, copied, .. } => {
            let (detail, advice) = damage::behind_break(*end_frame, *commits, [*continued, *by_rollback_to, *copied]);
            (detail.into(), advice)
        }
        Found::WalHeaderUnusable { .. } => {
            let (detail, advice) = damage::header_unusable(&finding.found);
            (detail.into(), advice)
        }
        Found::WalIndexSharedDatabaseNot { apart } | Found::WalIndexSharedWalNot { apart } => two_files(apart),
        Found::WalLargeLittleLive { file_size, live_bytes, pending, in_file, complete, restart } => {
            let why = match (complete, restart) {
                (_, Restart::HeldUp) => "readers keep the WAL from starting over, so it goes on growing",
                (true, _) => "the next writer starts over at its beginning and reuses the space",
                (false, _) => "SQLite reuses the space once all is copied",
            };
            (
                format!("Of its {}, {} {} to be copied ({} of {}). A -wal does not shrink by itself: {why}.", many(*file_size, "byte"), count(*live_bytes), one_or(*live_bytes, "waits", "wait"), count(*pending), many(*in_file, "frame")).into(),
                "PRAGMA wal_checkpoint(TRUNCATE) empties it when no reader is in the way; PRAGMA journal_size_limit keeps it small from then on.",
            )
        }
        Found::WalOfOtherDatabase { .. } => pair::other_database(finding),
        Found::WalTruncated { .. } => wal_truncated::told(finding),
        Found::WalVersionUnsupported { format_version } => (
            format!("The WAL header is intact and says version {format_version}; 3007000 is the only one there is. SQLite refuses to open the database.").into(),
            "Find out what wrote this file; do not delete it before, it may hold commits.",
        ),
        Found::WalWithoutDatabase { committed, empty } => (
            format!("The database is {}, and {} {} in its -wal. SQLite deletes a -wal beside an empty database.", if *empty { "empty" } else { "missing" }, many(*committed, "committed frame"), one_or(*committed, "lies", "lie")).into(),
            "Copy the -wal before anything creates or opens the database under this name.",
        ),
        Found::WorkerOnReplacedFiles { users } => (on_replaced(users, finding.severity).into(), rescue::START_AGAIN),
        Found::WrittenInWalResetRange { sqlite_version } => (
            format!("Last writer: {}.", words::release(*sqlite_version)).into(),
            "Use 3.51.3.",
        ),
    }
}

/// Frames that a left-over wal-index counts, and that nothing has.
fn in_no_file(FramesGone { frames, missing_pages }: FramesGone) -> String {
    let shorter = match missing_pages {
        0 => String::new(),
        pages => format!(" The database is {} shorter than they leave it.", many(pages, "page")),
    };
    let are = many(frames, "frame") + one_or(frames, " of them is", " of them are");
    format!(" {are} not marked as copied, and in no file here.{shorter}")
}

/// A -shm that is shorter than what is mapped of it.
fn cut_shm(size: u64, needed: u64, mappers: &Mappers, severity: Severity) -> (Cow<'static, str>, &'static str) {
    if severity < Severity::Error {
        return (
            format!("Somebody has the -shm open, and it has {size} bytes; a wal-index takes {needed}. It is being made at this moment, it could not be made for want of room, or it was cut off. Who has it mapped dies at the next access to what is gone (SIGBUS).").into(),
            "Look again. If it stays so: free room on the file system, and look as root to see which processes have it mapped.",
        );
    }
    let (who, one) = match mappers {
        Mappers::Here(all) if all.is_empty() => ("a process that is not visible from here uses it".to_owned(), true),
        Mappers::Here(all) => (
            format!("{} {} {needed} bytes of it mapped", words::processes(all), words::verb(all, "has", "have")),
            all.len() == 1,
        ),
        Mappers::Index { processes: all, path, .. } => (
            format!("{} {} {needed} bytes of {path} mapped", processes(all), words::verb(all, "has", "have")),
            all.len() == 1,
        ),
    };
    let (dies, its) = if one { ("it dies", "its") } else { ("each dies", "its") };
    (
        format!("The -shm has {size} bytes, and {who}: {dies} at {its} next access to what is gone (SIGBUS). That loses no commit: commits are in the -wal.").into(),
        rescue::SHM_TRUNCATED,
    )
}

/// The database is a mount of its own, with these of the other two files, of which these are deleted.
fn file_mount(mounted: &[&str], deleted: &[&str]) -> (Cow<'static, str>, &'static str) {
    let told = match (mounted, deleted) {
        (["-wal", "-shm"], []) => {
            return (
                "The database, its -wal and its -shm are three mounts. Whoever mounts the same three files shares them, and SQLite leaves the -wal and the -shm there when the last connection closes, which harms nothing. But whoever opens the database in its folder and closes it as the last one deletes them there; then these mounts lead to files that nobody else has, and commits are lost.".into(),
                "Mount the folder that holds the database in every container instead of its files.",
            );
        }
        (["-wal", "-shm"], deleted) => {
            return (
                format!("The database, its -wal and its -shm are three mounts, and the mounted {} deleted: somebody opened the database in its folder, and closed it as the last one. Whoever opens it there uses new ones, and whoever opens it here these: commits are lost.", match deleted {
                    [one] => format!("{one} was"),
                    _ => "-wal and -shm were".to_owned(),
                }).into(),
                rescue::FILE_MOUNT,
            );
        }
        (["-wal"], _) => {
            "The database and its -wal are mounts of their own, and the -shm is not: it is made in the folder beneath them and is nobody else's. Two containers that mount the files this way share the database and the -wal and no wal-index: neither sees the locks of the other, and each overwrites its frames."
        }
        (["-shm"], _) => {
            "The database and its -shm are mounts of their own, and the -wal is not: it is made in the folder beneath them and is nobody else's. Two containers that mount the files this way share a wal-index that counts the frames of two -wal files: content is mixed, and commits are lost."
        }
        _ => {
            "The database is a mount of its own; -wal and -shm are made in the folder beneath it and are nobody else's. Two containers that mount the file this way share the database and neither wal-index nor WAL: commits are lost, and integrity_check does not notice."
        }
    };
    (told.into(), rescue::FILE_MOUNT)
}

fn gone_index(gone: &GoneIndex) -> (Cow<'static, str>, &'static str) {
    match gone {
        GoneIndex::DuringCapture { side, .. } => (
            format!("On {side} the path no longer led to the -shm that had been opened. The last connection may have closed, or somebody removed it.").into(),
            "Capture again while a connection stays open. Never delete the -shm of a database in use.",
        ),
        GoneIndex::Mapped { mapped, path, leads, processes: all } => {
            let leads = if *leads == Leads::Nowhere { "no file any more" } else { "another file" };
            (
                format!("{} {} {mapped}, but {path} leads to {leads}: whoever opens the database next uses another wal-index.", processes(all), words::verb(all, "maps", "map")).into(),
                rescue::START_AGAIN,
            )
        }
    }
}

fn split_index(split: &SplitIndex, severity: Severity) -> (Cow<'static, str>, &'static str) {
    match split {
        SplitIndex::Side { side, cut_off } if severity < Severity::Error => {
            links::by_other_name(side, cut_off, severity)
        }
        SplitIndex::Side { side, cut_off } => (
            format!(
                "{}. Whoever opens the database next does not see their commits and locks.",
                sides::cut_off(cut_off, Names::of_some(&[cut_off.side], &[side]))
            )
            .into(),
            if split.by_database() { rescue::ONE_NAME } else { rescue::START_AGAIN },
        ),
        SplitIndex::Path { path, mapped } => {
            let told: Vec<String> = mapped.iter().map(|(id, all)| format!("{id} by {}", processes(all))).collect();
            (
                format!("{path} is mapped as {}. They see neither each other's commits nor locks, and overwrite one another.", told.join(", as ")).into(),
                rescue::START_AGAIN,
            )
        }
        SplitIndex::Database { mapped, .. } => {
            let one = |(id, all): &(InodeId, Vec<MappingProcess>)| {
                let path = all.first().map_or("", |process| process.path.as_str());
                format!("{id} ({path}) by {}", processes(all))
            };
            let told: Vec<String> = mapped.iter().map(one).collect();
            (
                format!("One database is in use under several names, and each has a wal-index of its own: {}. They see neither each other's commits nor locks, and overwrite one another.", told.join(", ")).into(),
                rescue::ONE_NAME,
            )
        }
    }
}

fn two_files(apart: &Apart) -> (Cow<'static, str>, &'static str) {
    match apart {
        Apart::Process { side, apart, processes } => (
            format!("On {side} {}{} maps the -shm, and the {} that it has open for it is not at the path: it was replaced or deleted under the wal-index, or mounted apart from it. Whoever opens the database now shares frame numbers with such a process that are of other files: content is mixed, and commits are lost.", words::processes(processes), words::each(processes.len()), apart.name()).into(),
            rescue::START_AGAIN,
        ),
        Apart::Pair { sides, files, .. } => (
            format!("The sides share one -shm, but {}. Each side reads frame numbers that the other wrote for other files: content is mixed, and commits are lost.", identity_of(sides, files)).into(),
            rescue::ONE_FOLDER,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_that_wrote_last_is_named() {
        let told = finding(&Finding::new(Found::WrittenInWalResetRange { sqlite_version: 3_040_001 }));
        assert_eq!(told.detail, "Last writer: 3.40.1.");
    }

    #[test]
    fn no_advice_tells_to_open_what_another_finding_says_to_copy_first() {
        let left_over = || Finding::at(Severity::Notice, Found::ShmSlotsDuplicate { duplicate_slots: 1 });
        let alone = findings(&[left_over()]);
        assert!(alone[0].advice.starts_with("Nothing to do if nobody has the database open"), "{}", alone[0].advice);
        let zeros = Found::DatabasePagesZero { pages: 2, tables: true };
        let both = findings(&[Finding::new(zeros), left_over()]);
        let copy = "Because of database_pages_zero, nothing may open or checkpoint the database before";
        assert!(both[1].advice.starts_with(copy), "{}", both[1].advice);
        assert!(!both[0].advice.starts_with("Because of"), "{}", both[0].advice);
        // A journal of this database is rolled back by the next opener, as it has to be.
        let journal = |signs| Found::HotJournal {
            used_by: Vec::new(),
            signs,
            database_change_counter: None,
            journal_change_counter: None,
            database_page_size: None,
            journal_page_size: None,
            super_journal: None,
            database_pages_before: None,
            pages_right: None,
            pages_counted: None,
            under_way: false,
            walked: None,
        };
        let beside = |signs| findings(&[Finding::new(journal(signs)), left_over()])[1].advice.contains("hot_journal");
        assert!(!beside(Vec::new()));
        assert!(beside(vec![crate::finding::journal_sign::JournalSign::ChangeCounter]));
    }

    #[test]
    fn one_source_of_several_is_named_first() {
        let finding_of_one = Finding {
            source: Some("a".into()),
            ..Finding::new(Found::DatabaseHardLinked { links: 2, sidecars_linked: false, files: vec!["database"] })
        };
        assert!(finding(&finding_of_one).detail.starts_with("a: 2 hard links"));
    }
}
