//! Processes that go on with a -wal that was deleted.

use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use crate::common;
use crate::common::command::walscope;
use crate::users::{database, findings, found, python};

/// A process that opens the database by Python's library and by a copy of it, and closes the copy. Then it commits.
const CLOSES_ONE_LIBRARY: &str = r"
import ctypes, os, shutil, sqlite3, sys
path, copy, commits = sys.argv[1:]
library = next(line.split()[-1] for line in open('/proc/self/maps') if 'libsqlite3' in line)
shutil.copy(library, copy)
one = sqlite3.connect(path, isolation_level=None)
one.execute('select count(*) from t').fetchone()
two, db = ctypes.CDLL(copy, mode=os.RTLD_NOW | os.RTLD_LOCAL | 8), ctypes.c_void_p()
assert two.sqlite3_open(path.encode(), ctypes.byref(db)) == 0
assert two.sqlite3_exec(db, b'select count(*) from t', None, None, None) == 0
assert two.sqlite3_close(db) == 0
for _ in range(int(commits)):
    one.execute('insert into t values(7)')
print('ready', flush=True)
sys.stdin.read()
";

#[test]
fn who_goes_on_with_files_that_another_library_deleted_has_commits_to_save() {
    for (commits, severity, code) in [("0", "warning", 0), ("1", "error", 1), ("2", "error", 1)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        database(folder.path()).close().unwrap();
        let copy = folder.path().join("copy.so");
        let started = python(CLOSES_ONE_LIBRARY, &[path.as_os_str(), copy.as_os_str(), commits.as_ref()]);
        let Some((mut child, line)) = started else { return };
        if common::have("python3 with a libsqlite3 of its own", line == "ready\n") {
            assert!(!folder.path().join("t.db-wal").exists());
            let ran = walscope(folder.path(), &["inspect", "t.db", "--json"]);
            let document = ran.json();
            assert_eq!(findings(&document), found("used_without_wal_index", severity, child.id()));
            let wal = &only_there(&document);
            assert_eq!((ran.code, wal["commits"].to_string().as_str()), (code, commits), "{document:#}");
            assert_eq!(walscope(folder.path(), &["verify", "t.db"]).code, code);
            let told = ran.text().contains("still has the deleted -wal open");
            let other = document["checkpoint"]["sentence"] == "other_files";
            assert_eq!((told, other), (code == 1, code == 1), "{}", ran.text());
            // What is said to be there is what SQLite reads from a copy.
            let (copy, fd) = (folder.path().join("copy.db"), wal["descriptor"].as_u64().unwrap());
            std::fs::copy(&path, &copy).unwrap();
            std::fs::copy(format!("/proc/{}/fd/{fd}", child.id()), folder.path().join("copy.db-wal")).unwrap();
            let rows = |path: &Path| -> i64 {
                Connection::open(path).unwrap().query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
            };
            assert_eq!(rows(&copy) - rows(&path), commits.parse::<i64>().unwrap());
        }
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}

fn only_there(document: &Value) -> Value {
    let all = document["findings"].as_array().unwrap();
    let finding = all.iter().find(|finding| finding["code"] == "used_without_wal_index").unwrap();
    finding["evidence"]["deleted_wals"][0].clone()
}

/// A forked child has what its parent had open, and sees nothing that is not in the database.
const FORKS_AND_CLOSES: &str = r"
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute('insert into t values(3)')
child = os.fork()
if child == 0:
    sys.stdin.read()
    os._exit(0)
db.close()
print(child, flush=True)
os.waitpid(child, 0)
";

#[test]
fn who_has_deleted_files_of_a_clean_close_has_nothing_to_save() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    database(folder.path()).close().unwrap();
    let Some((mut parent, line)) = python(FORKS_AND_CLOSES, &[path.as_os_str()]) else { return };
    let child: u32 = line.trim().parse().unwrap();
    let ran = walscope(folder.path(), &["inspect", "t.db", "--json"]);
    let document = ran.json();
    assert_eq!((ran.code, findings(&document)), (0, found("mapping_without_locks", "notice", child)));
    assert!(!ran.text().contains("still has the deleted -wal open"), "{}", ran.text());
    drop(parent.stdin.take());
    parent.wait().unwrap();
}
