//! What is seen of a real SQLite in another process: its locks and its mapping of the wal-index.

use std::path::Path;

use walscope::evidence::{ByteLock, LockState, LocksView, MappingsView};
use walscope::linux::{
    OpenedFiles, host_view, identities, locks_view, mappings_view, open_database, paths_unchanged, raw_texts,
    users_view,
};

use crate::common::command::walscope;
use crate::common::pause;
use crate::sqlite::Sqlite;

fn locks(files: &OpenedFiles) -> LocksView {
    locks_view(files).value().unwrap().clone()
}

fn mappings(files: &OpenedFiles) -> MappingsView {
    mappings_view(files).value().unwrap().clone()
}

fn pids(lock: &ByteLock) -> Vec<u32> {
    lock.holders.iter().filter_map(|holder| holder.pid).collect()
}

#[test]
fn the_locks_of_a_reader_and_a_writer_are_seen_with_their_processes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let mut writer = Sqlite::open(&path);
    writer.run("INSERT INTO t VALUES (1)");
    let mut reader = Sqlite::open(&path);
    let (reading, writing) = (reader.pid(), writer.pid());
    let files = open_database(&path, walscope::linux::Care::default()).unwrap();

    let idle = locks(&files);
    assert!(idle.shm.read.iter().all(|slot| slot.state == LockState::Free && slot.holders.is_empty()));
    assert_eq!(idle.shm.dead_man_switch.state, LockState::Shared);
    let mut both = vec![reading, writing];
    both.sort_unstable();
    assert_eq!(pids(&idle.shm.dead_man_switch), both);
    assert_eq!((idle.database.state, pids(&idle.database)), (LockState::Shared, both));

    reader.run("BEGIN; SELECT count(*) FROM t");
    writer.run("BEGIN IMMEDIATE");
    writer.run("INSERT INTO t VALUES (2)");
    let busy = locks(&files);
    assert_eq!((busy.shm.write.state, pids(&busy.shm.write)), (LockState::Exclusive, vec![writing]));
    let held: Vec<_> = busy.shm.read.iter().filter(|slot| slot.held()).collect();
    assert!(held.iter().all(|slot| slot.state == LockState::Shared));
    assert!(held.iter().any(|slot| pids(slot).contains(&reading)));
    assert_eq!(busy.shm.checkpoint.state, LockState::Free);
    let command = busy.shm.write.holders[0].command.as_ref().unwrap();
    assert_eq!(*command, std::fs::read_to_string(format!("/proc/{writing}/comm")).unwrap().trim_end());

    reader.run("COMMIT");
    writer.run("COMMIT");
    assert_eq!(locks(&files).shm.write.state, LockState::Free);
}

#[test]
fn a_connection_without_a_wal_index_is_seen_by_its_lock_on_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let mut sqlite = Sqlite::open(&path);
    sqlite.run("PRAGMA journal_mode=delete");
    sqlite.run("BEGIN EXCLUSIVE");
    sqlite.run("INSERT INTO t VALUES (1)");
    let files = open_database(&path, walscope::linux::Care::default()).unwrap();
    let seen = locks(&files);
    assert_eq!((seen.database.state, pids(&seen.database)), (LockState::Exclusive, vec![sqlite.pid()]));
    assert_eq!(seen.shm.write.state, LockState::Unknown);
    assert!(seen.shm.write.reason.as_ref().unwrap().contains("-shm"));
}

#[test]
fn the_mapping_of_a_process_has_the_same_identity_as_the_observer_s_mapping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b\nc.db");
    let sqlite = Sqlite::open(&path);
    let files = open_database(&path, walscope::linux::Care::default()).unwrap();
    let identity = *identities(&files).shm.value().unwrap().maps_identity.value().unwrap();
    let view = mappings(&files);
    assert!(view.processes_read > 0);
    let [mapping] = view.mappings.as_slice() else { panic!("{view:?}") };
    assert_eq!((mapping.pid, mapping.inode), (sqlite.pid(), identity));
    assert!(mapping.shared && !mapping.deleted_suffix && mapping.start_time.is_some());
    assert_eq!((mapping.offset, mapping.length), (0, 32768));
    assert!(mapping.path.ends_with("/a b\\012c.db-shm"));
    assert_eq!(Some(mapping.mount_namespace.value()), Some(host_view(&files).namespaces.mount.value()));
}

#[test]
fn a_process_on_a_deleted_wal_index_is_still_seen_under_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let shm = folder.path().join("t.db-shm");
    let stale = Sqlite::open(&path);
    let before = open_database(&path, walscope::linux::Care::default()).unwrap();
    std::fs::remove_file(&shm).unwrap();

    let without = open_database(&path, walscope::linux::Care::default()).unwrap();
    let orphan = mappings(&without).mappings;
    assert_eq!(orphan.iter().map(|found| (found.pid, found.deleted_suffix)).collect::<Vec<_>>(), [(stale.pid(), true)]);

    let fresh = Sqlite::open(&path);
    let after = open_database(&path, walscope::linux::Care::default()).unwrap();
    assert!(!paths_unchanged(&before) && paths_unchanged(&after));
    let identity = *identities(&after).shm.value().unwrap().maps_identity.value().unwrap();
    let view = mappings(&after);
    let of = |pid: u32| view.mappings.iter().find(|found| found.pid == pid).unwrap();
    assert_eq!((of(fresh.pid()).inode, of(fresh.pid()).deleted_suffix), (identity, false));
    assert_ne!(of(stale.pid()).inode, identity);
    assert!(of(stale.pid()).deleted_suffix);
}

#[test]
fn the_raw_texts_contain_what_the_views_were_made_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let sqlite = Sqlite::open(&path);
    let files = open_database(&path, walscope::linux::Care::default()).unwrap();
    let mappings = mappings_view(&files);
    let texts = raw_texts(&files, &mappings, &users_view(&files, &mappings));
    let text = |name: &str| {
        let (_, text) = texts.iter().find(|(found, _)| found == name).unwrap();
        String::from_utf8_lossy(text.value().unwrap()).into_owned()
    };
    let maps = text(&format!("{}/maps", sqlite.pid()));
    assert!(maps.lines().all(|line| line.ends_with("t.db-shm")) && maps.lines().count() == 1);
    let held = text(&format!("{}/fdinfo", sqlite.pid()));
    assert!(held.contains("t.db-shm\n") && held.contains("lock:\t"), "{held}");
    assert!(text(&format!("{}/stat", sqlite.pid())).starts_with(&sqlite.pid().to_string()));
    assert!(text("locks").contains(&format!(" {} ", sqlite.pid())));
    assert!(text("self/mountinfo").contains(" - proc "));
    assert!(text("uname").starts_with("Linux "));
    assert_eq!(text("sys/kernel/random/boot_id").trim(), host_view(&files).boot_id.value().unwrap());
}

fn inspected(path: &Path) -> serde_json::Value {
    walscope(path.parent().unwrap(), &["inspect", "t.db", "--json"]).json()
}

/// Polls until something is so.
fn until(is: impl Fn() -> bool) {
    while !is() {
        pause();
    }
}

#[test]
fn a_holder_that_is_stopped_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let mut writer = Sqlite::open(&path);
    writer.run("BEGIN IMMEDIATE");
    let state = || inspected(&path)["shm"]["locks"][0]["holders"][0]["process_state"].clone();
    assert_eq!(state(), "running");
    let page = || walscope(folder.path(), &["inspect", "t.db"]).text();
    assert!(page().contains("a writer is at work"));
    let process = rustix::process::Pid::from_raw(writer.pid().cast_signed()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    until(|| state() == "stopped");
    let page = page();
    assert!(page.contains(", stopped") && page.contains("nobody can write"), "{page}");
    assert!(!page.contains("a writer is at work"), "{page}");
}

#[test]
fn a_checkpoint_that_keeps_writers_out_is_named_with_the_reader_that_it_waits_for() {
    // The reader has the last commit, so that all is copied, or an earlier one.
    for last in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let (mut writer, mut reader) = (Sqlite::open(&path), Sqlite::open(&path));
        let mut checkpointer = Sqlite::open(&path);
        writer.run("INSERT INTO t VALUES (1)");
        reader.run("BEGIN; SELECT count(*) FROM t");
        if !last {
            writer.run("INSERT INTO t VALUES (2)");
        }
        let told = || inspected(&path)["checkpoint"]["explanation"].as_str().unwrap().to_owned();
        assert!(!told().contains("SQLITE_BUSY"), "{}", told());
        let (waits, reads) = (checkpointer.pid(), reader.pid());
        checkpointer.run("PRAGMA busy_timeout=600000");
        std::thread::scope(|scope| {
            scope.spawn(move || checkpointer.run("PRAGMA wal_checkpoint(RESTART)"));
            until(|| told().contains("every write gets SQLITE_BUSY"));
            assert_eq!(inspected(&path)["checkpoint"]["state"], "blocked");
            let told = told();
            let named = |pid: u32| told.contains(&format!("pid {pid} "));
            assert!(named(waits) && named(reads), "{told}");
            let ran = walscope(folder.path(), &["inspect", "t.db", "--fail-if-blocked", "200ms", "--json"]);
            let kept = &ran.json()["over_time"]["kept"][0]["holder"]["pid"];
            assert_eq!((ran.code, kept), (1, &reads.into()), "{}", ran.text());
            reader.run("COMMIT");
        });
    }
}
