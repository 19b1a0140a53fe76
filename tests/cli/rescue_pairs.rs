//! `rescue` finds the files of one database wherever they are, pairs them as the process uses them, and never says that all is
//! saved where something may be missing. The databases are open in an sqlite3 shell.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;
use serde_json::Value;

use crate::common::command::{EXE, Ran, connect, copy_executable, run, walscope};
use crate::common::docker::Shell;
use crate::common::have;

const WAL: &str = "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x); INSERT INTO t VALUES(1);";
/// A transaction that goes on, with pages in the database that are not committed.
const HOT: &str = "CREATE TABLE t(x); WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 500)
                   INSERT INTO t SELECT randomblob(500) FROM n;
                   PRAGMA cache_size=5; BEGIN IMMEDIATE; UPDATE t SET x = randomblob(500);";

fn here() -> bool {
    have("sqlite3", Path::new("/usr/bin/sqlite3").exists())
}

fn root() -> bool {
    here() && have("root", rustix::process::geteuid().is_root())
}

fn shell(database: &Path) -> Shell {
    let mut command = Command::new("/usr/bin/sqlite3");
    command.arg("-batch").arg(database);
    Shell::start(command, String::new())
}

/// A program that has one file open and is no SQLite.
struct Holder(Child);

impl Holder {
    fn of(path: &Path) -> Self {
        Self(Command::new("sleep").arg("600").stdin(File::open(path).unwrap()).spawn().unwrap())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct World {
    folder: tempfile::TempDir,
    saved: u32,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), saved: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn delete(&self, names: &[&str]) {
        names.iter().for_each(|name| fs::remove_file(self.path(name)).unwrap());
    }

    /// Saves into a new folder.
    fn rescue(&mut self, source: &str) -> (Ran, Value) {
        self.rescue_by(Command::new(EXE), source)
    }

    fn rescue_by(&mut self, mut walscope: Command, source: &str) -> (Ran, Value) {
        self.saved += 1;
        let out = self.path(&format!("saved{}", self.saved));
        walscope.args(["rescue", source, "--width", "1000", "-o"]).arg(&out).current_dir(self.folder.path());
        let ran = run(&mut walscope);
        let manifest = fs::read(out.join("manifest.json")).unwrap_or_default();
        (ran, serde_json::from_slice(&manifest).unwrap_or_default())
    }
}

fn sets(manifest: &Value) -> &Vec<Value> {
    manifest["sets"].as_array().unwrap_or_else(|| panic!("nothing was saved: {manifest}"))
}

/// The set with the database that has this name.
fn set_of<'a>(manifest: &'a Value, name: &str) -> &'a Value {
    let is = |set: &&Value| set["files"][0]["part"] == "database" && text(&set["files"][0]["path"]).ends_with(name);
    sets(manifest).iter().find(is).unwrap_or_else(|| panic!("{name}: {manifest:#}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn parts(set: &Value) -> Vec<&str> {
    set["files"].as_array().unwrap().iter().map(|file| text(&file["part"])).collect()
}

/// Rows of the copy, which has to be whole.
fn rows(set: &Value) -> i64 {
    let copy: Connection = connect(Path::new(text(&set["database"])));
    let check: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok", "{set:#}");
    copy.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_database_that_was_renamed_keeps_its_wal_when_its_process_opens_a_new_one() {
    if !here() {
        return;
    }
    let mut world = World::new();
    let mut shell = shell(&world.path("q.db"));
    shell.sql(&format!("{WAL} PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES(2);"));
    fs::rename(world.path("q.db"), world.path("q.db.1")).unwrap();
    shell.sql(&format!(".connection 1\n.open {}", world.path("q.db").display()));
    shell.sql("SELECT count(*) FROM sqlite_schema;");
    shell.sql(&format!("{WAL} INSERT INTO t VALUES(3), (4), (5);"));
    for source in ["q.db", "q.db.1"] {
        let (ran, saved) = world.rescue(source);
        assert_eq!(rows(set_of(&saved, "q.db.1")), 2, "{source}: {}", ran.text());
        assert!(parts(set_of(&saved, "q.db.1")).contains(&"wal"), "{source}: {}", ran.text());
    }
    let (_, saved) = world.rescue("q.db");
    assert_eq!(rows(set_of(&saved, "/q.db")), 4);
}

#[test]
fn where_names_were_exchanged_this_is_said_and_nothing_left_out() {
    if !here() {
        return;
    }
    let mut world = World::new();
    let mut shell = shell(&world.path("a.db"));
    shell.sql(WAL);
    shell.sql(&format!(".connection 1\n.open {}", world.path("b.db").display()));
    shell.sql(WAL);
    for (from, to) in [("a.db", "x"), ("b.db", "a.db"), ("x", "b.db")] {
        fs::rename(world.path(from), world.path(to)).unwrap();
    }
    let (ran, saved) = world.rescue("b.db");
    assert_eq!(ran.code, 1, "{}", ran.text());
    assert_eq!(sets(&saved).len(), 2, "{}", ran.text());
    assert!(sets(&saved).iter().all(|set| set["pairing_unsure"] == true), "{saved:#}");
    assert!(ran.text().contains("It is not sure which database"), "{}", ran.text());
}

#[test]
fn a_database_renamed_in_a_transaction_is_saved_with_its_journal_by_both_names() {
    if !here() {
        return;
    }
    let mut world = World::new();
    let mut shell = shell(&world.path("app.db"));
    shell.sql(HOT);
    fs::rename(world.path("app.db"), world.path("moved.db")).unwrap();
    for source in ["app.db", "moved.db"] {
        let (ran, saved) = world.rescue(source);
        assert_eq!(parts(set_of(&saved, "moved.db")), ["database", "journal"], "{source}: {}", ran.text());
        assert_eq!(rows(set_of(&saved, "moved.db")), 500);
    }
}

#[test]
fn what_lies_at_the_path_is_saved_without_the_sidecar_of_another_database() {
    if !here() {
        return;
    }
    for wal in [false, true] {
        let mut world = World::new();
        let mut shell = shell(&world.path("app.db"));
        shell.sql(if wal { WAL } else { HOT });
        connect(&world.path("new.db")).execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES(1), (2), (3)").unwrap();
        fs::rename(world.path("new.db"), world.path("app.db")).unwrap();
        let (ran, saved) = world.rescue("app.db");
        let of_process = &sets(&saved)[0];
        assert_eq!((parts(of_process)[1], rows(of_process)), if wal { ("wal", 1) } else { ("journal", 500) });
        let part = if wal { "wal" } else { "journal" };
        assert!(of_process["parts_at_path"].as_array().unwrap().contains(&part.into()), "{of_process:#}");
        let at_path = &sets(&saved)[1];
        assert_eq!((parts(at_path), rows(at_path)), (vec!["database"], 3), "{at_path:#}");
        assert!(at_path["parts_of_another"].as_array().unwrap().contains(&part.into()), "{at_path:#}");
        assert!(ran.text().contains(&format!("of it at the path: -{part}")), "{}", ran.text());
        assert!(ran.text().contains("There are 2 different sets"), "no two processes: {}", ran.text());
    }
}

#[test]
fn a_sidecar_names_its_database_and_the_content_says_what_it_is() {
    if !here() {
        return;
    }
    let mut world = World::new();
    let mut first = shell(&world.path("app.db"));
    first.sql(WAL);
    for source in ["app.db-wal", "app.db-shm"] {
        let (ran, saved) = world.rescue(source);
        assert_eq!((ran.code, rows(&saved["sets"][0])), (0, 1), "{source}: {}", ran.stderr);
    }
    world.delete(&["app.db-wal"]);
    let (ran, saved) = world.rescue("app.db-wal");
    assert_eq!((ran.code, rows(&saved["sets"][0])), (0, 1), "{}", ran.stderr);
    let mut odd = shell(&world.path("x.db-wal"));
    odd.sql(WAL);
    for deleted in [&[][..], &["x.db-wal", "x.db-wal-wal", "x.db-wal-shm"]] {
        world.delete(deleted);
        let (ran, saved) = world.rescue("x.db-wal");
        assert_eq!((ran.code, sets(&saved).len()), (0, 1), "{deleted:?}: {} {}", ran.text(), ran.stderr);
        assert_eq!((parts(&saved["sets"][0]), rows(&saved["sets"][0])), (vec!["database", "wal", "shm"], 1));
    }
}

#[test]
fn a_database_in_wal_mode_that_is_open_without_a_wal_is_not_all() {
    if !here() {
        return;
    }
    let mut world = World::new();
    connect(&world.path("app.db")).execute_batch(WAL).unwrap();
    let _holder = Holder::of(&world.path("app.db"));
    let (ran, saved) = world.rescue("app.db");
    assert_eq!((ran.code, &saved["sets"][0]["no_wal"]), (1, &"open".into()), "{}", ran.text());
    assert!(ran.text().contains("unless the process has not read from it yet"), "{}", ran.text());
    // In rollback mode there is none.
    connect(&world.path("old.db")).execute_batch("CREATE TABLE t(x)").unwrap();
    let _holder = Holder::of(&world.path("old.db"));
    let (_, saved) = world.rescue("old.db");
    assert_eq!(saved["sets"][0]["missing"], serde_json::json!([]));
}

#[test]
fn a_wal_that_only_a_backup_has_open_is_put_beside_its_database() {
    if !here() {
        return;
    }
    let mut world = World::new();
    let mut shell = shell(&world.path("app.db"));
    shell.sql(WAL);
    let backup = Holder::of(&world.path("app.db-wal"));
    // It ends without closing: that would checkpoint.
    shell.kill();
    world.delete(&["app.db-wal"]);
    let (ran, saved) = world.rescue("app.db");
    assert_eq!((sets(&saved).len(), rows(&saved["sets"][0])), (1, 1), "{}", ran.text());
    assert_eq!(saved["sets"][0]["without_database"], serde_json::json!([backup.0.id()]));
    assert!(ran.text().contains("does not have the database open"), "{}", ran.text());
}

#[test]
fn a_file_whose_name_ends_as_that_of_a_deleted_one_is_another_file() {
    if !here() {
        return;
    }
    let mut world = World::new();
    let mut literal = shell(&world.path("app.db (deleted)"));
    literal.sql(WAL);
    let (ran, _) = world.rescue("app.db");
    assert_eq!(ran.code, 2, "{}", ran.text());
    let (ran, saved) = world.rescue("app.db (deleted)");
    assert_eq!((ran.code, rows(&saved["sets"][0])), (0, 1), "{} {}", ran.text(), ran.stderr);
    let mut other = shell(&world.path("app.db"));
    other.sql(&format!("{WAL} INSERT INTO t VALUES(2);"));
    world.delete(&["app.db", "app.db-wal", "app.db-shm"]);
    let (_, saved) = world.rescue("app.db");
    assert_eq!((sets(&saved).len(), rows(&saved["sets"][0])), (1, 2));
    assert_eq!(saved["sets"][0]["files"][0]["deleted"], true);
}

#[test]
fn whoever_may_list_descriptors_and_not_follow_them_is_told_who_was_not_seen() {
    if !root() {
        return;
    }
    let mut world = World::new();
    fs::set_permissions(world.folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let path = world.path("app.db");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=1000", "--regid=1000", "--clear-groups", "/usr/bin/sqlite3", "-batch"]).arg(&path);
    let mut shell = Shell::start(command, String::new());
    shell.sql(WAL);
    world.delete(&["app.db-wal"]);
    let mut without = Command::new("setpriv");
    without.args(["--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", EXE]);
    let (ran, saved) = world.rescue_by(without, "app.db");
    assert_eq!(ran.code, 1, "{} {}", ran.text(), ran.stderr);
    assert!(saved["processes_denied"].as_u64().unwrap() > 0, "{saved:#}");
    assert_eq!(saved["sets"][0]["missing"], serde_json::json!(["wal"]), "{saved:#}");
    assert_eq!(saved["sets"][0]["unseen_holders"], serde_json::json!([shell.pid()]), "{saved:#}");
    assert!(ran.text().contains(&format!("pid {} holds a lock", shell.pid())), "{}", ran.text());
    let (ran, saved) = world.rescue("app.db");
    assert_eq!((ran.code, rows(&saved["sets"][0])), (0, 1), "with every capability: {}", ran.text());
}

/// Some process is always out of sight: that alone takes nothing away from files that nobody has locked.
#[test]
fn a_database_that_was_closed_is_saved_whole_although_not_every_process_is_seen() {
    if !root() {
        return;
    }
    let mut world = World::new();
    fs::set_permissions(world.folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let mut shell = shell(&world.path("app.db"));
    shell.sql(WAL);
    shell.quit();
    assert!(!world.path("app.db-wal").exists());
    let program = world.path("walscope");
    copy_executable(EXE, &program);
    let user = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=1000", "--regid=1000", "--clear-groups"]).arg(&program);
        command
    };
    let (ran, saved) = world.rescue_by(user(), "app.db");
    assert_eq!((ran.code, &saved["every_process"]), (0, &false.into()), "{} {}", ran.text(), ran.stderr);
    assert!(saved["processes_denied"].as_u64() > Some(0) && saved["sets"][0]["unlocked"] == true, "{saved:#}");
    assert!(ran.text().contains("could not be seen") && ran.text().contains("nobody holds a lock"), "{}", ran.text());
    // Of a process that is not seen, and that has it open, the lock tells.
    let mut held = self::shell(&world.path("app.db"));
    held.sql("SELECT count(*) FROM t;");
    let (ran, saved) = world.rescue_by(user(), "app.db");
    assert_eq!((ran.code, &saved["sets"][0]["unlocked"]), (1, &false.into()), "{}", ran.text());
}

/// A shell that has one folder at another path, in a mount namespace of its own.
fn bound(world: &World) -> Shell {
    for name in ["a", "b"] {
        fs::create_dir(world.path(name)).unwrap();
    }
    let script = "mount --bind a b && exec /usr/bin/sqlite3 -batch b/app.db";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).current_dir(world.folder.path()).stderr(Stdio::inherit());
    let mut shell = Shell::start(command, String::new());
    shell.sql(WAL);
    shell
}

#[test]
fn files_beneath_another_mount_of_the_same_folder_are_found() {
    if !root() {
        return;
    }
    let mut world = World::new();
    let shell = bound(&world);
    world.delete(&["a/app.db", "a/app.db-wal", "a/app.db-shm"]);
    let (ran, saved) = world.rescue("a/app.db");
    assert_eq!((ran.code, rows(&saved["sets"][0])), (0, 1), "{} {}", ran.text(), ran.stderr);
    assert_eq!(saved["sets"][0]["processes"][0]["pid"], shell.pid());
    // The path of the process is another place here.
    let (ran, _) = world.rescue("b/app.db");
    assert_eq!(ran.code, 2, "{}", ran.text());
    let theirs = format!("pid:{}:{}", shell.pid(), world.path("b/app.db").display());
    let (ran, saved) = world.rescue(&theirs);
    assert_eq!((ran.code, rows(&saved["sets"][0])), (0, 1), "{} {}", ran.text(), ran.stderr);
    // What is named can be asked for.
    let (ran, _) = world.rescue("a");
    assert!(ran.stderr.contains(&format!("open there: {theirs} (pid {})", shell.pid())), "{}", ran.stderr);
    // A file of this name is made anew: the deleted ones are still found.
    connect(&world.path("a/app.db")).execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES(1), (2)").unwrap();
    let (_, saved) = world.rescue("a/app.db");
    assert_eq!(sets(&saved).iter().map(rows).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_mount_that_was_taken_away_is_said_to_be_not_known() {
    if !root() {
        return;
    }
    let mut world = World::new();
    for name in ["a", "b"] {
        fs::create_dir(world.path(name)).unwrap();
    }
    let script = "mount --bind a b && exec 3<>b/detached.db && umount -l b && exec /usr/bin/sqlite3 -batch";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).current_dir(world.folder.path());
    let shell = Shell::start(command, String::new());
    world.delete(&["a/detached.db"]);
    let (ran, _) = world.rescue("a/detached.db");
    assert_eq!(ran.code, 2, "{}", ran.text());
    assert!(ran.stderr.contains("its mount was taken away"), "pid {}: {}", shell.pid(), ran.stderr);
}

#[test]
fn a_path_that_leads_through_what_is_gone_is_taken_as_it_is_written() {
    if !here() {
        return;
    }
    let mut world = World::new();
    fs::create_dir(world.path("x")).unwrap();
    std::os::unix::fs::symlink("x", world.path("link")).unwrap();
    let mut shell = shell(&world.path("x/app.db"));
    shell.sql(WAL);
    fs::remove_dir_all(world.path("x")).unwrap();
    for source in ["x/app.db", "x/../x/app.db", "link/app.db"] {
        let (ran, saved) = world.rescue(source);
        assert_eq!((ran.code, rows(&saved["sets"][0])), (0, 1), "{source}: {} {}", ran.text(), ran.stderr);
    }
}

#[test]
fn files_that_were_all_renamed_are_known_by_their_new_name_only() {
    if !here() {
        return;
    }
    let mut world = World::new();
    fs::create_dir(world.path("x")).unwrap();
    let mut shell = shell(&world.path("x/app.db"));
    shell.sql(WAL);
    fs::rename(world.path("x"), world.path("y")).unwrap();
    let ran = walscope(world.folder.path(), &["rescue", "x/app.db", "-o", "saved"]);
    assert!(ran.code == 2 && ran.stderr.contains("known by its new name only"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("x/app.db (pid"), "the name that was given is no hint: {}", ran.stderr);
    let (ran, saved) = world.rescue("y/app.db");
    assert_eq!((ran.code, rows(&saved["sets"][0])), (0, 1), "{}", ran.text());
}
