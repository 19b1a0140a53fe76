//! The states in which a finding decides what is said.

use std::fs;

use super::at_rest::rest_next_reads_them;
use super::in_use::{restarted, spill, wait_checkpoint_copies};
use super::stage::{FRAME, INSERT, Stage};

/// A backup takes the place of the database while a process has it open.
pub fn other_files(stage: &mut Stage) {
    stage.create(4);
    fs::copy(stage.file(""), stage.folder().join("backup")).unwrap();
    stage.insert(20);
    stage.checkpoint("TRUNCATE");
    stage.insert(2);
    fs::rename(stage.folder().join("backup"), stage.file("")).unwrap();
}

pub fn deleted_wal(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    fs::remove_file(stage.file("-wal")).unwrap();
}

pub fn index_cut_off(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    stage.cut("-shm", 0);
}

pub fn no_database(stage: &mut Stage) {
    rest_next_reads_them(stage);
    fs::remove_file(stage.file("")).unwrap();
}

/// No frame is of page 1, as any frame of page 1 in a wal2 database would say wal2 too.
pub fn other_format(stage: &mut Stage) {
    stage.create(4);
    stage.there[0].sql("a", "UPDATE t SET x = replace(x, '0', '1')");
    stage.kill_all();
    stage.poke("", 18, &[3, 3]);
}

pub fn other_format_without_frames(stage: &mut Stage) {
    stage.create(4);
    stage.kill_all();
    stage.poke("", 18, &[3, 3]);
}

/// The header of the database is lost, and a commit without page 1 is in the -wal.
pub fn no_header(stage: &mut Stage) {
    stage.create(4);
    stage.there[0].sql("a", "UPDATE t SET x = replace(x, '0', '1')");
    stage.kill_all();
    stage.poke("", 0, &[0; 100]);
}

/// The -wal of an earlier time beside the database.
pub fn other_database(stage: &mut Stage) {
    stage.create(4);
    stage.insert(2);
    let earlier = stage.bytes("-wal");
    stage.checkpoint("TRUNCATE");
    // A connection counts only once in the change counter, so another one goes on.
    stage.join();
    stage.there.swap(0, 1);
    stage.insert(6);
    stage.checkpoint("TRUNCATE");
    stage.kill_all();
    stage.put("-wal", &earlier);
}

/// A -wal of an earlier time was put beside the database and its left-over -shm, all of whose frames were copied.
pub fn foreign(stage: &mut Stage) {
    stage.create(4);
    stage.insert(2);
    let earlier = stage.bytes("-wal");
    stage.checkpoint("TRUNCATE");
    stage.there[0].sql("a", "UPDATE t SET x = substr(x, 2) || 'y'");
    stage.checkpoint("PASSIVE");
    stage.kill_all();
    stage.put("-wal", &earlier);
}

/// The header of the database says rollback mode, and a commit without page 1 is in the -wal.
pub fn beside_rollback_mode(stage: &mut Stage) {
    stage.create(4);
    stage.there[0].sql("a", "UPDATE t SET x = substr(x, 2) || 'y'");
    stage.kill_all();
    stage.poke("", 18, &[1, 1]);
}

/// The -wal of another time has frames that wait, behind frames of a generation before that the database does not have.
pub fn older_frames_and_new_ones(stage: &mut Stage) {
    stage.create(4);
    let backup = stage.bytes("");
    for _ in 0..12 {
        stage.there[0].sql("a", "UPDATE t SET x = substr(x, 2) || 'y'");
    }
    stage.checkpoint("RESTART");
    stage.there[0].sql("a", "UPDATE t SET x = substr(x, 2) || 'y' WHERE rowid = 1");
    stage.kill_all();
    stage.put("", &backup);
}

/// A backup beside the -wal of a later time.
pub fn pages_nowhere(stage: &mut Stage) {
    stage.create(4);
    let backup = stage.bytes("");
    stage.insert(20);
    stage.checkpoint("TRUNCATE");
    stage.insert(2);
    stage.kill_all();
    stage.put("", &backup);
}

/// A backup is copied over the database in use.
pub fn not_in_database(stage: &mut Stage) {
    stage.create(4);
    let backup = stage.bytes("");
    stage.insert(2);
    stage.checkpoint("PASSIVE");
    stage.put("", &backup);
}

/// The wal-index names another page for the last frame.
pub fn index_wrong(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    let frames = (stage.bytes("-wal").len() - 32) / FRAME;
    stage.poke("-shm", 136 + 4 * (frames - 1), &9_u32.to_ne_bytes());
}

/// One byte of the second of four commits has changed.
pub fn commits_behind(stage: &mut Stage) {
    stage.create(4);
    stage.insert(1);
    let at = stage.bytes("-wal").len();
    stage.insert(3);
    stage.kill_all();
    let byte = stage.bytes("-wal")[at + 300];
    stage.poke("-wal", at + 300, &[byte ^ 1]);
}

/// A shorter backup is copied over the database in use, after the WAL was restarted.
pub fn overwritten(stage: &mut Stage) {
    let backup = restarted(stage);
    stage.put("", &backup);
}

/// A backup of the same size is copied over the database in use, after the WAL was restarted.
pub fn older_frames(stage: &mut Stage) {
    stage.create(4);
    let backup = stage.bytes("");
    for _ in 0..12 {
        stage.there[0].sql("a", "UPDATE t SET x = substr(x, 2) || 'y'");
    }
    stage.checkpoint("PASSIVE");
    spill(stage).sql("a", "ROLLBACK");
    stage.put("", &backup);
}

/// The -journal is that of a transaction that was killed in a copy of the database.
pub fn journal(stage: &mut Stage) {
    stage.create(4);
    let mut other = Stage::new();
    other.put("", &stage.bytes(""));
    stage.insert(2);
    stage.checkpoint("TRUNCATE");
    stage.kill_all();
    let actor = other.join();
    actor.sql("a", "PRAGMA journal_mode=DELETE");
    actor.sql("a", "PRAGMA cache_size=5");
    actor.sql("a", "BEGIN");
    actor.sql("a", "UPDATE t SET x = 'changed'");
    for _ in 0..20 {
        actor.sql("a", INSERT);
    }
    other.kill_all();
    stage.put("-journal", &other.bytes("-journal"));
}

/// Frames were counted and not copied, and the -wal was deleted at rest.
pub fn frames_gone(stage: &mut Stage) {
    rest_next_reads_them(stage);
    fs::remove_file(stage.file("-wal")).unwrap();
}

/// The last frame is missing.
pub fn frames_gone_cut(stage: &mut Stage) {
    rest_next_reads_them(stage);
    stage.cut("-wal", stage.bytes("-wal").len() - FRAME);
}

/// The -wal is that of an earlier time.
pub fn frames_gone_replaced(stage: &mut Stage) {
    stage.create(4);
    stage.insert(1);
    let earlier = stage.bytes("-wal");
    stage.checkpoint("TRUNCATE");
    stage.insert(2);
    stage.kill_all();
    stage.put("-wal", &earlier);
}

pub fn frames_gone_empty(stage: &mut Stage) {
    rest_next_reads_them(stage);
    stage.cut("-wal", 0);
}
