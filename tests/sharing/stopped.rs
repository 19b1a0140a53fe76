//! Processes that are stopped with a lock that others need.

use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;

use crate::common;
use crate::common::command::{Ran, walscope};
use crate::sqlite::Sqlite;
use crate::users::{database, python};

/// A program that takes the write lock and commits nothing, or runs a checkpoint that waits for a reader.
const HOLDS: &str = r"
import os, sqlite3, sys, threading
def hold():
    db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=600)
    db.executescript(sys.argv[2])
    threading.Event().wait()
threading.Thread(target=hold, daemon=True).start()
name = ' %d ' % os.getpid()
while not any(name in line and ' %s ' % sys.argv[3] in line for line in open('/proc/locks')):
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
        let Some((mut holder, line)) = python(HOLDS, &[path.as_os_str(), sql.as_ref(), "WRITE".as_ref()]) else {
            return;
        };
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

/// Stops a process by ptrace, as a debugger does at a breakpoint, until its input ends.
const TRACES: &str = r"
import ctypes, os, sys
libc, pid = ctypes.CDLL(None, use_errno=True), int(sys.argv[1])
if libc.ptrace(16, pid, None, None) != 0:
    sys.exit(1)
os.waitpid(pid, 0x40000000)
print('traces', flush=True)
sys.stdin.read()
libc.ptrace(17, pid, None, None)
";

#[test]
fn a_process_that_a_debugger_stops_is_let_go_on_by_the_debugger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let _db = database(folder.path());
    let args = [path.as_os_str(), "BEGIN IMMEDIATE".as_ref(), "WRITE".as_ref()];
    let Some((mut holder, line)) = python(HOLDS, &args) else { return };
    assert_eq!(line, "holds\n");
    let Some((mut tracer, line)) = python(TRACES, &[holder.id().to_string().as_ref()]) else { return };
    if common::have("root", line == "traces\n") {
        // SIGCONT is no way out of it.
        kill_process(Pid::from_child(&holder), Signal::CONT).unwrap();
        let document = walscope(folder.path(), &["inspect", "t.db", "--json"]).json();
        let one = &document["not_running"][0];
        assert_eq!(one["holder"]["process_state"], "stopped", "{document:#}");
        assert_eq!((&one["holder"]["tracer"]["pid"], &one["resume"]), (&tracer.id().into(), &Value::Null));
        let (told, by) = (one["explanation"].as_str().unwrap(), format!("process {} (", tracer.id()));
        assert!(told.contains(&format!("is stopped by {by}")) && told.contains("detach"), "{told}");
        let page = words(&walscope(folder.path(), &["ps"]));
        let says = format!("traces process {} and has to let it go on", holder.id());
        assert!(page.contains(&by) && page.contains(&says), "{page}");
        assert!(!page.contains(&format!("kill -CONT {}", holder.id())), "{page}");
    }
    drop(tracer.stdin.take());
    tracer.wait().unwrap();
    let document = walscope(folder.path(), &["inspect", "t.db", "--json"]).json();
    assert_eq!(document["not_running"], serde_json::json!([]), "{document:#}");
    drop(holder.stdin.take());
    holder.wait().unwrap();
}

/// With a rollback journal a reader keeps every commit out; in WAL mode it keeps nobody out, whose connection is only open.
#[test]
fn who_is_stopped_in_rollback_mode_fails_a_script() {
    const NOBODY: &str = "nobody can begin to use the database";
    for (mode, sql, kind, locks, code, meanwhile) in [
        ("DELETE", "BEGIN; SELECT count(*) FROM t", "READ", &["database"][..], 1, "nobody can write"),
        ("DELETE", "BEGIN IMMEDIATE", "WRITE", &["database", "reserved"], 1, "nobody can write"),
        ("DELETE", "BEGIN EXCLUSIVE", "WRITE", &["database", "pending", "reserved"], 1, NOBODY),
        ("WAL", "SELECT count(*) FROM t", "READ", &[], 0, ""),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute_batch(&format!("PRAGMA journal_mode={mode}; CREATE TABLE t(x)")).unwrap();
        let Some((mut holder, line)) = python(HOLDS, &[path.as_os_str(), sql.as_ref(), kind.as_ref()]) else { return };
        assert_eq!(line, "holds\n");
        stop(&holder);
        let failed = walscope(folder.path(), &["inspect", "t.db", "--fail-if-blocked", "300ms", "--json"]);
        let document = failed.json();
        let names = |list: &Value, key: &str| -> Vec<String> {
            let names = list.as_array().unwrap().iter().map(|one| if key.is_empty() { one } else { &one[key] });
            let mut names: Vec<String> = names.map(|name| name.as_str().unwrap().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(
            (failed.code, names(&document["over_time"]["kept"], "lock")),
            (code, locks.iter().map(|lock| (*lock).to_owned()).collect()),
            "{mode} {sql}: {document:#}"
        );
        let writes = db.execute_batch("INSERT INTO t VALUES(1)");
        assert_eq!(writes.is_err(), code == 1, "{sql}: {writes:?}");
        if code == 1 {
            let one = &document["not_running"][0];
            let resume = format!("kill -CONT {}", holder.id());
            assert_eq!(
                (names(&one["locks"], ""), one["resume"].as_str()),
                (names(&document["over_time"]["kept"], "lock"), Some(resume.as_str()))
            );
            for told in [&one["explanation"], &document["over_time"]["explanation"]] {
                let told = told.as_str().unwrap();
                assert!(told.contains(meanwhile) && told.contains(&resume), "{sql}: {told}");
            }
        }
        go_on(&holder);
        let ran = walscope(folder.path(), &["inspect", "t.db", "--fail-if-blocked", "300ms", "--json"]);
        assert_eq!((ran.code, &ran.json()["not_running"]), (0, &serde_json::json!([])), "{sql}: {}", ran.text());
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
