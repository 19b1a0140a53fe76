//! The table of findings: one row for everything that walscope can find.
//!
//! A new finding is a row here, the rule that raises it, its sentence in `say/finding.rs` and its section in
//! `docs/findings.md`, and a case in the tests that raises it.

use super::Severity;
use super::check_name::CheckName;
use super::cut::Cut;
use super::frames_gone::FramesGone;
use super::journal_sign::JournalSign;
use super::lacks::Lack;
use super::mappers::Mappers;
use super::newer::Newer;
use super::not_copied::NotCopied;
use super::obstacle::Obstacle;
use super::overwritten_sign::OverwrittenSign;
use super::renamed::RenamedFound;
use super::split_index::SplitIndex;
use super::value::{
    Apart, Both, Diverged, Fact, GoneIndex, OtherSign, OwnedFile, Sides, TwoDatabases, TwoIndexes, Unsettled,
    UsersFound, Value,
};
use crate::evidence::{Device, Holder, KeptLog};
use crate::format::db::HeaderFault;
use crate::format::flip::Flipped;
use crate::look::checkpoint::Restart;
use crate::look::{Fit, SizeStated, WrongPage};
use crate::number::{Checksum, FrameNumber, FrameOfPage, PageNumber, Salts};
use crate::sides::Part;
use crate::tree::TreeFault;
use crate::wal::EndReason;
use crate::wal::mangled::{Change, Undoing};
use crate::wal::salvage::ChainedRun;

/// Makes [`Code`] and [`Found`] from the table. A row has the variant, the name and the title of the code, the
/// severities that it can have, the check of `verify` that it belongs to, if any, and the facts that it rests on. The
/// facts before the semicolon are shown as `evidence` in documents, under these names. The facts after it are only for
/// the sentence.
macro_rules! findings {
    (@check) => { None };
    (@check $check:ident) => { Some(CheckName::$check) };
    ($(
        $variant:ident $name:literal $title:literal [$($severity:ident),+] $(in $check:ident)? {
            $($fact:ident: $type:ty),* $(; $($aside:ident: $aside_type:ty),+)?
        }
    )+) => {
        /// What a finding is about. Its name never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = concat!("`", $name, "`: ", $title, ".")] $variant),+
        }

        impl Code {
            /// Every code, sorted by name.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in documents, in snake case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// A short title.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }

            /// The severities that it can have, the gravest last.
            #[must_use]
            pub const fn severities(self) -> &'static [Severity] {
                match self { $(Self::$variant => &[$(Severity::$severity),+]),+ }
            }

            /// The check of `verify` that raises it.
            #[must_use]
            pub const fn check(self) -> Option<CheckName> {
                match self { $(Self::$variant => findings!(@check $($check)?)),+ }
            }
        }

        /// What was found, and the facts that it rests on. Each variant stands for one [`Code`].
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Found {
            $(
                #[doc = concat!($title, ".")]
                $variant {
                    $(#[doc = concat!("`", stringify!($fact), "` of the evidence.")] $fact: $type,)*
                    $($(#[doc = concat!("`", stringify!($aside), "`, for the sentence only.")] $aside: $aside_type,)+)?
                }
            ),+
        }

        impl Found {
            /// Its code.
            #[must_use]
            pub const fn code(&self) -> Code {
                match self { $(Self::$variant { .. } => Code::$variant),+ }
            }

            /// The facts by their names in documents.
            #[must_use]
            pub fn evidence(&self) -> Vec<(&'static str, Value)> {
                let mut all = Vec::new();
                match self {
                    $(Self::$variant { $($fact,)* .. } => { $($fact.show(stringify!($fact), &mut all);)* })+
                }
                all
            }
        }
    };
}

findings! {
    AccessTimeMoved "access_time_moved" "Access times may have moved" [Notice] {
        files: Vec<String>
    }
    BackfillNotInDatabase "backfill_not_in_database" "Frames that count as copied are not in the database"
        [Error] in BackfilledInDatabase {
        backfilled: FrameNumber, compared: u64, missing: u64, pages: Vec<FrameOfPage>, causes: Vec<NotCopied>;
        zeros: Vec<PageNumber>, cut: Option<Cut>, in_use: bool, sqlite_version: Option<u32>, holders: Vec<Holder>
    }
    BundleReadableByOthers "bundle_readable_by_others" "Others can read this bundle" [Notice] {}
    BundleUnstable "bundle_unstable" "Not of one moment" [Warning] {
        unsettled: Unsettled
    }
    CannotOpenHere "cannot_open_here" "SQLite cannot open the database here" [Notice] {
        process: Option<u32>, uid: Option<u32>, gid: Option<u32>, reasons: Vec<Obstacle>; left_out: u64, in_use: bool
    }
    CapturesDiverged "captures_diverged" "The captures do not continue each other" [Warning, Error] {
        diverged: Diverged
    }
    DatabaseBytesMangled "database_bytes_mangled" "Bytes of the database were changed by a transfer"
        [Warning, Error] in DatabaseHeader {
        change: Change, bytes: Option<u64>, page: Option<PageNumber>
    }
    DatabaseEmptied "database_emptied" "An empty database beside files of one that had content"
        [Notice, Warning] in DatabaseHeader {
        wal: Option<u64>, shm: Option<u64>, wal_index_pages: Option<u32>; in_use: bool, holders: Vec<Holder>
    }
    DatabaseFileMount "database_file_mount" "The database is mounted as a single file, not with its folder"
        [Notice, Warning] {
        database_mount: u64, folder_mount: u64, mounted: Vec<&'static str>, deleted: Vec<&'static str>
    }
    DatabaseHardLinked "database_hard_linked" "The database has more than one name" [Warning] {
        links: u64, sidecars_linked: bool, files: Vec<&'static str>
    }
    DatabaseHeaderUnusable "database_header_unusable" "The header of the database is damaged"
        [Notice, Warning, Error] in DatabaseHeader {
        impossible: Vec<HeaderFault>, refused: bool, page_one_in_wal: Option<bool>, table_behind_it: bool; zeros: bool
    }
    DatabaseHeldExclusively "database_held_exclusively" "A process holds the whole database exclusively" [Info, Notice] {
        users: UsersFound
    }
    DatabaseOpaque "database_opaque" "No SQLite header" [Notice, Warning] in DatabaseHeader {
        zeros: bool; page_one_in_wal: Option<bool>
    }
    DatabaseOverwritten "database_overwritten" "The database is not as its wal-index in use left it"
        [Warning, Error] in DatabaseHeader {
        signs: Vec<OverwrittenSign>, wal_index_pages: u32, wal_index_page_size: u32, database_pages: Option<u32>,
        database_page_size: Option<u32>, size: u64; holders: Vec<Holder>
    }
    DatabasePagesZero "database_pages_zero" "All pages behind the first are zeros"
        [Warning, Error] in DatabaseHeader {
        pages: u64, tables: bool
    }
    DatabaseRenamed "database_renamed" "The database or its -wal was renamed while a process has it open" [Error] {
        renamed: RenamedFound
    }
    DatabaseSharedWalIndexNot "database_shared_wal_index_not" "One database, but each side has its own wal-index"
        [Error] {
        indexes: TwoIndexes
    }
    DatabaseSymlinked "database_symlinked" "The database was opened through a symbolic link" [Info] {
        links_followed: u32, leads_to: String
    }
    DatabaseTooShort "database_too_short" "Pages of the database are in neither the database nor the WAL"
        [Warning, Error] in WalAgainstDatabase {
        size: u64, expected: u64, database_pages: u32, missing: u64, first_missing: Option<PageNumber>;
        stated: SizeStated, within_page: bool, cut: Option<Cut>, in_use: bool, holders: Vec<Holder>
    }
    DatabaseWal2 "database_wal2" "A wal2 database" [Error] in DatabaseHeader {
        write_version: u8, read_version: u8
    }
    DifferentDatabases "different_databases" "The sides have different database files" [Warning] {
        databases: TwoDatabases
    }
    FileSystemFull "file_system_full" "The file system has no room for what SQLite needs" [Warning, Error] {
        lacks: Vec<Lack>, available: Option<u64>, available_to_root: Option<u64>, free_inodes: Option<u64>, in_use: bool;
        root: bool
    }
    FileSystemNeedsCare "file_system_needs_care" "A file system where WAL needs care" [Notice] {
        file_system: String; why: &'static str
    }
    FilesReplaced "files_replaced" "Replaced while they were read" [Notice] {}
    HotJournal "hot_journal" "A rollback journal with content" [Notice, Warning, Error] in Journal {
        signs: Vec<JournalSign>, database_change_counter: Option<u32>, journal_change_counter: Option<u32>,
        database_page_size: Option<u32>, journal_page_size: Option<u32>, super_journal: Option<String>,
        database_pages_before: Option<u32>, pages_right: Option<u64>, pages_counted: Option<u64>, under_way: bool,
        walked: Option<Fit>, used_by: Vec<KeptLog>
    }
    LogApart "log_apart" "A process has a log that its database does not have" [Warning, Error] {
        side: String, logs: Vec<KeptLog>
    }
    MappingWithoutLocks "mapping_without_locks" "A process has the wal-index mapped without its locks" [Notice, Warning] {
        users: UsersFound
    }
    PageSizeDiffers "page_size_differs" "The WAL has another page size than the database"
        [Error] in WalAgainstDatabase {
        wal: u32, database: u32
    }
    PagesNeverUsed "pages_never_used" "Pages that nothing leads to" [Warning] in Trees {
        pages: u64, first: PageNumber, of: u64, rolled_back: bool
    }
    SeveralSqliteLibraries "several_sqlite_libraries" "Several SQLite libraries in one process use the wal-index" [Warning] {
        users: UsersFound
    }
    SharedMappingsRefused "shared_mappings_refused" "The file system does not map files shared" [Warning] {
        file_system: Option<String>
    }
    ShmBackfillBeyondMxFrame "shm_backfill_beyond_mx_frame" "More frames are claimed to be copied than there are"
        [Notice, Error] in ShmHeaderAgainstWal {
        backfilled: FrameNumber, mx_frame: FrameNumber
    }
    ShmBeyondWal "shm_beyond_wal" "The wal-index counts frames that the WAL does not have"
        [Notice, Warning, Error] in ShmHeaderAgainstWal {
        mx_frame: FrameNumber, committed: u64, end_frame: FrameNumber, end_reason: EndReason,
        frames_gone: Option<FramesGone>; damaged_before_its_end: bool
    }
    ShmDeleted "shm_deleted" "A mapped -shm that its path does not lead to" [Warning] {
        gone: GoneIndex
    }
    ShmFramesUnreachable "shm_frames_unreachable" "Readers cannot find frames that the wal-index counts"
        [Notice, Error] in ShmHash {
        unreachable: u64, unindexed: u64, full_blocks: u64, frames: Vec<FrameNumber>
    }
    ShmHeaderChecksumWrong "shm_header_checksum_wrong" "The wal-index header has a wrong checksum"
        [Info, Notice, Warning] in ShmHeaders {
        mx_frame: [FrameNumber; 2], checksum_ok: [bool; 2]
    }
    ShmHeaderContradictsWal "shm_header_contradicts_wal" "The wal-index header contradicts the frame it names"
        [Notice, Error] in ShmHeaderAgainstWal {
        mx_frame: FrameNumber, commit_frame: Both<bool>, database_pages: Both<u32>, frame_checksum: Both<Checksum>,
        page_size: Both<u32>, big_endian_checksums: Both<bool>
    }
    ShmHeaderCopiesDiffer "shm_header_copies_differ" "The two wal-index headers differ"
        [Info, Notice, Warning] in ShmHeaders {
        mx_frame: [FrameNumber; 2], checksum_ok: [bool; 2]
    }
    ShmOfOtherWal "shm_of_other_wal" "The wal-index speaks of another WAL" [Notice, Warning, Error]
        in ShmHeaderAgainstWal {
        mx_frame: FrameNumber, shm_salts: Salts, wal_salts: Option<Salts>, in_use: bool,
        frames_gone: Option<FramesGone>; wal_size: Option<u64>
    }
    ShmPagesWrong "shm_pages_wrong" "The wal-index names other pages than the frames do"
        [Notice, Error] in ShmPagesAgainstWal {
        wrong: u64, compared: u64, frames: Vec<WrongPage>
    }
    ShmSlotsDuplicate "shm_slots_duplicate" "Several hash slots lead to one frame" [Notice, Warning] in ShmHash {
        duplicate_slots: u64
    }
    ShmSlotsOutOfOrder "shm_slots_out_of_order" "Readers find an older frame of a page than its newest"
        [Notice, Error] in ShmHash {
        misordered_slots: u64, frames: Vec<FrameOfPage>
    }
    ShmTruncated "shm_truncated" "The -shm is too short for those who use it" [Notice, Error] in ShmHeaders {
        size: u64, needed: u64, mappers: Mappers
    }
    ShmVersionUnsupported "shm_version_unsupported" "A wal-index of another version" [Notice, Error] in ShmHeaders {
        version: u32
    }
    SidecarsElsewhere "sidecars_elsewhere" "-wal or -shm are mounted apart from the database" [Warning] {
        files: Vec<&'static str>, database_device: Device
    }
    SidecarsStricter "sidecars_stricter" "-wal or -shm keep out users whom the database lets in" [Warning] {
        files: Vec<OwnedFile>; database: OwnedFile
    }
    SidecarsUnderOtherName "sidecars_under_other_name" "Its -wal, -shm or -journal may have another name" [Warning, Error] {
        files: Vec<String>, locked: bool, pages_compared: Option<u64>, pages_same: Option<u64>, commits: Option<u64>
    }
    SplitBrain "split_brain" "Running processes use different wal-indexes under one path"
        [Info, Warning, Error] {
        split: SplitIndex
    }
    StaleFramesNotInDatabase "stale_frames_not_in_database" "Frames from before the last restart are not in the database"
        [Warning] in StaleInDatabase {
        compared: u64, missing: u64, pages: Vec<FrameOfPage>, newer: Option<Newer>; zeros: Vec<PageNumber>,
        cut: Option<Cut>, behind_end: bool
    }
    TreesDamaged "trees_damaged" "Pages of tables or indexes do not fit together" [Error] in Trees {
        faults: u64, listed: Vec<TreeFault>, rolled_back: bool
    }
    TwoMountsOfOneFileSystem "two_mounts_of_one_file_system" "What looks like one folder is reached through two mounts"
        [Warning] {
        sides: Sides, file_system: String, devices: [Device; 2], inode: String; why: &'static str
    }
    UsedThroughFuse "used_through_fuse" "The database is in use through a FUSE mount" [Notice, Warning] {
        users: UsersFound
    }
    UsedWithoutWalIndex "used_without_wal_index" "A process has the database open without this wal-index"
        [Notice, Warning, Error] {
        users: UsersFound, deleted_wals: Vec<KeptLog>
    }
    UserCannotWrite "user_cannot_write" "This user cannot write here" [Notice] {
        uid: u32, gid: u32, files: Vec<&'static str>
    }
    WalAheadOfShm "wal_ahead_of_shm" "The WAL holds a commit that the wal-index does not show yet"
        [Info, Notice] in ShmHeaderAgainstWal {
        committed: u64, mx_frame: FrameNumber
    }
    WalBesideRollbackDatabase "wal_beside_rollback_database" "A WAL with commits beside a database in rollback mode"
        [Warning] in WalAgainstDatabase {
        write_version: u8, read_version: u8, committed: u64
    }
    WalBytesMangled "wal_bytes_mangled" "Bytes of the WAL were changed by a transfer" [Warning, Error] in WalFrames {
        change: Change, first_frame: FrameNumber, valid: u64, undone: Option<Undoing>
    }
    WalCommitsBehindBreak "wal_commits_behind_break" "Commits behind a break in the WAL" [Notice, Warning] in WalFrames {
        end_frame: FrameNumber, commits: u64, continued: bool, by_rollback_to: bool, copied: bool, flipped: Option<Flipped>
    }
    WalHeaderUnusable "wal_header_unusable" "The WAL header cannot be used" [Warning, Error] in WalHeader {
        file_size: u64, magic: u32, page_size: u32, checksum_ok: bool, frames_behind: u64, commits_behind: u64,
        compared: Option<u64>, missing: Option<u64>; end_reason: EndReason, first_run: Option<ChainedRun>, readable: bool,
        mangled: bool
    }
    WalIndexSharedDatabaseNot "wal_index_shared_database_not" "One wal-index, but each side has its own database"
        [Error] {
        apart: Apart
    }
    WalIndexSharedWalNot "wal_index_shared_wal_not" "One wal-index, but each side has its own -wal" [Error] {
        apart: Apart
    }
    WalLargeLittleLive "wal_large_little_live" "A large WAL that holds little" [Notice] in WalFrames {
        file_size: u64, live_bytes: u64, pending: u64, in_file: u64; complete: bool, restart: Restart
    }
    WalOfOtherDatabase "wal_of_other_database" "This WAL may not belong to this database"
        [Warning, Error] in WalAgainstDatabase {
        signs: Vec<OtherSign>, database_change_counter: u32, wal_change_counter: Option<u32>,
        first_wal_change_counter: Option<u32>, database_schema_cookie: u32, wal_schema_cookie: Option<u32>,
        database_pages: Option<u32>, committed_pages: Option<u32>, newer: Option<Newer>; stated_in_wal: bool,
        cut: Option<Cut>
    }
    WalTruncated "wal_truncated" "The WAL was cut short while it is in use" [Error] in ShmHeaderAgainstWal {
        mx_frame: FrameNumber, backfilled: FrameNumber, needed: u64, found: u64, committed: u64,
        deleted_wals: Vec<KeptLog>; has_header: bool
    }
    WalVersionUnsupported "wal_version_unsupported" "A WAL of another version" [Error] in WalHeader {
        format_version: u32
    }
    WalWithoutDatabase "wal_without_database" "A WAL with commits, but no database" [Warning] in WalAgainstDatabase {
        committed: u64; empty: bool
    }
    WorkerOnReplacedFiles "worker_on_replaced_files" "A process goes on with files that were replaced"
        [Warning, Error] {
        users: UsersFound
    }
    WrittenInWalResetRange "written_in_wal_reset_range" "Possible wal-reset bug"
        [Info] in DatabaseHeader {
        sqlite_version: u32
    }
}

impl Code {
    /// The gravest severity that it can have.
    #[must_use]
    pub fn gravest(self) -> Severity {
        self.severities().iter().copied().max().unwrap_or(Severity::Error)
    }
}

impl Found {
    /// One wal-index used for two databases, or for two `-wal` files.
    #[must_use]
    pub fn apart(apart: Apart) -> Self {
        match apart.part() {
            Part::Database => Self::WalIndexSharedDatabaseNot { apart },
            _ => Self::WalIndexSharedWalNot { apart },
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
