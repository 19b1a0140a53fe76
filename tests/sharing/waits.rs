//! Processes that have the database locked and no wal-index, because they wait or could not open it, and who serves a FUSE mount.

use std::path::Path;

use crate::common::command::walscope;
use crate::common::{self};
use crate::idle::Bindfs;
use crate::sqlite::Sqlite;
use crate::users::{database, findings, found, python};

/// A program that asks for exclusive locking mode while others have the database open. It says so when it waits: the thread that
/// looks has seen its lock.
const EXCLUSIVE: &str = r"
import os, sqlite3, sys, threading
def wait():
    db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=600)
    db.execute('PRAGMA locking_mode=EXCLUSIVE')
    db.execute('SELECT * FROM t').fetchall()
threading.Thread(target=wait, daemon=True).start()
name = ' %d ' % os.getpid()
while not any(name in line for line in open('/proc/locks')):
    pass
print('waits', flush=True)
sys.stdin.read()
os._exit(0)
";

#[test]
fn who_waits_for_exclusive_mode_is_not_accused() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(folder.path());
    let Some((mut child, line)) = python(EXCLUSIVE, &[folder.path().join("t.db").as_os_str()]) else { return };
    assert_eq!(line, "waits\n");
    let ran = walscope(folder.path(), &["inspect", "t.db", "--json"]);
    assert_eq!(findings(&ran.json()), found("used_without_wal_index", "notice", child.id()));
    let told = ran.json()["checkpoint"]["explanation"].as_str().unwrap().to_owned();
    assert!(!told.contains("But process"), "{told}");
    let compared = walscope(folder.path(), &["compare", "t.db", "t.db", "--json"]).json();
    let of_child: Vec<_> = findings(&compared).into_iter().filter(|found| found.2 == [u64::from(child.id())]).collect();
    assert!(of_child.iter().all(|found| found.1 == "notice"), "{of_child:?}");
    drop(child.stdin.take());
    child.wait().unwrap();
}

/// A program that fails to read through a read-only mount without a `-shm`, and keeps its connection.
const FAILS: &str = r"
import sqlite3, sys
db = sqlite3.connect('file:' + sys.argv[1], uri=True)
try:
    db.execute('SELECT * FROM t')
except sqlite3.OperationalError as error:
    print(error, flush=True)
sys.stdin.read()
";

#[test]
fn who_could_not_open_the_shm_is_not_accused() {
    if !common::have("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [low, mount] = ["low", "mount"].map(|name| folder.path().join(name));
    std::fs::create_dir(&low).unwrap();
    std::fs::create_dir(&mount).unwrap();
    let made = Sqlite::open(&low.join("t.db"));
    // A -wal, and no -shm.
    std::fs::copy(low.join("t.db-wal"), low.join("kept")).unwrap();
    drop(made);
    std::fs::rename(low.join("kept"), low.join("t.db-wal")).unwrap();
    let _ = std::fs::remove_file(low.join("t.db-shm"));
    let run = |words: &[&str], path: &Path| {
        std::process::Command::new(words[0]).args(&words[1..]).arg(path).status().unwrap().success()
    };
    if !common::have("mount", run(&["mount", "--bind", low.to_str().unwrap()], &mount)) {
        return;
    }
    let result = std::panic::catch_unwind(|| {
        assert!(run(&["mount", "-o", "remount,ro,bind"], &mount));
        let Some((mut child, line)) = python(FAILS, &[mount.join("t.db").as_os_str()]) else { return };
        assert_eq!(line, "unable to open database file\n");
        let document = walscope(&mount, &["inspect", "t.db", "--json"]).json();
        assert_eq!(findings(&document), found("used_without_wal_index", "notice", child.id()));
        // A writer elsewhere makes a -shm: the connection that failed has none, as before.
        let _writer = Sqlite::open(&low.join("t.db"));
        let document = walscope(&mount, &["inspect", "t.db", "--json"]).json();
        assert_eq!(findings(&document), found("used_without_wal_index", "notice", child.id()));
        drop(child.stdin.take());
        child.wait().unwrap();
    });
    assert!(run(&["umount", "-l"], &mount));
    result.unwrap();
}

#[test]
fn who_serves_a_fuse_mount_is_no_user_of_the_files_behind_it() {
    let Some(bindfs) = Bindfs::mount() else { return };
    let (mount, low) = (bindfs.folder(), bindfs.folder().with_file_name("low"));
    let _writer = Sqlite::open(&mount.join("t.db"));
    let document = walscope(&low, &["inspect", "t.db", "--json"]).json();
    let [(code, severity, pids)] = findings(&document).try_into().unwrap();
    assert_eq!((code.as_str(), severity.as_str(), pids.len()), ("used_through_fuse", "notice", 1));
    let server = std::fs::read_to_string(format!("/proc/{}/comm", pids[0])).unwrap();
    assert_eq!(server, "bindfs\n");
    let page = walscope(&low, &["inspect", "t.db"]).text();
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains("other processes have the database open through that mount"), "{page}");
    // Kernels before 6.17 do not say which mount a process serves.
    let names = std::fs::read_dir(format!("/proc/{}/fdinfo", pids[0])).unwrap().map(|entry| entry.unwrap().path());
    if names.filter_map(|path| std::fs::read_to_string(path).ok()).any(|text| text.contains("fuse_connection:")) {
        assert!(page.contains(&format!("is the server of {}", mount.display())), "{page}");
    }
    // A -wal that is deleted behind the mount has another name beside it.
    std::fs::remove_file(mount.join("t.db-wal")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let saved = walscope(&low, &["rescue", "t.db", "-o", out.path().join("beside").to_str().unwrap(), "--json"]);
    let document = saved.json();
    let behind = &document["sets"][0]["behind_fuse"][0];
    assert_eq!((saved.code, &behind["pid"]), (1, &pids[0].into()), "{document:#}");
    if !behind["open"].is_null() {
        let source = format!("pid:{}:{}", behind["open"][0], behind["open"][1].as_str().unwrap());
        let saved = walscope(&low, &["rescue", &source, "-o", out.path().join("behind").to_str().unwrap(), "--json"]);
        let parts = saved.json()["sets"][0]["files"].to_string();
        assert!(saved.code == 0 && parts.contains("\"wal\""), "{parts}");
    }
    let page = walscope(&low, &["rescue", "t.db", "-o", out.path().join("again").to_str().unwrap()]).text();
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains("also the server of the FUSE mount") && !page.contains("kill -KILL"), "{page}");
    // Who uses the files beside the mount has another memory.
    let _direct = Sqlite::open(&low.join("t.db"));
    let document = walscope(&low, &["inspect", "t.db", "--json"]).json();
    let found = findings(&document);
    assert!(found.contains(&("used_through_fuse".into(), "warning".into(), pids)), "{found:?}");
}
