//! The states of a database that processes have open.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::{fs, io};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;
use walscope::bytes::ReadAt;
use walscope::evidence::LocksView;
use walscope::look::{DatabaseSeen, Options, Seen, WalSeen, inspect};
use walscope::report::inspect::InspectDocument;

use super::actor::{Actor, Answer};
use super::stage::{INSERT, Source, Stage};
use crate::common::command::walscope;
use crate::common::rewritten::rewritten;

pub fn nothing_waits(stage: &mut Stage) {
    stage.create(4);
}

pub fn begun_anew(stage: &mut Stage) {
    restarted(stage);
}

/// A transaction that begins the WAL anew and is rolled back. Returns the database of before.
pub fn restarted(stage: &mut Stage) -> Vec<u8> {
    stage.create(4);
    let before = stage.bytes("");
    stage.insert(12);
    stage.checkpoint("PASSIVE");
    spill(stage).sql("a", "ROLLBACK");
    before
}

/// What a writer leaves that dies between the write to the -wal and the one to the wal-index: the frames come from another
/// copy of the same files.
pub fn commit_not_shown(stage: &mut Stage) {
    stage.create(4);
    let mut other = Stage::new();
    for suffix in ["", "-wal"] {
        other.put(suffix, &stage.bytes(suffix));
    }
    other.join();
    other.insert(1);
    stage.put("-wal", &other.bytes("-wal"));
    stage.rows += 1;
}

pub fn no_commit(stage: &mut Stage) {
    stage.create(4);
    spill(stage);
}

/// A transaction that is larger than the cache is written to the WAL before its commit.
pub fn spill(stage: &mut Stage) -> &mut Actor {
    let writer = stage.join();
    writer.sql("a", "PRAGMA cache_size=5");
    writer.sql("a", "BEGIN");
    for _ in 0..20 {
        writer.sql("a", INSERT);
    }
    writer
}

pub fn wait_checkpoint_copies(stage: &mut Stage) {
    stage.create(4);
    stage.insert(2);
}

pub fn wait_cannot_restart(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    stage.reader();
}

pub fn wait_readers_unseen(stage: &mut Stage) {
    wait_cannot_restart(stage);
    hide_read_locks(stage);
}

pub fn blocked(stage: &mut Stage) {
    stage.create(4);
    stage.insert(1);
    stage.reader();
    stage.insert(1);
}

pub fn blocked_by_database_reader(stage: &mut Stage) {
    stage.create(4);
    stage.reader();
    stage.insert(2);
}

/// A checkpoint that waits for a reader.
pub fn in_progress(stage: &mut Stage) {
    blocked(stage);
    let mut actor = Actor::with("a", &stage.file(""));
    actor.sql("a", "SELECT count(*) FROM sqlite_master");
    actor.hold_when_busy("a");
    assert_eq!(actor.ask_sql("a", "PRAGMA wal_checkpoint(FULL)"), Answer::Waits);
    stage.there.insert(1, actor);
}

/// A checkpoint that fails half-way: the file system has no room for the new pages of the database.
pub fn interrupted(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    let pid = stage.there[0].pid();
    limit(pid, Some(stage.bytes("").len() as u64));
    assert!(matches!(stage.there[0].ask_sql("a", "PRAGMA wal_checkpoint"), Answer::Failed(_)));
    limit(pid, None);
}

/// Limits the size of files that a process writes.
pub fn limit(pid: u32, bytes: Option<u64>) {
    let pid = Pid::from_raw(pid.try_into().unwrap());
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

pub fn copied_nothing_to_do(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    stage.checkpoint("PASSIVE");
}

pub fn copied_cannot_restart(stage: &mut Stage) {
    wait_cannot_restart(stage);
    stage.checkpoint("PASSIVE");
}

pub fn copied_writer_at_work(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    stage.join().sql("a", "BEGIN IMMEDIATE");
    stage.checkpoint("PASSIVE");
}

pub fn copied_readers_unseen(stage: &mut Stage) {
    copied_cannot_restart(stage);
    hide_read_locks(stage);
}

/// A process that opens and closes its own -shm drops its locks on it.
pub fn without_index(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    let shm = stage.file("-shm");
    assert_eq!(stage.there[0].ask(&format!("touch {}", shm.display())), Answer::Done(String::new()));
}

/// The wal-index is in the memory of the one process. A -shm of before is left over.
pub fn exclusive_beside_a_left_over(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    stage.kill_all();
    exclusive(stage);
}

/// Without a -shm.
pub fn exclusive_without_shm(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    stage.there[0].close();
    stage.kill_all();
    exclusive(stage);
}

fn exclusive(stage: &mut Stage) {
    let mut actor = Actor::with("a", &stage.file(""));
    actor.sql("a", "PRAGMA locking_mode=EXCLUSIVE");
    actor.sql("a", INSERT);
    stage.rows += 1;
    stage.add(actor);
}

/// The process goes on with its -shm, and takes no lock of it any more.
pub fn exclusive_from_now_on(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    let actor = &mut stage.there[0];
    actor.sql("a", "PRAGMA locking_mode=EXCLUSIVE");
    actor.sql("a", INSERT);
    stage.rows += 1;
}

/// A bundle in which the locks of readers are as they are on NFS, where one that is not seen may be held all the same.
fn hide_read_locks(stage: &mut Stage) {
    assert_eq!(walscope(stage.folder(), &["snapshot", "t.db", "-o", "t.walsnap"]).code, 0);
    let bundle = fs::read(stage.folder().join("t.walsnap")).unwrap();
    let mut manifest = String::new();
    for entry in tar::Archive::new(bundle.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().to_str() == Some("manifest.json") {
            entry.read_to_string(&mut manifest).unwrap();
        }
    }
    let mut manifest: Value = serde_json::from_str(&manifest).unwrap();
    let hide = |lock: &mut Value| {
        lock["state"] = "unknown".into();
        lock["reason"] = "this file system does not show the locks of others".into();
        lock["holders"] = Value::Array(Vec::new());
    };
    let locks = manifest.pointer_mut("/evidence/locks").unwrap_or_else(|| panic!("no locks"));
    let read = find(locks, "read").unwrap_or_else(|| panic!("no read locks"));
    read.as_array_mut().unwrap().iter_mut().for_each(hide);
    let written = rewritten(&bundle, "manifest.json", &serde_json::to_vec(&manifest).unwrap());
    fs::write(stage.folder().join("hidden.walsnap"), written).unwrap();
    stage.source = Source::Other("hidden.walsnap".to_owned());
}

fn find<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    let object = value.as_object_mut()?;
    if object.contains_key(name) {
        return object.get_mut(name);
    }
    object.values_mut().find_map(|value| find(value, name))
}

/// The files at the path, which the last connection removes while they are read.
struct Closing<'a> {
    stage: Mutex<&'a mut Stage>,
    closed: AtomicBool,
}

impl Seen for Closing<'_> {
    fn database(&self) -> io::Result<DatabaseSeen> {
        Ok(DatabaseSeen::Whole(Arc::new(self.stage.lock().unwrap().bytes(""))))
    }

    fn wal(&self) -> io::Result<WalSeen> {
        let mut stage = self.stage.lock().unwrap();
        if stage.file("-wal").exists() {
            let seen: Arc<dyn ReadAt> = Arc::new(stage.bytes("-wal"));
            stage.there[0].close();
            stage.kill_all();
            self.closed.store(true, Ordering::Relaxed);
            return Ok(WalSeen::Whole(seen));
        }
        Ok(WalSeen::Absent)
    }

    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        let stage = self.stage.lock().unwrap();
        Ok(fs::read(stage.file("-shm")).ok().map(|bytes| Arc::new(bytes) as Arc<dyn ReadAt>))
    }

    fn locks(&self) -> Option<LocksView> {
        None
    }

    fn in_place(&self) -> bool {
        !self.closed.load(Ordering::Relaxed)
    }
}

/// No process can be stopped at this moment, so this look goes through the library.
pub fn replaced(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    let seen = Closing { stage: Mutex::new(stage), closed: AtomicBool::new(false) };
    let looked = inspect(&seen, &Options::default()).unwrap();
    stage.source = Source::Looked(serde_json::to_value(InspectDocument::new(&looked)).unwrap());
}
