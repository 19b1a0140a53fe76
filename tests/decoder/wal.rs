//! Classes of frames, why the chain ends, commits, generations.
use walscope::bytes::ReadAt;
use walscope::wal::{EndReason, Frame, FrameClass, GENERATIONS_LISTED, WalFacts, scan};

use crate::common::synthetic::WalWriter;
use walscope::number::{FrameNumber, PageSize, Salts};

fn facts(bytes: &[u8]) -> WalFacts {
    frames(bytes).0
}

fn frames(bytes: &[u8]) -> (WalFacts, Vec<Frame>) {
    let mut frames = Vec::new();
    let facts = scan(&bytes.to_vec(), &mut |frame| frames.push(*frame)).unwrap();
    (facts, frames)
}

fn classes(bytes: &[u8]) -> Vec<FrameClass> {
    let (facts, frames) = frames(bytes);
    frames.iter().map(|frame| facts.class_of(frame)).collect()
}

/// Three generations in one file: all six classes.
fn six_classes() -> WalWriter {
    let mut wal = WalWriter::new(512, false, [10, 111]);
    for n in 1..=8 {
        wal.frame(n, 8, 1);
    }
    wal.set_salts([11, 222]);
    // An abandoned transaction of five frames, then a shorter one over its beginning.
    for n in 1..=5 {
        wal.frame_at(n, 20, 0, 2);
    }
    wal.set_salts([11, 222]);
    wal.frame_at(1, 1, 0, 3).frame_at(2, 2, 9, 3).frame_at(3, 3, 0, 3);
    wal.unwritten(2);
    wal.bytes.extend([0xee; 100]);
    wal
}

#[test]
fn all_six_classes_are_distinguished_in_one_file() {
    use FrameClass::{Committed, Residue, Stale, Uncommitted, Unwritten};
    let wal = six_classes();
    assert_eq!(
        classes(&wal.bytes),
        [Committed, Committed, Uncommitted, Residue, Residue, Stale, Stale, Stale, Unwritten, Unwritten]
    );
    let facts = facts(&wal.bytes);
    let counts = facts.frames;
    assert_eq!((counts.in_file, counts.valid, counts.committed, counts.uncommitted), (10, 3, 2, 1));
    assert_eq!((counts.residue, counts.stale, counts.unwritten, counts.torn_bytes), (2, 3, 2, 100));
    assert_eq!((facts.end_frame, facts.end_reason), (FrameNumber(4), EndReason::ChecksumMismatch));
    let generations: Vec<_> = facts.generations.iter().map(|g| (g.salts, g.frames)).collect();
    assert_eq!(generations, [(Salts([11, 222]), 5), (Salts([10, 111]), 3)]);
    assert_eq!(facts.file_size, wal.bytes.len() as u64);
}

#[test]
fn frames_behind_the_break_still_show_which_links_hold() {
    let (_, frames) = frames(&six_classes().bytes);
    let links: Vec<bool> = frames.iter().map(|frame| frame.checksum_ok).collect();
    // Frame 4 follows another frame 3 than the one there is; frame 6 follows the frame 5 of its own generation.
    // Of the zero bytes the first follow nothing, and the others, oddly, follow them: zero continued over zeros is zero.
    assert_eq!(links, [true, true, true, false, true, false, true, true, false, true]);
}

#[test]
fn both_checksum_orders_and_every_page_size_are_read() {
    for big in [false, true] {
        for shift in 9..=16 {
            let mut wal = WalWriter::new(1 << shift, big, [1, 2]);
            wal.frame(2, 0, 5).frame(1, 2, 6);
            let facts = facts(&wal.bytes);
            assert_eq!((facts.frames.committed, facts.commits), (2, 1), "page size {}", 1 << shift);
            let last = facts.last_commit.unwrap();
            assert_eq!((last.frame, last.database_pages, last.checksum.0), (FrameNumber(2), 2, wal.checksum()));
            assert_eq!(facts.page_size(), PageSize::new(1 << shift));
            assert_eq!(facts.end_reason, EndReason::EndOfFile);
        }
    }
}

#[test]
fn more_frames_than_one_block_holds_are_read_in_order() {
    let mut wal = WalWriter::new(65536, false, [1, 2]);
    for n in 1..=9 {
        wal.frame(n, n, n as u8);
    }
    let (facts, frames) = frames(&wal.bytes);
    assert_eq!(facts.commits, 9);
    for (n, frame) in (1..).zip(&frames) {
        assert_eq!((frame.number.count(), frame.offset, u64::from(frame.header.page)), (n, 32 + (n - 1) * 65560, n));
    }
}

#[test]
fn the_chain_ends_at_the_first_frame_that_does_not_follow() {
    let wal = || {
        let mut wal = WalWriter::new(512, false, [1, 2]);
        wal.frame(1, 1, 1).frame(2, 2, 2).frame(3, 3, 3);
        wal
    };
    let second = wal().offset(2);
    let broken = |at: usize| {
        let mut bytes = wal().bytes;
        bytes[second + at] ^= 1;
        facts(&bytes)
    };
    for (at, reason) in [
        (3, EndReason::ChecksumMismatch),
        (7, EndReason::ChecksumMismatch),
        (11, EndReason::SaltMismatch),
        (15, EndReason::SaltMismatch),
        (19, EndReason::ChecksumMismatch),
        (23, EndReason::ChecksumMismatch),
        (24, EndReason::ChecksumMismatch),
        (535, EndReason::ChecksumMismatch),
    ] {
        let facts = broken(at);
        assert_eq!((facts.end_frame, facts.end_reason), (FrameNumber(2), reason), "byte {at}");
        assert_eq!(facts.last_commit.unwrap().frame, 1);
        assert_eq!(facts.commits, 1);
    }
}

#[test]
fn salts_are_not_covered_by_the_checksum_and_end_the_chain_by_themselves() {
    let mut wal = WalWriter::new(512, false, [1, 2]);
    wal.frame(1, 1, 1);
    let at = wal.offset(1);
    wal.bytes[at + 8] = 9;
    let (facts, frames) = frames(&wal.bytes);
    assert!(frames[0].checksum_ok);
    assert_eq!((facts.frames.valid, facts.end_reason), (0, EndReason::SaltMismatch));
}

#[test]
fn page_0_ends_the_chain_though_its_checksum_is_right() {
    let mut wal = WalWriter::new(512, false, [1, 2]);
    wal.frame(1, 1, 1).frame(0, 2, 1).frame(3, 3, 1);
    let (facts, frames) = frames(&wal.bytes);
    assert!(frames[1].checksum_ok);
    assert_eq!((facts.end_frame, facts.end_reason), (FrameNumber(2), EndReason::PageZero));
    assert_eq!(facts.frames.residue, 2);
}

#[test]
fn zero_salts_are_unwritten_only_when_they_are_not_the_headers_own() {
    let mut wal = WalWriter::new(512, false, [0, 0]);
    wal.frame(1, 1, 1).unwritten(1);
    assert_eq!(classes(&wal.bytes), [FrameClass::Committed, FrameClass::Residue]);
}

#[test]
fn the_largest_page_and_commit_numbers_are_numbers_like_others() {
    let mut wal = WalWriter::new(512, false, [1, 2]);
    wal.frame(u32::MAX, u32::MAX, 1).frame(1, 1, 2);
    let facts = facts(&wal.bytes);
    assert_eq!((facts.commits, facts.last_commit.unwrap().database_pages), (2, 1));
}

#[test]
fn short_files_say_how_short() {
    let wal = WalWriter::new(512, false, [1, 2]);
    assert_eq!(facts(&[]).end_reason, EndReason::EmptyFile);
    for len in [1, 31] {
        let facts = facts(&wal.bytes[..len]);
        assert_eq!((facts.end_reason, facts.header, facts.file_size), (EndReason::ShortHeader, None, len as u64));
        assert_eq!(facts.end_frame, 1);
    }
}

#[test]
fn a_file_of_32_bytes_is_never_read() {
    let mut wal = WalWriter::new(512, false, [1, 2]);
    assert_eq!(facts(&wal.bytes).end_reason, EndReason::EndOfFile);
    assert_eq!(facts(&wal.bytes).page_size(), PageSize::new(512));
    wal.bytes[0] = 0;
    assert_eq!(facts(&wal.bytes).end_reason, EndReason::EndOfFile);
    assert_eq!(facts(&wal.bytes).page_size(), None);
    wal.bytes.push(0);
    assert_eq!(facts(&wal.bytes).end_reason, EndReason::BadMagic);
}

#[test]
fn header_faults_are_reported_in_sqlites_order() {
    let whole = || {
        let mut wal = WalWriter::new(512, false, [1, 2]);
        wal.frame(1, 1, 1).frame(2, 2, 2);
        wal
    };
    let mut bad_version = whole();
    bad_version.set_header_field(4, 3_007_001);
    let mut bad_page_size = whole();
    bad_page_size.set_header_field(8, 1000);
    let mut bad_checksum = bad_version.bytes.clone();
    bad_checksum[24] ^= 1;
    let mut bad_page_size_and_checksum = bad_page_size.bytes.clone();
    bad_page_size_and_checksum[24] ^= 1;
    let mut bad_magic = bad_page_size.bytes.clone();
    bad_magic[3] ^= 4;
    for (bytes, reason, in_file) in [
        (&bad_version.bytes, EndReason::UnsupportedVersion, 2),
        (&bad_checksum, EndReason::BadHeaderChecksum, 2),
        (&bad_page_size_and_checksum, EndReason::BadPageSize, 0),
        (&bad_magic, EndReason::BadMagic, 0),
    ] {
        let facts = facts(bytes);
        assert_eq!((facts.end_reason, facts.frames.in_file, facts.frames.valid), (reason, in_file, 0));
        assert_eq!((facts.commits, facts.last_commit, facts.end_frame), (0, None, FrameNumber::FIRST));
        assert_eq!(facts.page_size(), None);
        assert_eq!(facts.frames.residue, in_file);
        assert_eq!(facts.file_size, bytes.len() as u64);
    }
}

#[test]
fn page_sizes_out_of_range_are_refused() {
    for size in [0, 1, 256, 511, 513, 131_072, u32::MAX] {
        let mut wal = WalWriter::new(512, false, [1, 2]);
        wal.frame(1, 1, 1).set_header_field(8, size);
        assert_eq!(facts(&wal.bytes).end_reason, EndReason::BadPageSize, "{size}");
    }
}

#[test]
fn a_torn_frame_ends_the_chain_only_if_nothing_else_did() {
    let mut wal = WalWriter::new(512, false, [1, 2]);
    wal.frame(1, 1, 1).frame(2, 2, 2);
    let whole = wal.bytes.len();
    let torn = facts(&wal.bytes[..whole - 1]);
    assert_eq!((torn.end_frame, torn.end_reason, torn.frames.torn_bytes), (FrameNumber(2), EndReason::TornFrame, 535));
}

#[test]
fn a_generation_for_every_frame_fills_the_list_and_no_more() {
    let mut wal = WalWriter::new(512, false, [0, 7]);
    for n in 1..=200 {
        wal.set_salts([n, 7]);
        wal.frame(1, 1, 1);
    }
    let facts = facts(&wal.bytes);
    assert_eq!(facts.generations.len(), GENERATIONS_LISTED);
    assert_eq!(facts.generations[0].salts, Salts([200, 7]));
    let listed: u64 = facts.generations.iter().map(|generation| generation.frames).sum();
    assert_eq!(listed + facts.unlisted_generation_frames, 200);
    assert_eq!(facts.generations[0].frames, 1);
}

/// A file that was longer when it was opened.
struct Shrunk(Vec<u8>);

impl ReadAt for Shrunk {
    fn len(&self) -> u64 {
        self.0.len() as u64 + 100_000
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.0.read_at(buf, offset)
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_ends_at_the_short_read() {
    let mut wal = WalWriter::new(512, false, [1, 2]);
    wal.frame(1, 1, 1).frame(2, 2, 2);
    wal.bytes.truncate(wal.bytes.len() - 10);
    let shrunk = Shrunk(wal.bytes.clone());
    assert_eq!(scan(&shrunk, &mut |_| ()).unwrap(), facts(&wal.bytes));
}

#[test]
fn a_read_error_is_an_error_and_no_end_of_file() {
    struct Failing;
    impl ReadAt for Failing {
        fn len(&self) -> u64 {
            1000
        }
        fn read_at(&self, _: &mut [u8], _: u64) -> std::io::Result<usize> {
            Err(std::io::Error::other("EIO"))
        }
    }
    assert!(scan(&Failing, &mut |_| ()).is_err());
}
