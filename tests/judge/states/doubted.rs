//! The states of a wal-index in use that cannot be judged.

use std::fs;

use super::actor::{Actor, Answer};
use super::at_rest::rest_next_reads_them;
use super::in_use::{limit, wait_checkpoint_copies};
use super::stage::{COUNT, FRAME, Stage};
use crate::common::synthetic::sum;

pub fn recovering(stage: &mut Stage) {
    rest_next_reads_them(stage);
    let mut actor = Actor::start_held_in_recovery();
    actor.open("a", &stage.file(""));
    assert_eq!(actor.ask_sql("a", COUNT), Answer::Waits);
    stage.add(actor);
}

/// No room for the -shm.
pub fn unreadable(stage: &mut Stage) {
    rest_next_reads_them(stage);
    fs::remove_file(stage.file("-shm")).unwrap();
    let mut actor = Actor::start();
    limit(actor.pid(), Some(100));
    actor.open("a", &stage.file(""));
    assert_eq!(actor.ask_sql("a", COUNT), Answer::Failed("SQLITE_IOERR_SHMSIZE"));
    stage.add(actor);
}

/// What a writer leaves that dies between the two copies of the header.
pub fn torn(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    stage.poke("-shm", 48 + 8, &[0x77; 4]);
}

pub fn other_version(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    let mut header = stage.bytes("-shm")[..48].to_vec();
    header[..4].copy_from_slice(&3_007_001_u32.to_ne_bytes());
    let (a, b) = sum(cfg!(target_endian = "big"), (0, 0), &header[..40]);
    header[40..44].copy_from_slice(&a.to_ne_bytes());
    header[44..].copy_from_slice(&b.to_ne_bytes());
    stage.poke("-shm", 0, &[header.clone(), header].concat());
}

/// The -wal of another database is copied over the one in use.
pub fn other_generation(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    let mut other = Stage::new();
    other.create(8);
    other.insert(2);
    other.kill_all();
    stage.put("-wal", &other.bytes("-wal"));
}

pub fn truncated(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    stage.cut("-wal", 32 + FRAME);
}

pub fn backfill_beyond_end(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    stage.poke("-shm", 96, &1000_u32.to_ne_bytes());
}
