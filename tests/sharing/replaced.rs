//! Processes that go on with a database that was deleted or replaced at its path.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;

use crate::common;
use crate::common::command::walscope;
use crate::sqlite::Sqlite;
use crate::users::{findings, found, python};

fn made(path: &Path, mode: &str) {
    let sql = format!("PRAGMA journal_mode={mode}; CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    Connection::open(path).unwrap().execute_batch(&sql).unwrap();
}

fn told(folder: &Path, command: &str) -> (i32, Vec<(String, String, Vec<u64>)>) {
    let ran = walscope(folder, &[command, "t.db", "--json"]);
    (ran.code, findings(&ran.json()))
}

fn script(path: &Path, lines: &str) {
    fs::write(path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A process whose mount namespace has the folder at `/mnt`, as a container has a volume. `None`, with a message, where this is not
/// possible.
fn in_a_volume(folder: &Path, open: &str) -> Option<Sqlite> {
    let program = folder.join("start");
    let exe = std::env::current_exe().unwrap();
    let inside = folder.join("inside");
    script(&inside, &format!("mount --bind '{}' /mnt && exec '{}' \"$@\"", folder.display(), exe.display()));
    script(&program, &format!("exec unshare -m '{}' \"$@\"", inside.display()));
    let may = std::process::Command::new("unshare").args(["-m", "true"]).output().is_ok_and(|ran| ran.status.success());
    common::have("root", may).then(|| Sqlite::open_by(&program, Path::new(open)))
}

#[test]
fn who_goes_on_with_a_replaced_database_is_named_whatever_its_folder_is_called_there() {
    for deleted_at_once in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir(root.join("other")).unwrap();
        let Some(mut process) = in_a_volume(&root, "/mnt/t.db") else { return };
        process.run("INSERT INTO t VALUES(2)");
        // Another database of that name.
        let _other = Sqlite::open(&root.join("other/t.db"));
        assert_eq!(told(&root, "inspect"), (0, vec![]));
        made(&root.join("new.db"), "WAL");
        if deleted_at_once {
            for name in ["t.db", "t.db-wal", "t.db-shm"] {
                fs::remove_file(root.join(name)).unwrap();
            }
        }
        fs::rename(root.join("new.db"), root.join("t.db")).unwrap();
        for command in ["inspect", "verify"] {
            let (code, findings) = told(&root, command);
            let replaced = found("worker_on_replaced_files", "error", process.pid());
            assert!(code == 1 && replaced.iter().all(|one| findings.contains(one)), "{command} {findings:?}");
        }
    }
}

#[test]
fn an_idle_process_in_rollback_mode_that_has_a_replaced_database_open_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    made(&path, "DELETE");
    let mut process = Sqlite::open(&path);
    process.reopen("PRAGMA journal_mode=DELETE; INSERT INTO t VALUES(2)");
    // Programs that read the file, and one that has made an empty one.
    let _reads = fs::File::open(&path).unwrap();
    assert_eq!(told(folder.path(), "inspect"), (0, vec![]));
    fs::remove_file(&path).unwrap();
    let _empty = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    for put in ["empty", "new", "mode"] {
        if put != "empty" {
            made(&folder.path().join("new.db"), if put == "new" { "DELETE" } else { "WAL" });
            fs::rename(folder.path().join("new.db"), &path).unwrap();
        }
        for command in ["inspect", "verify"] {
            let replaced = found("worker_on_replaced_files", "warning", process.pid());
            assert_eq!(told(folder.path(), command), (0, replaced), "{put} {command}");
        }
    }
    let page = walscope(folder.path(), &["inspect", "t.db"]).text();
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains("holds no lock on it at the moment, and the path leads to another one now"), "{page}");
    // Within a transaction it has it locked.
    process.run("BEGIN");
    process.run("SELECT x FROM t");
    let replaced = found("worker_on_replaced_files", "error", process.pid());
    assert_eq!(told(folder.path(), "inspect"), (1, replaced));
    process.run("COMMIT");
    drop(process);
    assert_eq!(told(folder.path(), "inspect"), (0, vec![]));
}

#[test]
fn temporary_files_of_sqlite_are_no_deleted_databases() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("start");
    let exe = std::env::current_exe().unwrap();
    script(&program, &format!("SQLITE_TMPDIR='{}' exec '{}' \"$@\"", folder.path().display(), exe.display()));
    let mut process = Sqlite::open_by(&program, &folder.path().join("t.db"));
    let fill = "PRAGMA temp_store=FILE; CREATE TEMP TABLE s(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL \
                SELECT i+1 FROM n WHERE i<9000) INSERT INTO s SELECT randomblob(500) FROM n";
    process.run(&format!("BATCH {fill}"));
    // A later SQLite opens them so that they never have a name.
    let program = "import os, sqlite3, sys\nos.environ['SQLITE_TMPDIR'] = sys.argv[1]\ndb = sqlite3.connect('')\n\
                   [db.executescript(sql) for sql in sys.argv[2].split('; ')]\nprint(flush=True)\nsys.stdin.read()";
    let Some((mut other, _)) = python(program, &[folder.path().as_os_str(), fill.as_ref()]) else { return };
    for (pid, name) in [(process.pid(), "#"), (other.id(), "etilqs_")] {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let mut open = open.filter_map(|fd| Some(fs::read_link(fd.ok()?.path()).ok()?.file_name()?.to_owned()));
        assert!(open.any(|found| found.display().to_string().starts_with(name)), "{name}");
    }
    let ran = walscope(folder.path(), &["verify", ".", "--json"]);
    assert_eq!((ran.code, &ran.json()["not_looked_at"]), (0, &serde_json::json!([])));
    // A database that was deleted is told.
    for name in ["t.db", "t.db-wal", "t.db-shm"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let ran = walscope(folder.path(), &["verify", ".", "--json"]);
    assert_eq!((ran.code, &ran.json()["not_looked_at"][0]["path"]), (2, &serde_json::json!("./t.db")));
    drop(other.stdin.take());
    other.wait().unwrap();
}

#[test]
fn a_database_that_is_named_as_a_deleted_one_is_not_called_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db (deleted)");
    let process = Sqlite::open(&path);
    let ran = walscope(folder.path(), &["verify", ".", "--fail-on", "warning", "--json"]);
    let document = ran.json();
    assert_eq!((ran.code, &document["not_looked_at"]), (0, &serde_json::json!([])), "{document:#}");
    drop(process);
}
