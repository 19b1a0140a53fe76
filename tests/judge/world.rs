//! A database with its -wal and -shm in memory, healthy to begin with.

use std::io;
use std::sync::{Arc, Mutex};

use walscope::bytes::ReadAt;
use walscope::evidence::{ByteLock, LockState, LocksView, ShmLocks};
use walscope::finding::{Finding, Severity, findings};
use walscope::look::{DatabaseSeen, Inspection, Options, Seen, WalSeen, inspect};

use crate::common::synthetic::{Shm, WalWriter};

pub const PAGE: usize = 512;
pub const SALTS: [u32; 2] = [11, 22];

/// Page 1 of a database: version bytes, change counter, version of the writer.
pub fn page_one(mode: u8, counter: u32, sqlite: u32) -> Vec<u8> {
    let mut page = vec![0; PAGE];
    page[..16].copy_from_slice(b"SQLite format 3\0");
    page[16..18].copy_from_slice(&(PAGE as u16).to_be_bytes());
    page[18..20].copy_from_slice(&[mode, mode]);
    page[21..24].copy_from_slice(&[64, 32, 32]);
    page[24..28].copy_from_slice(&counter.to_be_bytes());
    page[96..100].copy_from_slice(&sqlite.to_be_bytes());
    page
}

/// What is in the files, and who has them open.
pub struct World {
    pub database: Option<Vec<u8>>,
    pub wal: Option<WalWriter>,
    pub shm: Option<Vec<u8>>,
    pub locks: Option<ShmLocks>,
    /// The lock on the database itself.
    pub database_lock: LockState,
    /// Whether the names lead to other files by now.
    pub replaced: bool,
}

/// Frames: 1 page 1, 2 page 2, 3 page 3 (commit of 4 pages), 4 page 2 (commit). The first three are copied.
pub fn healthy() -> World {
    with_page_one(&page_one(2, 5, 3_053_000))
}

/// The same with another page 1, in the WAL and in the database.
pub fn with_page_one(one: &[u8]) -> World {
    let mut wal = WalWriter::new(PAGE, false, SALTS);
    wal.frame_of(1, 0, one).frame(2, 0, 2).frame(3, 4, 3).frame(2, 4, 9);
    let database = [one.to_vec(), vec![2; PAGE], vec![3; PAGE], vec![4; PAGE]].concat();
    let shm = index(&wal).bytes(false);
    World {
        database: Some(database),
        wal: Some(wal),
        shm: Some(shm),
        locks: Some(open()),
        database_lock: LockState::Unknown,
        replaced: false,
    }
}

/// The wal-index of the four frames.
pub fn index(wal: &WalWriter) -> Shm {
    Shm {
        page_size: PAGE as u32,
        change: 2,
        mx_frame: 4,
        database_pages: 4,
        frame_checksum: wal.checksum(),
        salts: SALTS,
        backfilled: 3,
        attempted: 3,
        marks: [0, 4, u32::MAX, u32::MAX, u32::MAX],
        pages: vec![1, 2, 3, 2],
    }
}

pub fn byte(state: LockState) -> ByteLock {
    ByteLock { state, reason: None, holders: Vec::new() }
}

/// Nobody has the -shm open.
pub fn at_rest() -> ShmLocks {
    let free = || byte(LockState::Free);
    ShmLocks {
        write: free(),
        checkpoint: free(),
        recover: free(),
        read: [free(), free(), free(), free(), free()],
        dead_man_switch: free(),
    }
}

/// Somebody has.
pub fn open() -> ShmLocks {
    ShmLocks { dead_man_switch: byte(LockState::Shared), ..at_rest() }
}

/// And writes.
pub fn writing() -> ShmLocks {
    ShmLocks { write: byte(LockState::Exclusive), ..open() }
}

impl World {
    pub fn wal(&mut self) -> &mut WalWriter {
        self.wal.as_mut().unwrap()
    }

    pub fn database(&mut self) -> &mut Vec<u8> {
        self.database.as_mut().unwrap()
    }

    pub fn shm(&mut self) -> &mut Vec<u8> {
        self.shm.as_mut().unwrap()
    }

    /// Writes the wal-index anew, changed.
    pub fn reindex(&mut self, change: impl FnOnce(&mut Shm)) {
        let mut shm = index(self.wal());
        change(&mut shm);
        self.shm = Some(shm.bytes(false));
    }

    pub fn examine(&self) -> Inspection {
        inspect(self, &Options::default()).unwrap()
    }

    pub fn findings(&self) -> Vec<Finding> {
        findings(&self.examine())
    }

    pub fn codes(&self) -> Vec<(String, Severity)> {
        self.findings().into_iter().map(|finding| (finding.code().name().to_owned(), finding.severity)).collect()
    }
}

fn arc(bytes: &[u8]) -> Arc<dyn ReadAt> {
    Arc::new(bytes.to_vec())
}

impl Seen for World {
    fn database(&self) -> io::Result<DatabaseSeen> {
        Ok(self.database.as_ref().map_or(DatabaseSeen::Absent, |bytes| DatabaseSeen::Whole(arc(bytes))))
    }

    fn wal(&self) -> io::Result<WalSeen> {
        Ok(self.wal.as_ref().map_or(WalSeen::Absent, |wal| WalSeen::Whole(arc(&wal.bytes))))
    }

    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        Ok(self.shm.as_deref().map(arc))
    }

    fn locks(&self) -> Option<LocksView> {
        self.locks.clone().map(|shm| LocksView::new(shm, byte(self.database_lock)))
    }

    fn in_place(&self) -> bool {
        !self.replaced
    }
}

/// A world in which something happens at a step of the look.
pub struct Moving(pub Arc<Mutex<World>>, pub Arc<Mutex<Option<Event>>>);

/// What happens, and when.
pub struct Event {
    pub at: Moment,
    pub change: Box<dyn FnOnce(&mut World) + Send>,
}

/// Moments of a look.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The database's length is known, no page behind the first was read.
    DatabasePage,
    /// The WAL is looked at for the second time.
    WalAgain,
    /// The WAL is read: its head was looked at once before.
    Wal,
    /// The next time that the WAL is looked at.
    NextWal,
}

impl Moving {
    pub fn new(world: World, at: Moment, change: impl FnOnce(&mut World) + Send + 'static) -> Self {
        let event = Event { at, change: Box::new(change) };
        Self(Arc::new(Mutex::new(world)), Arc::new(Mutex::new(Some(event))))
    }

    pub fn happened(&self) -> bool {
        self.1.lock().unwrap().is_none()
    }
}

fn happen(world: &Mutex<World>, event: &Mutex<Option<Event>>, at: Moment) {
    let due = event.lock().unwrap().take_if(|event| event.at == at);
    if let Some(event) = due {
        (event.change)(&mut world.lock().unwrap());
    }
}

/// One file of a moving world: each reading sees what is there then, within the length it had when it was looked at.
struct Now {
    world: Arc<Mutex<World>>,
    event: Arc<Mutex<Option<Event>>>,
    file: fn(&World) -> Vec<u8>,
    is_database: bool,
    len: u64,
}

impl ReadAt for Now {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.is_database && offset > 0 {
            happen(&self.world, &self.event, Moment::DatabasePage);
        }
        let mut bytes = (self.file)(&self.world.lock().unwrap());
        bytes.truncate(self.len as usize);
        bytes.read_at(buf, offset)
    }
}

impl Moving {
    fn file(&self, file: fn(&World) -> Vec<u8>, is_database: bool) -> Arc<dyn ReadAt> {
        let len = file(&self.0.lock().unwrap()).len() as u64;
        Arc::new(Now { world: Arc::clone(&self.0), event: Arc::clone(&self.1), file, is_database, len })
    }
}

impl Seen for Moving {
    fn database(&self) -> io::Result<DatabaseSeen> {
        Ok(DatabaseSeen::Whole(self.file(|world| world.database.clone().unwrap(), true)))
    }

    fn wal(&self) -> io::Result<WalSeen> {
        happen(&self.0, &self.1, Moment::NextWal);
        // Each call leaves an event for the next: the first is for the head, the second for the frames.
        if let Some(event) = self.1.lock().unwrap().as_mut() {
            event.at = match event.at {
                Moment::WalAgain => Moment::Wal,
                Moment::Wal => Moment::NextWal,
                at => at,
            };
        }
        Ok(WalSeen::Whole(self.file(|world| world.wal.as_ref().unwrap().bytes.clone(), false)))
    }

    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        Ok(Some(self.file(|world| world.shm.clone().unwrap(), false)))
    }

    fn locks(&self) -> Option<LocksView> {
        self.0.lock().unwrap().locks()
    }

    fn in_place(&self) -> bool {
        !self.0.lock().unwrap().replaced
    }
}
