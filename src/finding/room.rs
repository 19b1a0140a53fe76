//! A file system without room for what SQLite has to make: the `-shm`, a new file, one more frame, or a `-journal`.
//!
//! folklore: a connection in WAL mode makes the `-shm` 32 KiB long and writes a byte to each page of it, so that it never dies
//! of SIGBUS for want of space later. Where that fails, it cannot even read (SQLITE_IOERR_SHMSIZE), and a `-shm` of 3 bytes
//! stays. The first connection cuts a `-shm` to 3 bytes, and what that frees is there for the new one. Held by
//! `a_full_file_system_is_named_and_sqlite_agrees`.

use super::lacks::Lack;
use super::users::in_rollback_mode;
use super::value::UsersFound;
use super::{Code, Finding, Found, Severity};
use crate::evidence::file_system::FileSystemKind;
use crate::evidence::{Evidence, FileView, LockState, MountAccess, SpaceView, SwitchLock};
use crate::format::db::{DatabaseHead, JournalMode};
use crate::format::shm::{BLOCK_SIZE, block_of};
use crate::format::wal::{FRAME_HEADER_SIZE, HEADER_SIZE};
use crate::look::checkpoint::{CheckpointState, Restart};
use crate::look::{HotJournal, Inspection};
use crate::number::FrameNumber;

/// The finding about one look: what is needed next, and does not fit.
#[must_use]
pub fn of_look(examined: &Inspection) -> Option<Finding> {
    let evidence = examined.surroundings.as_ref().filter(|_| !examined.changed && !examined.replaced)?;
    let folder = evidence.files.directory.value()?;
    // Through a read-only mount nothing is made, whatever room there is.
    let writable = folder.mount_access.value() == Some(&MountAccess::ReadWrite);
    let room = Room { examined, evidence, space: evidence.space.value().filter(|_| writable)? };
    if !room.beside(folder) {
        return None;
    }
    let lacks = if room.in_wal_mode() { room.lacks(room.root()) } else { room.of_journal(room.root()) };
    if lacks.is_empty() {
        return None;
    }
    let exact = FileSystemKind::of(folder.file_system.value()?).exact_room;
    let certain = exact && room.in_wal_mode() && room.lacks(true).iter().any(|lack| room.fails_in_use(lack));
    let severity = if certain { Severity::Error } else { Severity::Warning };
    let space = room.space;
    let found = Found::FileSystemFull {
        lacks,
        available: space.free_bytes(false),
        available_to_root: space.free_bytes(true),
        free_inodes: (space.inodes > 0).then_some(space.free_inodes),
        in_use: examined.in_use(),
        root: room.root(),
    };
    Some(Finding::at(severity, found))
}

/// Takes away what is only a sign of the want of room: a `-shm` that could not be made longer, and connections that
/// wait without it.
pub fn explain(full: &Finding, found: &mut Vec<Finding>) {
    if shm_not_made(full) {
        take_signs_away(found);
    }
}

/// Takes away what is only a sign of a wal-index that could not be made.
pub(super) fn take_signs_away(found: &mut Vec<Finding>) {
    found.retain(|one| match one.code() {
        Code::ShmTruncated => one.severity > Severity::Notice,
        Code::ShmHeaderChecksumWrong | Code::ShmHeaderCopiesDiffer => false,
        _ => true,
    });
    for one in found.iter_mut() {
        if let Found::UsedWithoutWalIndex { users: UsersFound::Side { users, .. }, deleted_wals } = &mut one.found {
            let has_deleted = |pid: u32| deleted_wals.iter().any(|wal| wal.pid == pid);
            users.retain(|user| user.dead_man_switch != SwitchLock::Held || has_deleted(user.pid));
        }
    }
    found.retain(|one| {
        !matches!(&one.found, Found::UsedWithoutWalIndex { users: UsersFound::Side { users, .. }, .. } if users.is_empty())
    });
}

/// Whether there is no room for the first block of the `-shm`: its header was not written either.
#[must_use]
pub fn shm_not_made(full: &Finding) -> bool {
    let block = BLOCK_SIZE as u64;
    let first = |lack: &Lack| matches!(lack, Lack::Shm { size, .. } if size.is_none_or(|size| size < block));
    matches!(&full.found, Found::FileSystemFull { lacks, .. } if lacks.iter().any(first))
}

/// Bytes of the header of a `-journal`: a sector.
const JOURNAL_HEADER: u64 = 512;
/// Bytes around each page in a `-journal`: its number and its checksum.
const JOURNAL_OF_PAGE: u64 = 8;

/// One look, and the room that was there.
struct Room<'a> {
    examined: &'a Inspection,
    evidence: &'a Evidence,
    space: &'a SpaceView,
}

impl Room<'_> {
    /// Whether the `-wal` and the `-shm` are on the file system of the folder.
    fn beside(&self, folder: &FileView) -> bool {
        let files = &self.evidence.files;
        [&files.wal, &files.shm].into_iter().filter_map(|file| file.value()).all(|file| file.device == folder.device)
    }

    /// Whether blocks that are kept for root count: root looks, and the database is root's.
    fn root(&self) -> bool {
        let owner = self.evidence.files.database.value().map(|database| database.uid);
        self.evidence.host.uid == Some(0) && owner == Some(0)
    }

    /// Whether a connection would use a `-wal` and a `-shm`.
    fn in_wal_mode(&self) -> bool {
        let Some(database) = &self.examined.database else { return false };
        let committed = self.examined.wal.as_ref().is_some_and(|wal| wal.frames.committed > 0);
        match database {
            DatabaseHead::Plain(header) => {
                header.journal_mode() == JournalMode::Wal
                    || committed && !in_rollback_mode(self.evidence, Some(database))
            }
            DatabaseHead::Opaque { .. } => committed,
            DatabaseHead::Empty => false,
        }
    }

    /// Everything that there is no room for.
    fn lacks(&self, root: bool) -> Vec<Lack> {
        let free = self.space.free_bytes(root).unwrap_or(u64::MAX);
        let (size, needed, more) = self.shm().unwrap_or_default();
        let shm = (more > free).then_some(Lack::Shm { size, needed, more });
        // Who opens the database takes the room of the -shm before a frame is written.
        let left = if shm.is_some() { free } else { free - more };
        [shm, self.new_files(), self.frame(left)].into_iter().flatten().collect()
    }

    /// What there is no room for where the next writer makes a `-journal`.
    ///
    /// folklore: it begins with a header of 512 bytes. Each transaction changes page 1, whose old content comes next, with 8 bytes
    /// around it; a database without pages has none to save. A journal of `journal_mode=PERSIST` has its room already, and one that waits
    /// is rolled back and deleted first. Held by `a_rollback_journal_needs_room_and_sqlite_agrees`.
    fn of_journal(&self, root: bool) -> Vec<Lack> {
        let database = self.examined.database.as_ref();
        let needed = match database {
            Some(DatabaseHead::Empty) => JOURNAL_HEADER,
            Some(DatabaseHead::Plain(header)) if header.journal_mode() == JournalMode::Rollback => {
                let page = database.and_then(DatabaseHead::page_size).map_or(0, u64::from);
                JOURNAL_HEADER.saturating_add(page).saturating_add(JOURNAL_OF_PAGE)
            }
            _ => return Vec::new(),
        };
        let with_wal = self.evidence.files.wal.value().is_some_and(|wal| wal.size > 0);
        if with_wal || self.examined.hot_journal != HotJournal::None {
            return Vec::new();
        }
        let size = match self.evidence.files.journal.known() {
            Some(journal) => journal.map(|journal| journal.size),
            None => return Vec::new(),
        };
        let no_inode = size.is_none() && self.space.inodes > 0 && self.space.free_inodes == 0;
        let free = self.space.free_bytes(root).unwrap_or(u64::MAX);
        let more = self.space.in_blocks(needed).saturating_sub(self.space.in_blocks(size.unwrap_or(0)));
        let bytes = (more > free).then_some(Lack::Journal { more });
        [no_inode.then_some(Lack::NewJournal), bytes].into_iter().flatten().collect()
    }

    fn size_of_shm(&self) -> Option<u64> {
        self.evidence.files.shm.value().map(|shm| shm.size)
    }

    fn mx_frame(&self) -> FrameNumber {
        self.examined.trusted().map_or(FrameNumber::NONE, |header| header.mx_frame)
    }

    /// Whether somebody keeps the wal-index in memory.
    fn exclusive(&self) -> bool {
        self.examined.locks.as_ref().is_some_and(|locks| locks.database.state == LockState::Exclusive)
    }

    /// The size of the `-shm`, the bytes that it needs, and those that the file system has to add; `None`: it is long enough.
    fn shm(&self) -> Option<(Option<u64>, u64, u64)> {
        if self.exclusive() {
            return None;
        }
        let frames = if self.examined.in_use() {
            self.mx_frame()
        } else {
            FrameNumber(self.examined.wal.as_ref().map_or(0, |wal| wal.frames.committed))
        };
        let blocks = if frames == FrameNumber::NONE { 1 } else { u64::from(block_of(frames)).saturating_add(1) };
        let needed = blocks.saturating_mul(BLOCK_SIZE as u64);
        let size = self.size_of_shm();
        if size >= Some(needed) {
            return None;
        }
        let has = self.space.shm_allocated.unwrap_or(0);
        let more = self.space.in_blocks(needed).saturating_sub(has);
        Some((size, needed, more))
    }

    fn new_files(&self) -> Option<Lack> {
        let missing = [self.examined.sizes.wal, self.examined.sizes.shm].iter().filter(|size| size.is_none()).count();
        let files = missing as u64;
        let unknown = self.space.inodes == 0 || self.examined.in_use() || self.exclusive();
        (!unknown && files > self.space.free_inodes).then_some(Lack::NewFiles { files })
    }

    /// The frame that the next writer writes first, if there is no room for it.
    fn frame(&self, free: u64) -> Option<Lack> {
        let wal = self.examined.wal.as_ref()?;
        let of_database = self.examined.database.as_ref().and_then(DatabaseHead::page_size);
        let frame = u64::from(wal.page_size().or(of_database)?).saturating_add(FRAME_HEADER_SIZE as u64);
        let checkpoint = self.examined.checkpoint.as_ref();
        let from_start = checkpoint.is_some_and(|checkpoint| {
            checkpoint.state == CheckpointState::Complete && checkpoint.restart != Restart::HeldUp
        });
        let before = match (self.examined.in_use(), from_start) {
            (true, true) => 0,
            (true, false) => self.mx_frame().count().max(wal.frames.committed),
            (false, _) => wal.frames.committed,
        };
        let end = (HEADER_SIZE as u64).saturating_add(before.saturating_add(1).saturating_mul(frame));
        let size = self.evidence.files.wal.value().map_or(0, |wal| wal.size);
        let has = self.space.in_blocks(size).max(self.space.wal_allocated.unwrap_or(0));
        let more = self.space.in_blocks(end).saturating_sub(has);
        (more > free).then_some(Lack::Frame { more })
    }

    /// Whether a process that has the database open certainly fails for want of this.
    fn fails_in_use(&self, lack: &Lack) -> bool {
        match lack {
            Lack::Shm { .. } | Lack::Frame { .. } => self.examined.in_use(),
            Lack::NewFiles { .. } | Lack::NewJournal | Lack::Journal { .. } => false,
        }
    }
}
