//! `rescue` of files in containers: a volume has several paths, overlay keeps the number of links, and root inside of a container
//! may not follow the descriptors of other users.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::command::{EXE, connect, walscope};
use crate::common::docker::{Shell, World};

const WAL: &str = "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x); INSERT INTO t VALUES(1);";

fn world() -> Option<World> {
    World::with_sqlite3(&[(Path::new(EXE), "walscope")])
}

/// Saves from the host. Gives the manifest and the exit code.
fn rescue(folder: &Path, source: &str, to: &str) -> (Value, i32) {
    let ran = walscope(folder, &["rescue", source, "-o", to]);
    assert!(ran.code < 2, "{source}: {} {}", ran.text(), ran.stderr);
    (serde_json::from_slice(&fs::read(folder.join(to).join("manifest.json")).unwrap()).unwrap(), ran.code)
}

fn rows(folder: &Path, set: &Value) -> i64 {
    let copy = connect(&folder.join(set["database"].as_str().unwrap()));
    copy.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_volume_is_one_folder_by_whatever_path_it_is_asked_for() {
    let Some(world) = world() else { return };
    let volume = world.volume("v");
    let mount = |at: &str| format!("{volume}:{at}");
    let mut first = world.shell("first", &["-v", &mount("/data")], "/data/app.db");
    first.sql(WAL);
    let mut second = world.shell("second", &["-v", &mount("/srv")], "/srv/app.db");
    second.sql("INSERT INTO t VALUES(2);");
    let host = world.mountpoint(&volume);
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(format!("{host}/app.db{suffix}")).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let sources = [
        format!("{host}/app.db"),
        format!("{}:/data/app.db", first.container),
        format!("{}:/srv/app.db-wal", second.container),
    ];
    for (source, to) in sources.iter().zip(["a", "b", "c"]) {
        let (saved, code) = rescue(folder.path(), source, to);
        let sets = saved["sets"].as_array().unwrap();
        assert_eq!((sets.len(), code, rows(folder.path(), &sets[0])), (1, 0, 2), "{source}: {saved:#}");
        assert_eq!(sets[0]["processes"].as_array().unwrap().len(), 2, "{source}: {saved:#}");
    }
    // A path of the container, asked for from the host.
    let ran = walscope(folder.path(), &["rescue", "/data/app.db", "-o", "d"]);
    assert!(ran.stderr.contains(":/data/app.db (pid "), "{}", ran.stderr);
    // What is open beneath a folder is named so that it can be asked for.
    let ran = walscope(folder.path(), &["rescue", &format!("{}:/data", first.container), "-o", "d"]);
    let hint = ran.stderr.split_once("open there: ").unwrap_or_else(|| panic!("{}", ran.stderr)).1;
    let (saved, _) = rescue(folder.path(), hint.split_once(" (pid").unwrap().0, "e");
    assert_eq!(rows(folder.path(), &saved["sets"][0]), 2);
}

fn in_container(world: &World, shell: &Shell, options: &[&str], words: &[&str]) -> (String, i32) {
    let out = world.exec(shell, options, words);
    (String::from_utf8_lossy(&out.stdout).into_owned(), out.status.code().unwrap())
}

#[test]
fn a_file_deleted_in_a_container_is_called_deleted() {
    let Some(world) = world() else { return };
    let mut shell = world.shell("overlay", &[], "/data/app.db");
    shell.sql(WAL);
    let folder = tempfile::tempdir().unwrap();
    let source = format!("{}:/data/app.db", shell.container);
    let (saved, _) = rescue(folder.path(), &source, "there");
    let deleted =
        |saved: &Value| saved["sets"][0]["files"].as_array().unwrap().iter().all(|file| file["deleted"] == true);
    assert!(!deleted(&saved), "{saved:#}");
    let pid = saved["sets"][0]["processes"][0]["pid"].as_u64().unwrap();
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(format!("/proc/{pid}/root/data/app.db{suffix}")).unwrap();
    }
    let (saved, code) = rescue(folder.path(), &source, "deleted");
    assert!(deleted(&saved), "{saved:#}");
    // Where the engine's overlay is FUSE, the -shm is in use and not opened. No row is only there.
    let fuse = rustix::fs::statfs(format!("/proc/{pid}/root/data")).unwrap().f_type == 0x6573_5546;
    let has_shm = saved["sets"][0]["files"].as_array().unwrap().iter().any(|file| file["part"] == "shm");
    assert_eq!((saved["sets"][0]["shm_not_opened"].as_bool(), has_shm), (Some(fuse), !fuse), "{saved:#}");
    assert_eq!((code, rows(folder.path(), &saved["sets"][0])), (0, 1));
}

#[test]
fn root_in_a_container_is_told_that_a_process_of_another_user_was_not_seen() {
    let Some(world) = world() else { return };
    let options = ["--user", "1000:1000", "--tmpfs", "/t:mode=1777"];
    let mut shell = world.shell("user", &options, "/t/app.db");
    shell.sql(WAL);
    let own = in_container(
        &world,
        &shell,
        &["--user", "1000:1000"],
        &["/walscope", "rescue", "/t/app.db", "-o", "/t/own", "--json"],
    );
    let saved: Value = serde_json::from_str(&own.0).unwrap();
    assert_eq!(saved["sets"][0]["locked_unseen"], false, "{saved:#}");
    let ran =
        in_container(&world, &shell, &["--user", "0"], &["/walscope", "rescue", "/t/app.db", "-o", "/tmp/o", "--json"]);
    let saved: Value = serde_json::from_str(&ran.0).unwrap();
    assert_eq!((ran.1, saved["processes_denied"].as_u64().unwrap() > 0), (1, true), "{saved:#}");
    assert_eq!(saved["sets"][0]["unseen_holders"], serde_json::json!([1]), "{saved:#}");
}
