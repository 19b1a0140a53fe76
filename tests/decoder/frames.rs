//! The second look at frames.

use std::io;

use walscope::analysis::frames::{self, FrameBytes, Prologue, Visit, Visited};
use walscope::analysis::wal::{FrameClass, WalFacts, scan, scan_pages};

use crate::support::WalWriter;

fn sample() -> WalWriter {
    let mut wal = WalWriter::new(512, false, [7, 8]);
    wal.frame(1, 0, 1).frame(2, 2, 2).frame(1, 2, 3).frame(3, 0, 4);
    wal
}

fn facts(bytes: &Vec<u8>) -> WalFacts {
    scan(bytes, &mut |_| {}).unwrap()
}

fn visit(bytes: &Vec<u8>, facts: &WalFacts) -> Visit {
    frames::visit(FrameBytes::Whole(bytes), facts, 1..=u64::MAX, &mut |_| Ok(())).unwrap()
}

#[test]
fn any_range_says_what_the_first_pass_said() {
    let bytes = sample().bytes;
    let mut expected = Vec::new();
    let facts = scan(&bytes, &mut |frame| expected.push(*frame)).unwrap();
    for first in 0..6 {
        for last in 0..7_u64 {
            let mut seen = Vec::new();
            let mut keep = |visited: &Visited<'_>| {
                seen.push(visited.frame);
                Ok(())
            };
            let end = frames::visit(FrameBytes::Whole(&bytes), &facts, first..=last, &mut keep).unwrap();
            let part: Vec<_> =
                expected.iter().copied().filter(|frame| (first..=last).contains(&frame.number)).collect();
            assert_eq!(seen, part, "{first}..{last}");
            assert!(!end.changed, "{first}..{last}");
        }
    }
}

#[test]
fn a_wal_that_changed_since_the_first_pass_is_noticed() {
    let wal = sample();
    let facts = facts(&wal.bytes);
    let mut restarted = wal.clone();
    restarted.set_salts([8, 9]);
    restarted.frame_at(1, 5, 5, 9);
    assert!(visit(&restarted.bytes, &facts).changed, "restarted");
    let mut other = wal.clone();
    let at = other.offset(3) + 30;
    other.bytes[at] ^= 1;
    assert!(visit(&other.bytes, &facts).changed, "another page");
    let mut cut = wal.bytes.clone();
    cut.truncate(wal.offset(3));
    assert!(visit(&cut, &facts).changed, "cut");
    let mut longer = wal.clone();
    longer.frame(9, 9, 9);
    assert!(!visit(&longer.bytes, &facts).changed, "what was appended is not looked at");
}

#[test]
fn an_error_of_the_receiver_ends_the_visit() {
    let bytes = sample().bytes;
    let mut seen = 0;
    let mut stop = |_: &Visited<'_>| {
        seen += 1;
        Err(io::Error::from(io::ErrorKind::BrokenPipe))
    };
    let error = frames::visit(FrameBytes::Whole(&bytes), &facts(&bytes), 1..=4, &mut stop).unwrap_err();
    assert_eq!((error.kind(), seen), (io::ErrorKind::BrokenPipe, 1));
}

#[test]
fn nothing_is_said_of_superseded_frames_beyond_the_limit() {
    let bytes = sample().bytes;
    for (limit, expected) in [(4, [Some(true), Some(false), Some(false), None]), (3, [None; 4])] {
        let mut prologue = Prologue::new(1, limit);
        let facts = scan_pages(&bytes, &mut |frame, page| prologue.push(frame, page)).unwrap();
        let start = prologue.finish(&facts);
        assert_eq!(start.newest.too_many(), limit == 3);
        assert_eq!((start.transactions, start.largest_page, start.largest_commit_pages), (2, 3, 2));
        let mut superseded = Vec::new();
        let mut keep = |visited: &Visited<'_>| {
            superseded.push(start.newest.superseded(visited));
            assert!(visited.class != FrameClass::Uncommitted || visited.frame.number == 4);
            Ok(())
        };
        frames::visit(FrameBytes::Whole(&bytes), &facts, 1..=4, &mut keep).unwrap();
        assert_eq!(superseded, expected, "limit {limit}");
    }
}
