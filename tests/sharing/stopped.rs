//! Processes that are stopped with a lock that others need.

use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;

use crate::common::command::{Ran, walscope};
use crate::sqlite::Sqlite;
use crate::users::{database, python};

/// A program that takes the write lock and commits nothing, or runs a checkpoint that waits for a reader.
const HOLDS: &str = r"
import os, sqlite3, sys, threading
def hold():
    db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=600)
    db.execute(sys.argv[2])
    threading.Event().wait()
threading.Thread(target=hold, daemon=True).start()
name = ' %d ' % os.getpid()
while not any(name in line and ' WRITE ' in line for line in open('/proc/locks')):
    pass
print('holds', flush=True)
sys.stdin.read()
os._exit(0)
";

fn stop(child: &Child) {
    let pid = Pid::from_child(child);
    kill_process(pid, Signal::STOP).unwrap();
    waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED).unwrap();
}

fn go_on(child: &Child) {
    let pid = Pid::from_child(child);
    kill_process(pid, Signal::CONT).unwrap();
    waitid(WaitId::Pid(pid), WaitIdOptions::CONTINUED).unwrap();
}

fn words(ran: &Ran) -> String {
    ran.text().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn who_is_stopped_throughout_with_a_lock_that_others_need_fails_a_script() {
    for (sql, locks) in
        [("BEGIN IMMEDIATE", &["write"][..]), ("PRAGMA wal_checkpoint(RESTART)", &["write", "checkpoint"])]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let db = database(folder.path());
        // The checkpoint waits for this reader.
        let mut reader = Sqlite::open(&path);
        reader.run("BEGIN");
        reader.run("SELECT count(*) FROM t");
        db.execute_batch("INSERT INTO t VALUES(2)").unwrap();
        let Some((mut holder, line)) = python(HOLDS, &[path.as_os_str(), sql.as_ref()]) else { return };
        assert_eq!(line, "holds\n");
        stop(&holder);
        drop(reader);
        let failed = walscope(folder.path(), &["inspect", "t.db", "--fail-if-blocked", "300ms", "--json"]);
        let document = failed.json();
        assert_eq!((failed.code, &document["over_time"]["outcome"]), (1, &"kept".into()), "{sql}: {document:#}");
        let kept: Vec<&Value> =
            document["over_time"]["kept"].as_array().unwrap().iter().map(|one| &one["lock"]).collect();
        assert_eq!(kept, locks, "{sql}");
        let [one] = document["not_running"].as_array().unwrap().as_slice() else { panic!("{document:#}") };
        let resume = format!("kill -CONT {}", holder.id());
        assert_eq!((&one["holder"]["pid"], &one["resume"]), (&holder.id().into(), &resume.as_str().into()));
        let started = one["holder"]["started_at"].as_str().unwrap();
        assert!(started.len() == 20 && started.starts_with("20") && started.ends_with('Z'), "{started}");
        for command in [["inspect", "t.db"].as_slice(), &["inspect", "t.db", "--for", "200ms"], &["ps"]] {
            let page = words(&walscope(folder.path(), command));
            assert!(page.contains(&resume) && page.contains(" ago"), "{command:?}: {page}");
        }
        go_on(&holder);
        let ran = walscope(folder.path(), &["inspect", "t.db", "--fail-if-blocked", "300ms", "--json"]);
        let document = ran.json();
        assert_eq!((ran.code, &document["not_running"]), (0, &serde_json::json!([])), "{sql}: {document:#}");
        drop(holder.stdin.take());
        holder.wait().unwrap();
    }
}

#[test]
fn a_busy_writer_fails_no_script() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let db = database(folder.path());
    let stop = AtomicBool::new(false);
    let ran = std::thread::scope(|scope| {
        let (path, stop) = (&path, &stop);
        scope.spawn(move || {
            let mut other = Sqlite::open(path);
            while !stop.load(Ordering::Relaxed) {
                other.run("BEGIN IMMEDIATE");
                other.run("INSERT INTO t VALUES(1)");
                other.run("COMMIT");
                other.run("PRAGMA wal_checkpoint");
            }
        });
        let ran = walscope(folder.path(), &["inspect", "t.db", "--fail-if-blocked", "2s", "--json"]);
        stop.store(true, Ordering::Relaxed);
        ran
    });
    drop(db);
    assert_eq!((ran.code, &ran.json()["over_time"]["kept"]), (0, &serde_json::json!([])), "{}", ran.text());
}
