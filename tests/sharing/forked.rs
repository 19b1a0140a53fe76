//! Forked children that leave the connection of their parent alone, after the parent has closed it.

use serde_json::Value;

use crate::common::command::walscope;
use crate::users::{findings, found, python};

/// A program that forks two children while it has the database open, closes it, and opens it again.
const CLOSES: &str = r"
import os, signal, sqlite3, sys
def opened():
    db = sqlite3.connect(sys.argv[1], isolation_level=None)
    db.execute('PRAGMA journal_mode=WAL')
    db.execute('CREATE TABLE IF NOT EXISTS t(x)')
    db.execute('INSERT INTO t VALUES(1)')
    return db
first, children = opened(), []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        signal.pause()
    children.append(pid)
first.close()
if sys.argv[2] == 'again':
    second = opened()
print(*children, flush=True)
sys.stdin.read()
for pid in children:
    os.kill(pid, signal.SIGKILL)
";

fn codes_of(document: &Value, pids: &[u64]) -> Vec<(String, String, Vec<u64>)> {
    findings(document).into_iter().filter(|(.., named)| named.iter().any(|pid| pids.contains(pid))).collect()
}

#[test]
fn children_of_a_program_that_closed_its_connection_are_no_split() {
    for then in ["closed", "again"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let Some((mut parent, line)) = python(CLOSES, &[path.as_os_str(), then.as_ref()]) else { return };
        let children: Vec<u64> = line.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        let inherited = vec![("mapping_without_locks".to_owned(), "notice".to_owned(), children.clone())];
        for command in [["inspect", "t.db", "--json"].as_slice(), &["verify", "t.db", "--json"], &["ps", "--json"]] {
            let ran = walscope(folder.path(), command);
            assert_eq!(codes_of(&ran.json(), &children), inherited, "{then} {command:?}");
        }
        let ps = walscope(folder.path(), &["ps", "--json"]).json();
        let splits: Vec<&Value> = ps["wal_indexes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|index| index["databases"].to_string().contains(path.to_str().unwrap()))
            .map(|index| &index["split_with"])
            .collect();
        assert!(!splits.is_empty() && splits.iter().all(|split| **split == serde_json::json!([])), "{splits:?}");
        let page = walscope(folder.path(), &["inspect", "t.db"]).text();
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(page.contains("What its -wal holds is in the database"), "{page}");
        let of_parent = format!("pid:{}:{}", parent.id(), path.display());
        let compared = walscope(folder.path(), &["compare", "t.db", &of_parent, "--json"]).json();
        let told = codes_of(&compared, &children);
        assert!(told.iter().all(|(_, severity, _)| severity == "warning"), "{told:?}");
        drop(parent.stdin.take());
        parent.wait().unwrap();
    }
}

/// A program that forks a child while it has the database open, closes it, and opens it again. The child has opened it itself after the
/// fork, and is in a transaction.
const JOINS: &str = r"
import os, signal, sqlite3, sys
def opened():
    db = sqlite3.connect(sys.argv[1], isolation_level=None)
    db.execute('PRAGMA journal_mode=WAL')
    db.execute('PRAGMA wal_autocheckpoint=0')
    return db
first = opened()
first.execute('CREATE TABLE t(x)')
ready, tell = os.pipe()
child = os.fork()
if child == 0:
    own = opened()
    own.execute('BEGIN')
    own.execute('SELECT count(*) FROM t').fetchone()
    os.write(tell, b'x')
    signal.pause()
os.read(ready, 1)
first.close()
second = opened()
for n in range(50):
    second.execute('INSERT INTO t VALUES(1)')
print(child, flush=True)
sys.stdin.read()
os.kill(child, signal.SIGKILL)
";

#[test]
fn a_child_that_opens_the_database_itself_joins_what_it_inherited() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let Some((mut parent, line)) = python(JOINS, &[path.as_os_str()]) else { return };
    let child: u64 = line.trim().parse().unwrap();
    for command in [["inspect", "t.db", "--json"].as_slice(), &["verify", "t.db", "--json"], &["ps", "--json"]] {
        let ran = walscope(folder.path(), command);
        let named = codes_of(&ran.json(), &[child]);
        let error = |(_, severity, _): &(String, String, Vec<u64>)| severity == "error";
        assert!(ran.code == 1 && named.iter().any(error), "{command:?}: {named:?}");
        // ps lists the children of other programs, too.
        assert!(command[0] == "ps" || !ran.text().contains("Harmless"), "{command:?}");
    }
    drop(parent.stdin.take());
    parent.wait().unwrap();
}

/// A program that forks a child while it has commits in the WAL, deletes the files, and ends without closing.
const ENDS: &str = r"
import os, signal, sqlite3, sys
if os.fork() == 0:
    db = sqlite3.connect(sys.argv[1], isolation_level=None)
    db.execute('PRAGMA journal_mode=WAL')
    db.execute('CREATE TABLE t(x)')
    child = os.fork()
    if child == 0:
        signal.pause()
    for name in ('-wal', '-shm'):
        os.unlink(sys.argv[1] + name)
    print(child, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
os.wait()
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute('PRAGMA journal_mode=WAL')
db.execute('CREATE TABLE u(x)')
print('ready', flush=True)
sys.stdin.read()
";

#[test]
fn a_child_that_alone_has_commits_is_an_error() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let mut program = Command::new("python3");
    program.args(["-c", ENDS]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut program) = program.spawn() else {
        crate::common::have("python3", false);
        return;
    };
    let lines = BufReader::new(program.stdout.take().unwrap()).lines().take(2).map(Result::unwrap);
    let lines: Vec<String> = lines.collect();
    let child: u32 = lines[0].parse().unwrap();
    let inspected = walscope(folder.path(), &["inspect", "t.db", "--json"]);
    let ps = walscope(folder.path(), &["ps", "--json"]).json();
    drop(program.stdin.take());
    program.wait().unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(child.try_into().unwrap()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    assert_eq!(findings(&inspected.json()), found("used_without_wal_index", "error", child));
    let split = ps["findings"].as_array().unwrap().iter().filter(|found| found["code"] == "split_brain");
    assert!(split.map(ToString::to_string).any(|text| text.contains(path.to_str().unwrap())), "{ps:#}");
}

/// A program in exclusive locking mode that has a forked child which leaves the connection alone.
const EXCLUSIVE: &str = r"
import os, signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute('PRAGMA journal_mode=WAL')
db.execute('CREATE TABLE t(x)')
db.close()
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute('PRAGMA locking_mode=EXCLUSIVE')
db.execute('INSERT INTO t VALUES(1)')
child = os.fork()
if child == 0:
    signal.pause()
print(child, flush=True)
sys.stdin.read()
os.kill(child, signal.SIGKILL)
";

#[test]
fn an_idle_child_of_a_program_in_exclusive_locking_mode_is_a_notice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let Some((mut parent, line)) = python(EXCLUSIVE, &[path.as_os_str()]) else { return };
    let child: u64 = line.trim().parse().unwrap();
    for command in ["inspect", "verify"] {
        let ran = walscope(folder.path(), &[command, "t.db", "--json"]);
        let inherited = vec![("mapping_without_locks".to_owned(), "notice".to_owned(), vec![child])];
        assert_eq!((ran.code, codes_of(&ran.json(), &[child])), (0, inherited), "{command}");
    }
    let page = walscope(folder.path(), &["inspect", "t.db"]).text();
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains("has the database and its -wal open as its parent has them"), "{page}");
    drop(parent.stdin.take());
    parent.wait().unwrap();
}
