//! Full disks: a database on a small tmpfs, whose transactions and checkpoints fail for want of room, and whose processes
//! are killed. SQLite loses no commit by that, so nothing is worth a warning but that the disk is full. It needs root.
//!
//! `WALSCOPE_DISKS=1000 cargo test --release --test campaign full_disk -- --nocapture` fills more disks.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::child::{AtLimit, Child, Reply};
use crate::common::have;
use crate::common::random::Random;
use crate::moments::{Bench, Content, Files, Told, told_with_surroundings};
use crate::tally::Tally;

/// Disks of a plain test run.
const DISKS: u64 = 8;

/// A tmpfs of so many KiB, until it is dropped.
struct Disk(PathBuf);

impl Disk {
    fn new(folder: &Path, kilobytes: u64) -> Self {
        let size = std::ffi::CString::new(format!("size={kilobytes}k")).unwrap();
        mount("tmpfs", folder, "tmpfs", MountFlags::empty(), Some(size.as_c_str())).unwrap();
        Self(folder.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// Opens the database, in a new process if the last one was killed; `false` if there is no room for that.
fn open(child: &mut Child, path: &Path) -> bool {
    let commands = [format!("open 0 file:{}", path.display()), "sql 0 SELECT count(*) FROM t".to_owned()];
    commands.iter().all(|command| matches!(child.ask(command), Reply::Done(_)))
}

fn fill_one(seed: u64, bench: &Bench, tally: &mut Tally) {
    let mut random = Random(seed ^ 0x6469_736b);
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path(), 120 + random.below(300));
    let (path, filler) = (disk.0.join("t.db"), disk.0.join("filler"));
    let mut child = Child::start(AtLimit::Fails);
    let page_size = random.pick(&[512, 1024, 4096]);
    child.done(&format!("open 0 file:{}", path.display()));
    child.done(&format!(
        "sql 0 PRAGMA page_size={page_size}; PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB)"
    ));
    let mut holds = bench.content(&Files::of(&path));
    for step in 0..40 {
        let bytes = 1 + random.below(9000);
        let what = random.below(12);
        let command = match what {
            0..=4 => format!("sql 0 INSERT INTO t(b) VALUES (randomblob({bytes}))"),
            5 | 6 => "sql 0 UPDATE t SET b = randomblob(length(b))".to_owned(),
            7 => "sql 0 DELETE FROM t WHERE id % 3 = 0".to_owned(),
            8 => "sql 0 VACUUM".to_owned(),
            _ => format!("checkpoint 0 {}", random.pick(&["PASSIVE", "RESTART", "TRUNCATE"])),
        };
        if random.one_in(8) {
            // Somebody else takes the room, or gives it back.
            let _ = if filler.exists() { fs::remove_file(&filler) } else { fs::write(&filler, vec![1; 1 << 20]) };
        }
        let reply = child.ask(&command);
        let files = Files::of(&path);
        let now = bench.content(&files);
        let failed = matches!(reply, Reply::Failed(_));
        if failed || what > 7 {
            assert_eq!(now, holds, "seed {seed}, step {step}: {command}: {reply:?}");
        }
        assert!(matches!(now, Content::Rows(_)), "seed {seed}, step {step}: {command}: {now:?}");
        holds = now;
        let (kind, _) = command.split_once(' ').unwrap();
        tally.count(format!("{kind} {}", if failed { "failed" } else { "done" }));
        for files in [files.clone(), files.without_index()] {
            let told = bench.told(&files);
            assert!(!matches!(told, Told::Warned(_)), "seed {seed}, step {step}: {command}: {reply:?}: {told:?}");
        }
        match told_with_surroundings(&path) {
            Told::Warned(codes) if codes == "file_system_full" => tally.count("said to be full"),
            Told::Warned(codes) => panic!("seed {seed}, step {step}: {command}: {reply:?}: {codes}"),
            Told::Sound | Told::Noted(_) | Told::Refused(_) => {
                tally.count(if failed { "failed, and not said to be full" } else { "room" })
            }
        }
        if failed && random.one_in(4) {
            child.kill();
            child = Child::start(AtLimit::Fails);
            tally.count("killed");
            while !open(&mut child, &path) {
                tally.count("no room to open it");
                if !filler.exists() {
                    return;
                }
                let _ = fs::remove_file(&filler);
            }
        }
    }
}

#[test]
fn a_full_disk_is_no_damage() {
    if !have("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let disks = crate::number("WALSCOPE_DISKS").unwrap_or(DISKS);
    let (bench, mut tally) = (Bench::new(), Tally::default());
    for seed in 0..disks {
        fill_one(seed, &bench, &mut tally);
        tally.histories += 1;
    }
    println!("{tally}");
    for what in ["sql failed", "checkpoint failed", "killed"] {
        assert!(tally.of(what) > 0, "{what}: never\n{tally}");
    }
}
