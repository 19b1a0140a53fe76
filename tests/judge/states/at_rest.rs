//! The states of files that nobody has open.

use super::in_use::{blocked, copied_nothing_to_do, interrupted, wait_checkpoint_copies};
use super::stage::{Source, Stage};
use crate::common::synthetic::sum;

pub fn no_wal(stage: &mut Stage) {
    stage.create(4);
    stage.there[0].close();
    stage.kill_all();
}

pub fn rest_copied(stage: &mut Stage) {
    copied_nothing_to_do(stage);
    stage.kill_all();
}

pub fn rest_interrupted(stage: &mut Stage) {
    interrupted(stage);
    stage.kill_all();
}

pub fn rest_some_wait(stage: &mut Stage) {
    blocked(stage);
    stage.checkpoint("PASSIVE");
    stage.kill_all();
}

pub fn rest_next_reads_them(stage: &mut Stage) {
    wait_checkpoint_copies(stage);
    stage.kill_all();
}

pub fn rest_as_far_as_seen(stage: &mut Stage) {
    rest_next_reads_them(stage);
    stage.source = Source::Wal;
}

pub fn header_unusable(stage: &mut Stage) {
    rest_next_reads_them(stage);
    stage.poke("-wal", 0, &vec![0; stage.bytes("-wal").len()]);
}

pub fn mangled(stage: &mut Stage) {
    rest_next_reads_them(stage);
    let digits: String = stage.bytes("-wal").iter().map(|byte| format!("{byte:02x}")).collect();
    stage.poke("-wal", 0, digits.as_bytes());
}

pub fn behind_header(stage: &mut Stage) {
    rest_next_reads_them(stage);
    stage.poke("-wal", 0, &[0; 32]);
}

pub fn other_version(stage: &mut Stage) {
    rest_next_reads_them(stage);
    let mut header = stage.bytes("-wal")[..32].to_vec();
    header[4..8].copy_from_slice(&3_007_001_u32.to_be_bytes());
    let (a, b) = sum(header[3] & 1 == 1, (0, 0), &header[..24]);
    header[24..28].copy_from_slice(&a.to_be_bytes());
    header[28..].copy_from_slice(&b.to_be_bytes());
    stage.poke("-wal", 0, &header);
}
