//! What processes that use a database hold: real SQLite, and walscope beside it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;
use serde_json::Value;

use crate::common;
use crate::common::command::walscope;
use crate::sqlite::Sqlite;

/// A database in WAL mode with a row that waits for a checkpoint.
pub fn database(folder: &Path) -> Connection {
    let db = Connection::open(folder.join("t.db")).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x); INSERT INTO t VALUES(1)",
    )
    .unwrap();
    db
}

/// Starts a Python program that waits for the end of its standard input, with the first line that it prints. `None`: there is no
/// python3.
pub fn python(program: &str, arguments: &[&OsStr]) -> Option<(Child, String)> {
    let mut command = Command::new("python3");
    command.args(["-c", program]).args(arguments);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = child else {
        common::have("python3", false);
        return None;
    };
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Some((child, line))
}

/// Opens and closes a file of the database: all POSIX locks of this process on it are gone.
fn copies(folder: &Path, names: &[&str]) {
    for name in names {
        drop(File::open(folder.join(name)).unwrap());
    }
}

pub fn findings(document: &Value) -> Vec<(String, String, Vec<u64>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pids = |finding: &Value| {
        let pids = finding["evidence"]["pids"].as_array().cloned().unwrap_or_default();
        pids.iter().filter_map(Value::as_u64).collect()
    };
    let all = document["findings"].as_array().unwrap().iter().filter(|found| found["evidence"].get("pids").is_some());
    all.map(|found| (text(&found["code"]), text(&found["severity"]), pids(found))).collect()
}

fn of_users(folder: &Path, command: &[&str]) -> Vec<(String, String, Vec<u64>)> {
    findings(&walscope(folder, command).json())
}

pub fn found(code: &str, severity: &str, pid: u32) -> Vec<(String, String, Vec<u64>)> {
    vec![(code.to_owned(), severity.to_owned(), vec![u64::from(pid)])]
}

#[test]
fn a_process_whose_locks_were_cancelled_by_a_close_is_named_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(folder.path());
    let own = std::process::id();
    let inspect = ["inspect", "t.db", "--json"];
    assert_eq!(of_users(folder.path(), &inspect), []);
    copies(folder.path(), &["t.db", "t.db-shm"]);
    let lost = found("mapping_without_locks", "warning", own);
    assert_eq!(of_users(folder.path(), &inspect), lost);
    let document = walscope(folder.path(), &inspect).json();
    let told = document["checkpoint"]["explanation"].as_str().unwrap();
    assert!(!told.contains("nobody has") && told.contains(&format!("process {own}")), "{told}");
    assert_eq!(of_users(folder.path(), &["verify", "t.db", "--json"]), lost);
    let ps = walscope(folder.path(), &["ps", "--json"]).json();
    assert!(findings(&ps).contains(&lost[0]), "{:?}", findings(&ps));
}

#[test]
fn one_of_the_two_locks_is_not_enough() {
    for name in ["t.db", "t.db-shm"] {
        let folder = tempfile::tempdir().unwrap();
        let _db = database(folder.path());
        copies(folder.path(), &[name]);
        let lost = found("mapping_without_locks", "warning", std::process::id());
        assert_eq!(of_users(folder.path(), &["inspect", "t.db", "--json"]), lost, "{name}");
    }
}

#[test]
fn a_process_with_a_wal_index_of_its_own_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let _ordinary = Sqlite::open(&folder.path().join("t.db"));
    let uri = format!("file:{}?vfs=unix-none", folder.path().join("t.db").display());
    let own = Connection::open(uri).unwrap();
    own.execute_batch("PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t VALUES(1)").unwrap();
    let named = found("used_without_wal_index", "warning", std::process::id());
    assert_eq!(of_users(folder.path(), &["inspect", "t.db", "--json"]), named);
}

#[test]
fn connections_that_are_idle_or_short_lived_raise_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(folder.path());
    let _idle = Connection::open(folder.path().join("t.db")).unwrap();
    let immutable = format!("file:{}?immutable=1", folder.path().join("t.db").display());
    let immutable = Connection::open(immutable).unwrap();
    immutable.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0)).unwrap();
    for _ in 0..5 {
        let _short = Sqlite::open(&folder.path().join("t.db"));
        assert_eq!(of_users(folder.path(), &["inspect", "t.db", "--json"]), []);
    }
}

#[test]
fn who_reads_with_immutable_is_listed_by_inspect() {
    let folder = tempfile::tempdir().unwrap();
    let child = Sqlite::open(&folder.path().join("t.db"));
    let _immutable = Connection::open(format!("file:{}?immutable=1", folder.path().join("t.db").display())).unwrap();
    let users = walscope(folder.path(), &["inspect", "t.db", "--json"]).json()["users"].clone();
    let roles: Vec<(u64, &str)> = users
        .as_array()
        .unwrap()
        .iter()
        .map(|user| (user["pid"].as_u64().unwrap(), user["role"].as_str().unwrap()))
        .collect();
    let own = u64::from(std::process::id());
    assert!(roles.contains(&(own, "idle")) && roles.contains(&(u64::from(child.pid()), "ordinary")), "{roles:?}");
    let page = String::from_utf8(walscope(folder.path(), &["inspect", "t.db"]).stdout).unwrap();
    assert!(page.contains("Also open") && page.contains(&format!("process {own}")), "{page}");
}

#[test]
fn many_databases_in_one_process_are_told_apart() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_a, _b) = (database(one.path()), database(two.path()));
    copies(two.path(), &["t.db", "t.db-shm"]);
    assert_eq!(of_users(one.path(), &["inspect", "t.db", "--json"]), []);
    let lost = found("mapping_without_locks", "warning", std::process::id());
    assert_eq!(of_users(two.path(), &["inspect", "t.db", "--json"]), lost);
}

#[test]
fn exclusive_mode_is_undecided_and_its_holder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let db = database(folder.path());
    db.execute_batch("PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t VALUES(2)").unwrap();
    let own = std::process::id();
    assert_eq!(
        of_users(folder.path(), &["inspect", "t.db", "--json"]),
        found("database_held_exclusively", "info", own)
    );
    let bundles = ["one.walsnap", "two.walsnap"];
    for bundle in bundles {
        assert_eq!(walscope(folder.path(), &["snapshot", "t.db", "-o", bundle]).code, 0);
    }
    let ran = walscope(folder.path(), &["compare", bundles[0], bundles[1], "--json"]);
    assert_eq!((ran.code, &ran.json()["verdict"]["sharing"]), (3, &Value::from("undecided")), "{}", ran.stderr);
}

#[test]
fn two_names_of_one_folder_in_one_mount_namespace_are_two_sides() {
    if !common::have("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (v, w) = (folder.path().join("v"), folder.path().join("w"));
    std::fs::create_dir(&v).unwrap();
    std::fs::create_dir(&w).unwrap();
    let mount = |words: &[&str]| std::process::Command::new(words[0]).args(&words[1..]).status().unwrap().success();
    if !common::have("mount", mount(&["mount", "--bind", v.to_str().unwrap(), w.to_str().unwrap()])) {
        return;
    }
    let result = std::panic::catch_unwind(|| {
        let _db = database(&v);
        let _other = Sqlite::open(&v.join("t.db"));
        let document = walscope(folder.path(), &["compare", "v/t.db", "w/t.db", "--json"]).json();
        assert_eq!(
            (&document["verdict"]["sharing"], &document["verdict"]["subject"]),
            (&Value::from("proven"), &Value::from("paths"))
        );
        let _third = Sqlite::open(&w.join("t.db"));
        let document = walscope(folder.path(), &["compare", "v/t.db", "w/t.db", "--json"]).json();
        assert_eq!(document["verdict"]["subject"], "mappings");
    });
    assert!(mount(&["umount", "-l", w.to_str().unwrap()]));
    result.unwrap();
}

/// A process that opens the database by Python's library and by a copy of it, and then waits.
const TWO_LIBRARIES: &str = r"
import ctypes, glob, os, shutil, sqlite3, sys
path, copy = sys.argv[1:]
library = next(line.split()[-1] for line in open('/proc/self/maps') if 'libsqlite3' in line)
shutil.copy(library, copy)
one = sqlite3.connect(path)
one.execute('select count(*) from t').fetchone()
two, db = ctypes.CDLL(copy, mode=os.RTLD_NOW | os.RTLD_LOCAL | 8), ctypes.c_void_p()
assert two.sqlite3_open(path.encode(), ctypes.byref(db)) == 0
assert two.sqlite3_exec(db, b'select count(*) from t', None, None, None) == 0
print('ready', flush=True)
sys.stdin.read()
";

#[test]
fn two_sqlite_libraries_in_one_process_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let _ordinary = Sqlite::open(&folder.path().join("t.db"));
    let [path, copy] = ["t.db", "copy.so"].map(|name| folder.path().join(name));
    let Some((mut child, line)) = python(TWO_LIBRARIES, &[path.as_os_str(), copy.as_os_str()]) else { return };
    if common::have("python3 with a libsqlite3 of its own", line == "ready\n") {
        let named = found("several_sqlite_libraries", "warning", child.id());
        assert_eq!(of_users(folder.path(), &["inspect", "t.db", "--json"]), named);
    }
    drop(child.stdin.take());
    child.wait().unwrap();
}

/// Two processes with one table of descriptors, each with a SQLite of its own.
/// Each line is one write: two processes that write to one pipe by `print` mix their lines.
const ONE_TABLE: &str = r"
import ctypes, os, signal, sqlite3, sys
libc = ctypes.CDLL(None)
def read():
    db = sqlite3.connect(sys.argv[1])
    db.execute('SELECT count(*) FROM t').fetchall()
    return db
child = libc.syscall(56, 0x400 | signal.SIGCHLD, 0, 0, 0, 0)
if child == 0:
    libc.prctl(1, signal.SIGKILL)
    db = read()
    os.write(1, b'ready\n')
    signal.pause()
db = read()
os.write(1, b'%d\n' % child)
sys.stdin.read()
os.kill(child, signal.SIGKILL)
";

#[test]
#[cfg(target_arch = "x86_64")]
fn two_processes_with_one_table_of_descriptors_are_named() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let _db = database(folder.path());
    let path = folder.path().join("t.db");
    let parent =
        Command::new("python3").args(["-c", ONE_TABLE]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut parent) = parent else {
        common::have("python3", false);
        return;
    };
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines().take(2).map(Result::unwrap);
    let numbers: Vec<u32> = lines.filter_map(|line| line.parse().ok()).collect();
    let child = numbers[0];
    let mut both = vec![u64::from(parent.id()), u64::from(child)];
    both.sort_unstable();
    let named = vec![("several_sqlite_libraries".to_owned(), "warning".to_owned(), both)];
    assert_eq!(of_users(folder.path(), &["inspect", "t.db", "--json"]), named);
    let sources = [parent.id(), child].map(|pid| format!("pid:{pid}:{}", path.display()));
    let document = walscope(folder.path(), &["compare", &sources[0], &sources[1], "--json"]).json();
    assert_eq!(document["verdict"]["subject"], "paths", "{document:#}");
    drop(parent.stdin.take());
    parent.wait().unwrap();
}

#[test]
fn connections_of_one_library_open_the_wal_index_once() {
    let folder = tempfile::tempdir().unwrap();
    let _first = database(folder.path());
    let more: Vec<Connection> = (0..5).map(|_| Connection::open(folder.path().join("t.db")).unwrap()).collect();
    for db in &more {
        db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
    }
    assert_eq!(of_users(folder.path(), &["inspect", "t.db", "--json"]), []);
}

#[test]
fn who_lost_both_locks_and_goes_on_with_deleted_files_leaves_sharing_undecided() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let db = database(folder.path());
    let mut lost = Sqlite::open_without_locks(&path);
    // Nothing tells it that somebody else has the database open: it copies all, and deletes -wal and -shm.
    db.close().unwrap();
    assert!(!folder.path().join("t.db-shm").exists());
    let mut later = Sqlite::open(&path);
    later.run("BEGIN IMMEDIATE");
    lost.run("BEGIN IMMEDIATE");
    lost.run("INSERT INTO t VALUES(2)");
    lost.run("COMMIT");
    later.run("COMMIT");
    let of_later = format!("pid:{}:{}", later.pid(), path.display());
    let ran = walscope(folder.path(), &["compare", "t.db", &of_later, "--json"]);
    let document = ran.json();
    assert_eq!((ran.code, document["verdict"]["sharing"].as_str()), (3, Some("undecided")), "{}", ran.text());
    let inspected = walscope(folder.path(), &["inspect", "t.db", "--json"]);
    let named = found("used_without_wal_index", "error", lost.pid());
    for (named_here, text) in [(findings(&document), ran.text()), (findings(&inspected.json()), inspected.text())] {
        assert_eq!(named_here, named);
        for words in ["which was deleted", "do not stop its processes yet", "walscope rescue SOURCE"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}

#[test]
fn a_probe_names_a_process_whose_locks_were_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(folder.path());
    let lost = Sqlite::open_without_locks(&folder.path().join("t.db"));
    let meet = walscope(folder.path(), &["probe", "meet", "t.db", "--timeout", "1", "--json"]);
    assert_eq!(findings(&meet.json()), found("mapping_without_locks", "warning", lost.pid()));
    let page = walscope(folder.path(), &["probe", "meet", "t.db", "--timeout", "1"]);
    assert!(page.text().contains("[mapping_without_locks]"), "{}", page.text());
}

#[test]
fn a_renamed_database_is_told_from_lost_locks() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(folder.path());
    std::fs::rename(folder.path().join("t.db"), folder.path().join("old.db")).unwrap();
    let document = walscope(folder.path(), &["inspect", "t.db", "--json"]).json();
    let all = document["findings"].as_array().unwrap();
    let renamed: Vec<&Value> = all.iter().filter(|finding| finding["code"] == "database_renamed").collect();
    assert_eq!(renamed[0]["evidence"]["renamed"][0]["pid"], std::process::id());
    // The same process is not accused twice.
    assert_eq!(findings(&document), []);
    std::fs::copy(folder.path().join("old.db"), folder.path().join("kept.db")).unwrap();
}

/// A process that has come as far as SHARED when it opens the database, and stops itself. When it goes on, it waits.
const OPENER: &str = r"
import fcntl, os, signal, struct, sys
path = sys.argv[1]
files = [os.open(path + name, os.O_RDWR) for name in ('', '-wal')]
fcntl.fcntl(files[0], fcntl.F_SETLK, struct.pack('hhqqi4x', fcntl.F_RDLCK, 0, 0x40000002, 510, 0))
print('ready', flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
print('again', flush=True)
sys.stdin.read()
";

#[test]
fn a_process_that_is_stopped_while_it_opens_the_database_is_not_accused() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let _db = database(folder.path());
    let opener = Command::new("python3")
        .args(["-c", OPENER])
        .arg(folder.path().join("t.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut opener) = opener else {
        common::have("python3", false);
        return;
    };
    let mut lines = BufReader::new(opener.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let pid = rustix::process::Pid::from_child(&opener);
    rustix::process::waitid(rustix::process::WaitId::Pid(pid), rustix::process::WaitIdOptions::STOPPED).unwrap();
    assert_eq!(of_users(folder.path(), &["inspect", "t.db", "--json"]), []);
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "again");
    let named = found("used_without_wal_index", "notice", opener.id());
    assert_eq!(of_users(folder.path(), &["inspect", "t.db", "--json"]), named);
    drop(opener.stdin.take());
    opener.wait().unwrap();
}

/// Somebody else looks at the same time. It has the files open, and is no user of them.
#[test]
fn another_walscope_that_looks_is_not_named() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(folder.path());
    let mut other = Command::new(crate::common::command::EXE)
        .args(["inspect", "t.db", "--for", "60s"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let has_open = || {
        let links = std::fs::read_dir(format!("/proc/{}/fd", other.id())).unwrap();
        links.flatten().any(|link| std::fs::read_link(link.path()).is_ok_and(|file| file.ends_with("t.db")))
    };
    while !has_open() {
        std::thread::yield_now();
    }
    let named = format!("{}", other.id());
    let looks: Vec<String> = (0..3).map(|_| walscope(folder.path(), &["inspect", "t.db", "--json"]).text()).collect();
    let saved = walscope(folder.path(), &["rescue", "t.db", "-o", "saved", "--json"]).text();
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(looks.iter().chain([&saved]).all(|look| !look.contains(&named)), "{named}: {looks:?} {saved}");
}
