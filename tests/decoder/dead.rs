//! Frames with other salts than the header: an older generation, or bytes that are no frame at all.
use proptest::prelude::*;
use walscope::wal::frames::{self, FrameBytes};
use walscope::wal::{FrameClass, FrameCounts, STRETCHES_LISTED, Scan, WalFacts};

use crate::common::synthetic::WalWriter;
use walscope::number::{FrameNumber, Salts};

const FRAME: usize = 536;

/// The facts, and the class of each frame by a second look. The counts of both agree, for one thread and for more.
fn look(bytes: &[u8]) -> (WalFacts, Vec<FrameClass>) {
    let facts = Scan::new(&bytes).facts().unwrap();
    assert_eq!(Scan::new(&bytes).threads(3).frames(&mut |_| ()).unwrap(), facts);
    let mut classes = Vec::new();
    let all = FrameNumber::FIRST..=FrameNumber::LARGEST;
    frames::visit(FrameBytes::Whole(&bytes), &facts, all, 1, &mut |visited| {
        classes.push(visited.class);
        Ok(())
    })
    .unwrap();
    let count = |class| classes.iter().filter(|one| **one == class).count() as u64;
    let counts = facts.frames;
    let FrameCounts { residue, stale, unwritten, unrelated, .. } = counts;
    assert_eq!(
        [residue, stale, unwritten, unrelated],
        [FrameClass::Residue, FrameClass::Stale, FrameClass::Unwritten, FrameClass::Unrelated].map(count)
    );
    assert_eq!(counts.in_file, counts.valid + residue + stale + unwritten + unrelated);
    (facts, classes)
}

/// Three committed frames; what is left of the generation before is behind them.
fn restarted(older: usize, salts: [u32; 2]) -> WalWriter {
    let mut wal = WalWriter::new(512, false, salts);
    for page in 1..=3 + older as u32 {
        wal.frame(page, page, 1);
    }
    wal.set_salts([70_000, 0x2222_2222]);
    wal.frame_at(1, 1, 0, 2).frame_at(2, 2, 0, 2).frame_at(3, 3, 3, 2);
    wal
}

/// Bytes without zeros in them, which are no frame of anything.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8 | 0x80
    })
    .take(len)
    .collect()
}

#[test]
fn bytes_that_are_no_frame_are_unrelated_and_no_generation() {
    let mut wal = restarted(0, [69_999, 7]);
    wal.bytes.extend(noise(40 * FRAME, 5));
    let (facts, classes) = look(&wal.bytes);
    assert_eq!((facts.frames.valid, facts.frames.unrelated, facts.frames.stale), (3, 40, 0), "{classes:?}");
    assert_eq!(facts.generations.len(), 1);
    assert_eq!(facts.unlisted_generation_frames, 0);
    assert_eq!(facts.unrelated.len(), 1, "{:?}", facts.unrelated);
}

#[test]
fn equal_salts_in_a_row_prove_nothing_without_a_checksum_that_follows() {
    let mut wal = restarted(0, [69_999, 7]);
    wal.bytes.extend([0xab; 5 * FRAME]);
    assert_eq!(look(&wal.bytes).0.frames.unrelated, 5);
}

#[test]
fn an_older_generation_is_stale_by_its_own_chain_whatever_its_salts_are() {
    for salts in [[69_999, 7], [0x8123_4567, 0x89ab_cdef], [0, 0]] {
        let (facts, classes) = look(&restarted(2, salts).bytes);
        assert_eq!(classes[3..], [FrameClass::Stale; 2], "{salts:?}");
        assert_eq!(facts.generations[1].salts, Salts(salts));
    }
}

#[test]
fn an_older_generation_is_found_behind_unrelated_bytes() {
    let mut wal = restarted(5, [0x8123_4567, 0x89ab_cdef]);
    let at = wal.offset(4);
    wal.bytes[at..at + 2 * FRAME].copy_from_slice(&noise(2 * FRAME, 9));
    let (facts, classes) = look(&wal.bytes);
    assert_eq!(classes[3..5], [FrameClass::Unrelated; 2]);
    assert_eq!(classes[5..], [FrameClass::Stale; 3]);
    assert_eq!(facts.generations[1].frames, 3);
}

#[test]
fn a_lone_frame_of_an_older_generation_stays_stale() {
    for salts in [[69_999, 7], [70_001, 7], [4_600, 7], [0x8123_4567, 0x89ab_cdef]] {
        assert_eq!(look(&restarted(1, salts).bytes).1[3], FrameClass::Stale, "{salts:?}");
    }
    // A commit of a page behind the end of the database, and page 0: SQLite writes neither.
    for (page, commit) in [(9_u32, 4_u32), (0, 0)] {
        let mut wal = restarted(1, [0x8123_4567, 0x89ab_cdef]);
        let at = wal.offset(4);
        wal.bytes[at..at + 4].copy_from_slice(&page.to_be_bytes());
        wal.bytes[at + 4..at + 8].copy_from_slice(&commit.to_be_bytes());
        assert_eq!(look(&wal.bytes).1[3], FrameClass::Unrelated, "page {page}, commit {commit}");
    }
}

#[test]
fn bytes_among_unrelated_ones_are_no_lone_frame_although_they_look_like_one() {
    let mut wal = restarted(2, [0x8123_4567, 0x89ab_cdef]);
    let at = wal.offset(4);
    wal.bytes[at..at + FRAME].copy_from_slice(&noise(FRAME, 3));
    assert_eq!(look(&wal.bytes).1[3..], [FrameClass::Unrelated; 2]);
}

#[test]
fn frames_that_a_rollback_left_in_an_older_generation_are_stale_too() {
    // The last frame of a commit, and one of a transaction that was rolled back before it: no checksum follows.
    let mut wal = restarted(2, [0x8123_4567, 0x89ab_cdef]);
    let at = wal.offset(5);
    wal.bytes[at + 30] ^= 1;
    assert_eq!(look(&wal.bytes).1[3..], [FrameClass::Stale; 2]);
}

#[test]
fn salts_of_zero_with_a_checksum_are_no_unwritten_frame() {
    let mut wal = restarted(0, [69_999, 7]);
    wal.frame(5, 0, 9);
    let at = wal.offset(4);
    wal.bytes[at + 8..at + 24].fill(0);
    assert_eq!(look(&wal.bytes).1[3], FrameClass::Unwritten, "frames of an open transaction");
    wal.bytes[at + 20] = 1;
    assert_eq!(look(&wal.bytes).1[3], FrameClass::Unrelated);
}

#[test]
fn from_the_last_listed_stretch_on_nothing_is_an_older_generation() {
    let mut older = WalWriter::new(512, false, [0x8123_4567, 0x89ab_cdef]);
    older.frame(1, 1, 1).frame(2, 2, 2);
    let pair = &older.bytes[32..];
    let mut wal = restarted(0, [69_999, 7]);
    for n in 0..STRETCHES_LISTED as u64 + 20 {
        wal.bytes.extend(noise(FRAME, n * 2 + 1));
        wal.bytes.extend(pair);
    }
    let (facts, _) = look(&wal.bytes);
    assert_eq!(facts.unrelated.len(), STRETCHES_LISTED);
    assert_eq!(facts.frames.stale, 2 * (STRETCHES_LISTED as u64 - 1));
    assert_eq!(facts.generations[1].frames, facts.frames.stale);
}

proptest! {
    #[test]
    fn both_passes_agree_about_every_class_after_any_damage(
        older in 0_usize..6,
        salts in prop_oneof![Just([69_999_u32, 7_u32]), any::<[u32; 2]>()],
        damage in prop::collection::vec((0_usize..9, any::<u64>(), 0_usize..4), 0..6),
        shift in 0_usize..1200,
        cut in any::<bool>(),
    ) {
        let mut wal = restarted(older, salts);
        wal.unwritten(1);
        for (frame, seed, kind) in damage {
            let at = (32 + frame * FRAME).min(wal.bytes.len());
            let end = (at + FRAME).min(wal.bytes.len());
            match kind {
                0 => wal.bytes[at..end].fill(0),
                1 => wal.bytes[at..end].copy_from_slice(&noise(end - at, seed)),
                2 => wal.bytes[at..end].fill(seed as u8),
                _ if at < end => wal.bytes[at + seed as usize % (end - at)] ^= 1 << (seed % 8),
                _ => (),
            }
        }
        let at = shift.min(wal.bytes.len());
        if cut {
            wal.bytes.drain(at..(at + 7).min(wal.bytes.len()));
        } else {
            wal.bytes.splice(at..at, [1; 5]);
        }
        look(&wal.bytes);
    }
}
