//! Snapshots taken inside real containers that run Debian's sqlite3, compared.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common;
use crate::common::docker::{Shell, World};

const WALSCOPE: &str = env!("CARGO_BIN_EXE_walscope");

fn world() -> Option<World> {
    World::with_sqlite3(&[(Path::new(WALSCOPE), "walscope")])
}

/// A writer and a reader on one volume, the database made and a row in it; both connections stay open.
fn pair(world: &World) -> (Shell, Shell, String) {
    let volume = world.volume("shared");
    let mount = format!("{volume}:/data");
    let mut writer = world.shell("writer", &["-v", &mount], "/data/t.db");
    assert_eq!(
        writer.sql("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES (1); SELECT count(*) FROM t;"),
        "wal\n1"
    );
    let mut reader = world.shell("reader", &["-v", &mount], "/data/t.db");
    assert_eq!(reader.sql("SELECT count(*) FROM t;"), "1");
    (writer, reader, volume)
}

fn snapshot(world: &World, shell: &Shell, user: &[&str], to: &Path) {
    let out = world.exec(shell, user, &["/walscope", "snapshot", "/data/t.db", "-o", "-"]);
    assert!(out.status.success(), "snapshot: {}", String::from_utf8_lossy(&out.stderr));
    fs::write(to, out.stdout).unwrap();
}

fn compare(a: &Path, b: &Path) -> (i32, Value) {
    let out = Command::new(WALSCOPE).arg("compare").args([a, b]).arg("--json").output().unwrap();
    let json =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
    (out.status.code().unwrap(), json)
}

fn two(folder: &tempfile::TempDir) -> (PathBuf, PathBuf) {
    (folder.path().join("w.walsnap"), folder.path().join("r.walsnap"))
}

#[test]
fn one_volume_is_proven_for_paths_when_the_readers_process_is_not_visible() {
    let Some(world) = world() else { return };
    let (writer, reader, _) = pair(&world);
    let folder = tempfile::tempdir().unwrap();
    let (w, r) = two(&folder);
    snapshot(&world, &writer, &[], &w);
    snapshot(&world, &reader, &["-u", "1000"], &r);
    let (exit, json) = compare(&w, &r);
    assert_eq!(exit, 0, "{json:#}");
    assert_eq!(json["schema"], "walscope/compare/1");
    assert_eq!(json["verdict"]["sharing"], "proven");
    assert_eq!(json["verdict"]["subject"], "paths");
    assert_eq!(json["verdict"]["decided_by"], serde_json::json!(["kernel_identity"]));
}

#[test]
fn one_volume_is_proven_for_mappings_when_both_processes_are_visible() {
    let Some(world) = world() else { return };
    let (mut writer, reader, _) = pair(&world);
    let folder = tempfile::tempdir().unwrap();
    let (w, r) = two(&folder);
    snapshot(&world, &writer, &[], &w);
    writer.sql("INSERT INTO t VALUES (2);");
    snapshot(&world, &reader, &[], &r);
    let (exit, json) = compare(&w, &r);
    assert_eq!(exit, 0, "{json:#}");
    assert_eq!(json["verdict"]["sharing"], "proven");
    assert_eq!(json["verdict"]["subject"], "mappings");
    assert_eq!(json["lineage"]["relation"], "continuation");
    assert_eq!(json["lineage"]["commits"], 1);
}

#[test]
fn a_process_on_a_deleted_wal_index_refutes_where_it_is_visible() {
    let Some(world) = world() else { return };
    let (mut writer, reader, volume) = pair(&world);
    // The reader keeps the old wal-index mapped; the next writer makes a new one.
    let at = world.mountpoint(&volume);
    if !common::have("root", Path::new(&at).join("t.db-shm").exists()) {
        return;
    }
    fs::remove_file(Path::new(&at).join("t.db-shm")).unwrap();
    writer.sql("SELECT count(*) FROM t;");
    writer.quit();
    let mount = format!("{volume}:/data");
    let mut writer = world.shell("writer2", &["-v", &mount], "/data/t.db");
    writer.sql("INSERT INTO t VALUES (2);");
    let folder = tempfile::tempdir().unwrap();
    let (w, r) = two(&folder);
    snapshot(&world, &writer, &[], &w);
    snapshot(&world, &reader, &[], &r);
    let (exit, json) = compare(&w, &r);
    assert_eq!(exit, 1, "{json:#}");
    assert_eq!(json["verdict"]["sharing"], "refuted");
    assert_eq!(json["verdict"]["subject"], "mappings");
    assert!(json["findings"].as_array().unwrap().iter().any(|f| f["code"] == "split_brain"), "{json:#}");

    snapshot(&world, &reader, &["-u", "1000"], &r);
    let (_, json) = compare(&w, &r);
    assert!(
        json["verdict"]["sharing"] != "proven" || json["verdict"]["subject"] == "paths",
        "proven for mappings that were not seen: {json:#}"
    );
}
