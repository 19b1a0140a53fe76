//! `walscope ps`: wal-indexes that real SQLite has mapped in child processes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common;
use crate::common::btrfs;
use crate::sqlite::Sqlite;

const EXE: &str = env!("CARGO_BIN_EXE_walscope");

fn ps(options: &[&str]) -> (i32, Value) {
    let out = Command::new(EXE).args(["ps", "--json"]).args(options).stdin(Stdio::null()).output().unwrap();
    let json = serde_json::from_slice(&out.stdout);
    (out.status.code().unwrap(), json.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr))))
}

/// The listed wal-indexes of one database; others on this machine do not matter to the test.
fn of(json: &Value, database: &Path) -> Vec<Value> {
    let all = json["wal_indexes"].as_array().unwrap().iter();
    all.filter(|index| index["databases"].as_array().unwrap().iter().any(|one| one == database.to_str().unwrap()))
        .cloned()
        .collect()
}

fn codes(json: &Value, path: &Path) -> Vec<String> {
    let all = json["findings"].as_array().unwrap().iter();
    let shm = format!("{}-shm", path.display());
    all.filter(|finding| finding["evidence"]["path"] == shm).map(|f| f["code"].as_str().unwrap().to_owned()).collect()
}

fn shm(database: &Path) -> PathBuf {
    PathBuf::from(format!("{}-shm", database.display()))
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let database = fs::canonicalize(folder.path()).unwrap().join("t.db");
    (folder, database)
}

fn pids(index: &Value) -> Vec<u64> {
    index["processes"].as_array().unwrap().iter().map(|process| process["pid"].as_u64().unwrap()).collect()
}

fn held_by(index: &Value, lock: &str) -> Vec<u64> {
    let locks = index["locks"].as_array().unwrap();
    let lock = locks.iter().find(|one| one["name"] == lock).unwrap();
    lock["holders"].as_array().unwrap().iter().filter_map(|holder| holder["pid"].as_u64()).collect()
}

#[test]
fn a_mapped_wal_index_is_listed_with_everyone_who_holds_a_slot() {
    let (_folder, database) = folder();
    let mut writer = Sqlite::open(&database);
    writer.run("INSERT INTO t VALUES (1)");
    let readers: Vec<Sqlite> = (0..2)
        .map(|_| {
            let mut reader = Sqlite::open(&database);
            reader.run("BEGIN; SELECT x FROM t");
            reader
        })
        .collect();
    let (code, json) = ps(&[]);
    assert_eq!(json["schema"], "walscope/ps/1");
    let found = of(&json, &database);
    assert_eq!(found.len(), 1, "{json:#}");
    let index = &found[0];
    assert_eq!((&index["state"], &index["split_with"]), (&"current".into(), &Value::Array(vec![])));
    assert!(index["mx_frame"].as_u64().unwrap() > 0);
    let mut everyone: Vec<u64> = readers.iter().chain([&writer]).map(|child| child.pid().into()).collect();
    everyone.sort_unstable();
    let mut readers: Vec<u64> = readers.iter().map(|reader| reader.pid().into()).collect();
    readers.sort_unstable();
    assert_eq!(pids(index), everyone);
    assert_eq!(held_by(index, "dead_man_switch"), everyone);
    let slot = (1..5).map(|slot| format!("read{slot}")).find(|slot| !held_by(index, slot).is_empty()).unwrap();
    assert_eq!(held_by(index, &slot), readers, "{slot}");
    assert!(code < 2 && codes(&json, &shm(&database)).is_empty());
}

#[test]
fn every_wal_index_is_listed_with_a_source_for_inspect() {
    let folder = tempfile::tempdir().unwrap();
    // A tab cannot be written in a line, so there is no source for that one.
    for (name, quoted) in [("t.db", Some(false)), ("a b'c.db", Some(true)), ("a\tb.db", None)] {
        let database = fs::canonicalize(folder.path()).unwrap().join(name);
        let process = Sqlite::open(&database);
        let (_, json) = ps(&[]);
        let look = of(&json, &database)[0]["look"].clone();
        let Some(quoted) = quoted else {
            assert_eq!(look, Value::Null);
            continue;
        };
        let source = format!("pid:{}:{}", process.pid(), database.display());
        assert_eq!(look, source);
        let page = Command::new(EXE).args(["ps", "--width", "1000"]).output().unwrap();
        let page = String::from_utf8(page.stdout).unwrap();
        let shown = if quoted { format!("'{}'", source.replace('\'', r"'\''")) } else { source.clone() };
        let line = page.lines().find_map(|line| line.strip_prefix("look: ").filter(|line| line.ends_with(&shown)));
        let line = line.unwrap_or_else(|| panic!("{page}"));
        // Runs the printed line as a shell would.
        let words = line.strip_prefix("walscope ").unwrap();
        let ran = Command::new("sh").arg("-c").arg(format!("'{EXE}' {words}")).output().unwrap();
        assert!(ran.status.success(), "{line}");
    }
}

#[test]
fn the_holder_of_a_slot_is_named_when_the_kernel_merged_its_range_with_the_dead_man_switch() {
    let (_folder, database) = folder();
    let mut writer = Sqlite::open(&database);
    // Each reader holds a mark of its own: the fourth has slot 4, byte 127, beside the dead-man switch at 128.
    let readers: Vec<Sqlite> = (0..4)
        .map(|x| {
            writer.run(&format!("INSERT INTO t VALUES ({x})"));
            let mut reader = Sqlite::open(&database);
            reader.run("BEGIN; SELECT x FROM t");
            reader
        })
        .collect();
    let (_, json) = ps(&[]);
    let index = &of(&json, &database)[0];
    assert_eq!(held_by(index, "read4"), [u64::from(readers[3].pid())], "{index:#}");
    assert_eq!(held_by(index, "read1"), [u64::from(readers[0].pid())]);
    assert_eq!(held_by(index, "dead_man_switch").len(), 5);
    // The kernel outputs the list a page at a time: while other tests lock and unlock, a line of a lock that is held
    // can be missing.
    let merged = || {
        let listed = fs::read_to_string("/proc/locks").unwrap();
        listed.lines().any(|line| line.trim_end().ends_with("127 128"))
    };
    assert!((0..100).any(|_| merged()), "not merged by this kernel");
}

#[test]
fn a_deleted_and_a_replaced_wal_index_are_distinguished() {
    let (_folder, database) = folder();
    let mut old = Sqlite::open(&database);
    old.run("INSERT INTO t VALUES (1)");
    fs::remove_file(shm(&database)).unwrap();
    let (_, json) = ps(&["--fail-on", "warning"]);
    let found = of(&json, &database);
    assert_eq!((found.len(), &found[0]["state"]), (1, &"deleted".into()));
    assert_eq!(codes(&json, &database), ["shm_deleted"]);

    let mut new = Sqlite::open(&database);
    new.run("INSERT INTO t VALUES (2)");
    let (code, json) = ps(&[]);
    let found = of(&json, &database);
    assert_eq!((code, found.len()), (1, 2), "{json:#}");
    let with = |pid: u32| found.iter().find(|index| pids(index) == [u64::from(pid)]).unwrap();
    let (old, new) = (with(old.pid()), with(new.pid()));
    assert_eq!((&old["state"], &new["state"]), (&"replaced".into(), &"current".into()));
    assert_eq!(old["split_with"], Value::Array(vec![new["identity"].clone()]));
    assert_eq!(new["split_with"], Value::Array(vec![old["identity"].clone()]));
    assert_eq!(codes(&json, &database), ["split_brain"]);

    // The page of `inspect` says it, too.
    let out = Command::new(EXE).arg("inspect").arg(&database).arg("--json").output().unwrap();
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(json["findings"].as_array().unwrap().iter().any(|finding| finding["code"] == "split_brain"), "{json:#}");
}

#[test]
fn a_process_that_uses_another_wal_than_the_one_beside_its_wal_index_is_named() {
    let (_folder, database) = folder();
    let mut old = Sqlite::open(&database);
    old.run("INSERT INTO t VALUES (1)");
    old.run("PRAGMA wal_checkpoint(TRUNCATE)");
    let wal = PathBuf::from(format!("{}-wal", database.display()));
    let named = || {
        let (code, json) = ps(&[]);
        let all = json["findings"].as_array().unwrap().iter();
        let of_it = all.filter(|finding| finding["evidence"]["side"] == database.to_str().unwrap());
        let told: Vec<_> = of_it.map(|found| (found["code"].clone(), found["evidence"]["pids"].clone())).collect();
        assert!(told.is_empty() || code == 1);
        told
    };
    let other = |pid: u32| vec![("wal_index_shared_wal_not".into(), serde_json::json!([pid]))];
    assert_eq!(named(), []);
    let away = wal.with_file_name("away");
    fs::rename(&wal, &away).unwrap();
    assert_eq!(named(), other(old.pid()));
    // Whoever opens the database now makes another -wal, and uses it with the same wal-index.
    let new = Sqlite::open(&database);
    assert!(wal.exists());
    assert_eq!(named(), other(old.pid()));
    drop(new);
    fs::rename(&away, &wal).unwrap();
    assert_eq!(named(), []);
}

#[test]
fn another_program_s_file_called_shm_is_not_listed_and_a_renamed_wal_index_is() {
    let (_folder, database) = folder();
    let other = database.with_file_name("other.db-shm");
    fs::write(&other, vec![0x55; 32768]).unwrap();
    let file = File::open(&other).unwrap();
    // SAFETY: nobody changes the file, and nothing is read through the mapping.
    #[allow(unsafe_code)]
    let _mapping = unsafe { memmap2::MmapOptions::new().len(32768).map(&file).unwrap() };
    let mut child = Sqlite::open(&database);
    child.run("INSERT INTO t VALUES (1)");
    let renamed = database.with_file_name("moved away");
    fs::rename(shm(&database), &renamed).unwrap();
    let (_, json) = ps(&[]);
    assert_eq!(of(&json, &database.with_file_name("other.db")), Vec::<Value>::new());
    let found = of(&json, &renamed);
    assert_eq!((found.len(), &found[0]["state"]), (1, &"current".into()), "{json:#}");
}

#[test]
fn names_reach_the_terminal_escaped() {
    let (_folder, database) = folder();
    let hostile = database.with_file_name("a\u{1b}[2Jb\n.db");
    let mut child = Sqlite::open(&hostile);
    child.run("INSERT INTO t VALUES (1)");
    for arguments in [vec!["ps".into()], vec!["inspect".into(), hostile.clone().into_os_string()]] {
        let out = Command::new(EXE).args(&arguments).args(["--color", "never"]).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(!text.contains('\u{1b}') && text.contains("\\u{1b}[2Jb"), "{text}");
    }
}

#[test]
fn ps_says_what_it_cannot_see() {
    let root = rustix::process::geteuid().is_root();
    if !common::have("root", root) {
        return;
    }
    let own = Path::new("/proc/self/ns/pid").read_link().unwrap();
    let out = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", EXE, "ps", "--json"]).output().unwrap();
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(json["sight"]["every_process"], false, "{json:#}");
    assert!(json["sight"]["unseen"].as_str().unwrap().contains("PID namespace"), "{json:#}");
    let (_, here) = ps(&[]);
    assert_eq!(here["sight"]["every_process"], own.to_str() == Some("pid:[4026531836]"));
}

#[test]
fn a_newline_and_its_escape_in_a_name_are_distinguished() {
    let (_folder, database) = folder();
    let (newline, spelt) = (database.with_file_name("a\nb.db"), database.with_file_name("a\\012b.db"));
    let mut children = [Sqlite::open(&newline), Sqlite::open(&spelt)];
    children.iter_mut().for_each(|child| child.run("INSERT INTO t VALUES (1)"));
    let (_, json) = ps(&[]);
    for (name, child) in [&newline, &spelt].into_iter().zip(&children) {
        let found = of(&json, name);
        assert_eq!((found.len(), &found[0]["state"]), (1, &"current".into()), "{name:?}: {json:#}");
        assert_eq!(pids(&found[0]), [u64::from(child.pid())]);
    }
    // A deleted file also keeps its name.
    fs::remove_file(shm(&newline)).unwrap();
    let (_, json) = ps(&[]);
    assert_eq!(of(&json, &newline)[0]["state"], "deleted");
}

#[test]
fn files_of_two_btrfs_subvolumes_with_equal_numbers_are_distinguished() {
    let Some(btrfs) = btrfs::Btrfs::mount() else { return };
    let (one, copy) = (btrfs.path("one"), btrfs.path("copy"));
    btrfs.subvolume(&[&one]);
    let databases = [one.join("t.db"), copy.join("t.db")];
    let mut first = Sqlite::open(&databases[0]);
    first.run("INSERT INTO t VALUES (1)");
    btrfs.subvolume(&[&one, &copy]);
    let mut second = Sqlite::open(&databases[1]);
    second.run("INSERT INTO t VALUES (2)");
    let mut reader = Sqlite::open(&databases[1]);
    reader.run("BEGIN; SELECT x FROM t");
    let (_, json) = ps(&[]);
    let found: Vec<Value> = databases.iter().flat_map(|database| of(&json, database)).collect();
    assert_eq!(found.len(), 2, "{json:#}");
    assert_eq!(found[0]["identity"], found[1]["identity"], "the snapshot did not keep the number");
    assert_ne!(found[0]["subvolume"], found[1]["subvolume"]);
    assert_eq!((pids(&found[0]), pids(&found[1]).len()), (vec![u64::from(first.pid())], 2));
    let none: Vec<Value> = Vec::new();
    assert!(found.iter().all(|index| index["state"] == "current" && index["split_with"] == Value::Array(none.clone())));
    // The list of locks uses the superblock's device: nobody may be named as a holder on the other subvolume.
    assert_eq!(held_by(&found[0], "dead_man_switch"), [u64::from(first.pid())]);
    assert!((1..5).all(|slot| held_by(&found[0], &format!("read{slot}")).is_empty()), "{:#}", found[0]);
    assert!(
        (1..5).any(|slot| held_by(&found[1], &format!("read{slot}")) == [u64::from(reader.pid())]),
        "{:#}",
        found[1]
    );
    drop((first, second, reader));
}

#[test]
fn on_tmpfs_two_processes_are_listed_under_one_wal_index() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let database = fs::canonicalize(folder.path()).unwrap().join("t.db");
    let mut children = [Sqlite::open(&database), Sqlite::open(&database)];
    children.iter_mut().for_each(|child| child.run("INSERT INTO t VALUES (1)"));
    let (_, json) = ps(&[]);
    let found = of(&json, &database);
    assert_eq!((found.len(), &found[0]["subvolume"], pids(&found[0]).len()), (1, &Value::Null, 2), "{json:#}");
}

/// The databases that are locked without a wal-index of the list, by path.
fn locked(json: &Value, database: &Path) -> Vec<Value> {
    let all = json["databases"].as_array().unwrap().iter();
    all.filter(|one| one["databases"].as_array().unwrap().iter().any(|path| path == database.to_str().unwrap()))
        .cloned()
        .collect()
}

#[test]
fn a_database_that_is_locked_without_a_wal_index_is_listed() {
    let (_folder, database) = folder();
    let own = std::process::id();
    let db = common::command::connect(&database);
    db.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x)").unwrap();
    assert!(locked(&ps(&[]).1, &database).is_empty(), "its wal-index is listed");
    drop(db);
    for (mode, begin, lock) in [
        ("wal", "PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t VALUES(1)", "exclusive"),
        ("rollback", "PRAGMA journal_mode=DELETE; BEGIN IMMEDIATE", "shared"),
    ] {
        let db = common::command::connect(&database);
        db.execute_batch(begin).unwrap();
        let (_, json) = ps(&[]);
        let found = locked(&json, &database);
        assert_eq!(found.len(), 1, "{mode}: {json:#}");
        assert_eq!((&found[0]["journal_mode"], &found[0]["header_read"]), (&mode.into(), &true.into()));
        assert_eq!(found[0]["processes"][0]["pid"], own);
        assert_eq!((&found[0]["locks"][0]["name"], &found[0]["locks"][0]["lock"]), (&"database".into(), &lock.into()));
        assert_eq!(held_by(&found[0], "database"), [u64::from(own)]);
        assert!(of(&json, &database).is_empty());
        let source = found[0]["look"].as_str().unwrap();
        assert_eq!(Command::new(EXE).args(["inspect", source]).output().unwrap().status.code(), Some(0));
        let page = String::from_utf8(Command::new(EXE).arg("ps").output().unwrap().stdout).unwrap();
        assert!(page.contains(&format!("{own}")) && page.contains("locked without one"), "{page}");
        drop(db);
    }
    assert!(locked(&ps(&[]).1, &database).is_empty());
}

#[test]
fn a_file_that_is_no_database_is_not_listed_however_it_is_locked() {
    let (_folder, path) = folder();
    fs::write(&path, "plain text, longer than a header of SQLite; locked where SQLite locks").unwrap();
    let lock = "import fcntl, os, struct, sys\nfd = os.open(sys.argv[1], os.O_RDWR)\n\
        fcntl.fcntl(fd, fcntl.F_SETLK, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0x40000002, 510, 0))\n\
        print('ready', flush=True)\nsys.stdin.read()";
    let mut child = Command::new("python3")
        .args(["-c", lock])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 5];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    assert!(locked(&ps(&[]).1, &path).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_a_user_may_not_look_at_is_said_first_and_is_worth_a_notice() {
    if !common::have("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let (folder, database) = folder();
    let _root = Sqlite::open(&database);
    let copy = folder.path().join("walscope");
    fs::copy(EXE, &copy).unwrap();
    for path in [folder.path(), copy.as_path()] {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let run = |options: &[&str]| {
        let user = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
        let out = Command::new("setpriv").args(user).arg(&copy).arg("ps").args(options).output().unwrap();
        (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap())
    };
    let (code, page) = run(&[]);
    let first = page.lines().next().unwrap();
    assert!(code == 0 && first.starts_with("Not seen") && first.contains("processes may have mapped"), "{page}");
    assert!(!page.contains("No wal-index is mapped"), "{page}");
    assert_eq!(run(&["--fail-on", "notice"]).0, 1);
    assert_eq!(run(&["--fail-on", "warning"]).0, 0);
}

#[test]
fn a_process_that_is_stopped_is_said_to_be_stopped() {
    let (_folder, database) = folder();
    let mut writer = Sqlite::open(&database);
    writer.run("BEGIN IMMEDIATE");
    let signal = |name: &str| Command::new("kill").args([name, &writer.pid().to_string()]).status().unwrap();
    let row = || {
        let page =
            String::from_utf8(Command::new(EXE).args(["ps", "--width", "300"]).output().unwrap().stdout).unwrap();
        let is_its = |line: &&str| line.split_whitespace().next() == Some(&writer.pid().to_string());
        page.lines().find(is_its).unwrap().to_owned()
    };
    assert!(!row().contains("stopped"), "{}", row());
    assert!(signal("-STOP").success());
    let stopped = || fs::read_to_string(format!("/proc/{}/stat", writer.pid())).unwrap().contains(") T ");
    while !stopped() {
        std::thread::yield_now();
    }
    let said = row();
    assert!(signal("-CONT").success());
    assert!(said.contains(", stopped") && said.contains("write"), "{said}");
}

/// A hard link, and a mount of the file alone, leave `-wal` and `-shm` behind.
#[test]
fn a_database_that_is_in_use_under_two_names_is_a_split() {
    for mounted in [false, true] {
        let (folder, database) = folder();
        let mut first = Sqlite::open(&database);
        first.run("PRAGMA wal_checkpoint");
        let other = database.with_file_name("other/t.db");
        fs::create_dir(other.parent().unwrap()).unwrap();
        let mount = |command: &str, args: &[&std::ffi::OsStr]| {
            Command::new(command).args(args).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        if mounted {
            fs::write(&other, "").unwrap();
            let bind = ["--bind".as_ref(), database.as_os_str(), other.as_os_str()];
            if !common::have("mount", mount("mount", &bind)) {
                return;
            }
        } else {
            fs::hard_link(&database, &other).unwrap();
        }
        let none: Vec<Value> = Vec::new();
        let (_, json) = ps(&[]);
        assert_eq!(of(&json, &database)[0]["split_with"], Value::Array(none));
        let second = Sqlite::open(&other);
        let (code, json) = ps(&[]);
        let [one, two] = [&database, &other].map(|name| of(&json, name)[0].clone());
        assert_eq!((&one["split_with"][0], &two["split_with"][0]), (&two["identity"], &one["identity"]), "{mounted}");
        let named = serde_json::json!([other, database]);
        let mut found = json["findings"].as_array().unwrap().iter();
        let found = found.find(|found| found["evidence"]["names"] == named).unwrap();
        assert_eq!((code, &found["code"]), (1, &"split_brain".into()));
        let mut both = [first.pid(), second.pid()];
        both.sort_unstable();
        assert_eq!(found["evidence"]["pids"], serde_json::json!(both));
        drop((first, second));
        assert!(!mounted || mount("umount", &[other.as_os_str()]));
        drop(folder);
    }
}

#[test]
fn each_cell_of_a_row_stands_under_its_head() {
    let folder = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(folder.path()).unwrap().join("t.db");
    // In rollback mode, so that it is locked without a wal-index.
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("PRAGMA journal_mode=DELETE; CREATE TABLE t(x); BEGIN IMMEDIATE").unwrap();
    // Another one with a wal-index.
    let _process = Sqlite::open(&path.with_file_name("u.db"));
    let page = Command::new(EXE).args(["ps", "--width", "1000"]).output().unwrap();
    let page = String::from_utf8(page.stdout).unwrap();
    for name in ["t.db", "u.db"] {
        let part = page.split("\n\n").find(|part| part.contains(&format!("{}/{name}", folder.path().display())));
        let part = part.unwrap_or_else(|| panic!("{page}"));
        let heads = part.lines().find(|line| line.trim_start().starts_with("pid ")).unwrap_or_else(|| panic!("{part}"));
        let row = part.lines().find(|line| line.trim_start().starts_with(|first: char| first.is_ascii_digit()));
        let row = row.unwrap_or_else(|| panic!("{part}"));
        let under = |head: &str| row.get(heads.find(head).unwrap()..).unwrap_or_default();
        assert!(under("path").starts_with('/'), "{part}");
        assert!(under("started").contains(" ago"), "{part}");
        assert!(!under("container").contains(" ago"), "{part}");
    }
    drop(db);
}
