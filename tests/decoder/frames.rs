//! The second look at frames.

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;

use walscope::bytes::ReadAt;
use walscope::wal::frames::{self, Content, FrameBytes, Prologue, Superseded, Visit, Visited, ZEROS_ONE_BY_ONE};
use walscope::wal::{Frame, FrameClass, WalFacts, scan, scan_pages};

use crate::common::synthetic::WalWriter;
use walscope::number::FrameNumber;

fn sample() -> WalWriter {
    let mut wal = WalWriter::new(512, false, [7, 8]);
    wal.frame(1, 0, 1).frame(2, 2, 2).frame(1, 2, 3).frame(3, 0, 4);
    wal
}

fn facts(bytes: &[u8]) -> WalFacts {
    scan(&bytes, &mut |_| {}).unwrap()
}

fn visit(bytes: &[u8], facts: &WalFacts) -> Visit {
    frames::visit(FrameBytes::Whole(&bytes), facts, FrameNumber::FIRST..=FrameNumber::LARGEST, 1, &mut |_| Ok(()))
        .unwrap()
}

#[test]
fn any_range_agrees_with_the_first_pass() {
    let bytes = sample().bytes;
    let mut expected = Vec::new();
    let facts = scan(&bytes, &mut |frame| expected.push(*frame)).unwrap();
    for first in 0..6_u64 {
        for last in 0..7_u64 {
            let range = FrameNumber(first)..=FrameNumber(last);
            let mut seen = Vec::new();
            let mut keep = |visited: &Visited<'_>| {
                seen.push(visited.frame);
                Ok(())
            };
            let end = frames::visit(FrameBytes::Whole(&bytes), &facts, range.clone(), 1, &mut keep).unwrap();
            let part: Vec<_> = expected.iter().copied().filter(|frame| range.contains(&frame.number)).collect();
            assert_eq!(seen, part, "{first}..{last}");
            assert!(!end.changed, "{first}..{last}");
        }
    }
}

/// Big enough for several threads, over many blocks; behind its frames zeros, of which `data_ends` tells that they are a
/// hole.
struct Sparse {
    bytes: Vec<u8>,
    data_ends: u64,
}

impl ReadAt for Sparse {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.bytes.read_at(buffer, offset)
    }

    fn next_data(&self, offset: u64) -> u64 {
        if offset < self.data_ends { offset } else { self.len() }
    }
}

fn large() -> Sparse {
    let mut wal = WalWriter::new(4096, false, [7, 8]);
    for n in 1..=900_u32 {
        wal.frame(1 + n % 50, if n.is_multiple_of(3) { 60 } else { 0 }, n as u8);
    }
    let data_ends = wal.bytes.len() as u64 + 2 * 4120;
    let mut bytes = wal.bytes;
    bytes.resize(bytes.len() + 600 * 4120, 0);
    Sparse { bytes, data_ends }
}

/// The frames that were handed out at once, one by one.
fn each_of(visited: &Visited<'_>) -> impl Iterator<Item = Frame> + use<> {
    let frame = visited.frame;
    (0..visited.alike).map(move |after| {
        let (number, offset) = (FrameNumber(frame.number.count() + after), frame.offset + after * 4120);
        let mut one = frame;
        (one.number, one.offset) = (number, offset);
        one
    })
}

#[test]
fn the_rest_of_a_long_run_of_zero_bytes_is_handed_out_at_once_stored_or_not() {
    const LONG: usize = 3 * ZEROS_ONE_BY_ONE as usize;
    let mut wal = WalWriter::new(4096, false, [7, 8]);
    wal.frame(1, 1, 1).unwritten(LONG).frame(2, 2, 2).unwritten(5).frame(3, 3, 3).unwritten(LONG);
    let facts = facts(&wal.bytes);
    let headers: Vec<u8> =
        wal.bytes[..32].iter().chain(wal.bytes[32..].chunks(4120).flat_map(|frame| &frame[..24])).copied().collect();
    let in_hole = Sparse { bytes: wal.bytes.clone(), data_ends: (32 + 4120 * (LONG + 9)) as u64 };
    let headers_in_hole = Sparse { bytes: headers.clone(), data_ends: (32 + 24 * (LONG + 8)) as u64 };
    let sources = [
        FrameBytes::Whole(&wal.bytes),
        FrameBytes::Whole(&in_hole),
        FrameBytes::Headers(&headers),
        FrameBytes::Headers(&headers_in_hole),
    ];
    let (few, long) = (ZEROS_ONE_BY_ONE, LONG as u64);
    for (at, source) in sources.into_iter().enumerate() {
        for (first, last, rests) in [
            (1, u64::MAX, vec![(2 + few, long - few), (9 + long + few, long - few)]),
            (50, 1 + long, vec![(50 + few, long - 48 - few)]),
            (2, 1 + few, vec![]),
            (2, 2 + few, vec![]),
            (2, 3 + few, vec![(2 + few, 2)]),
        ] {
            let (mut seen, mut found, mut classes) = (Vec::new(), Vec::new(), BTreeSet::new());
            let range = FrameNumber(first)..=FrameNumber(last);
            let visit = frames::visit(source, &facts, range, 1, &mut |visited| {
                seen.extend(each_of(visited).map(|frame| (frame.number.count(), frame.offset)));
                if visited.alike > 1 {
                    found.push((visited.frame.number.count(), visited.alike));
                    classes.insert(visited.checksum.follows());
                }
                Ok(())
            });
            assert!(!visit.unwrap().changed, "{at} {first}..{last}");
            let wanted: Vec<_> = (first..=last.min(facts.frames.in_file)).map(|n| (n, 32 + (n - 1) * 4120)).collect();
            assert!(seen == wanted, "{at} {first}..{last}");
            assert_eq!(found, rests, "{at} {first}..{last}");
            let known = if at < 2 { Some(true) } else { None };
            assert!(classes.iter().all(|follows| *follows == known), "{at}: {classes:?}");
        }
    }
}

#[test]
fn the_frames_do_not_depend_on_the_number_of_threads() {
    let wal = large();
    let mut expected = Vec::new();
    let facts = scan_pages(&wal, &mut |frame, page| expected.push((*frame, page.to_vec()))).unwrap();
    assert_eq!((facts.frames.committed, facts.frames.unwritten), (900, 600));
    for threads in [1, 2, 3, 8] {
        for (first, last) in [(1, u64::MAX), (1, 1), (2, 1499), (450, 905), (901, 1500), (903, 904), (1500, 1500)] {
            let mut seen = Vec::new();
            let mut keep = |visited: &Visited<'_>| {
                let Content::Page(page) = visited.content else { panic!("a page") };
                seen.extend(each_of(visited).map(|frame| (frame, page.to_vec())));
                Ok(())
            };
            let end = frames::visit(
                FrameBytes::Whole(&wal),
                &facts,
                FrameNumber(first)..=FrameNumber(last),
                threads,
                &mut keep,
            )
            .unwrap();
            assert!(!end.changed, "{threads} threads, {first}..{last}");
            let part = &expected[first as usize - 1..last.min(1500) as usize];
            assert!(seen == part, "{threads} threads, {first}..{last}");
        }
        let mut left = 700;
        let mut stop = |_: &Visited<'_>| {
            left -= 1;
            if left == 0 { Err(io::Error::from(io::ErrorKind::BrokenPipe)) } else { Ok(()) }
        };
        let error =
            frames::visit(FrameBytes::Whole(&wal), &facts, FrameNumber(1)..=FrameNumber(1500), threads, &mut stop)
                .unwrap_err();
        assert_eq!((error.kind(), left), (io::ErrorKind::BrokenPipe, 0), "{threads} threads");
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
    let error = frames::visit(FrameBytes::Whole(&bytes), &facts(&bytes), FrameNumber(1)..=FrameNumber(4), 1, &mut stop)
        .unwrap_err();
    assert_eq!((error.kind(), seen), (io::ErrorKind::BrokenPipe, 1));
}

#[test]
fn superseded_frames_are_unknown_above_the_limit() {
    let bytes = sample().bytes;
    use Superseded::{ByLater, Newest, NotCommitted, TooManyFrames};
    for (limit, expected) in [(4, [ByLater, Newest, Newest, NotCommitted]), (3, [TooManyFrames; 4])] {
        let mut prologue = Prologue::new(FrameNumber::FIRST, limit);
        let facts = scan_pages(&bytes, &mut |frame, page| prologue.push(frame, page)).unwrap();
        let start = prologue.finish(&facts);
        assert_eq!(start.newest.too_many(), limit == 3);
        assert_eq!((start.transactions, u32::from(start.largest_page), start.largest_commit_pages), (2, 3, 2));
        let mut superseded = Vec::new();
        let mut keep = |visited: &Visited<'_>| {
            superseded.push(start.newest.superseded(visited));
            assert!(visited.class != FrameClass::Uncommitted || visited.frame.number == 4);
            Ok(())
        };
        frames::visit(FrameBytes::Whole(&bytes), &facts, FrameNumber(1)..=FrameNumber(4), 1, &mut keep).unwrap();
        assert_eq!(superseded, expected, "limit {limit}");
    }
}

#[test]
fn a_visit_ends_where_the_receiver_breaks_off() {
    let bytes = sample().bytes;
    let range = FrameNumber(2)..=FrameNumber(4);
    let mut seen = Vec::new();
    let ended = frames::visit_until(FrameBytes::Whole(&bytes), &facts(&bytes), range.clone(), 1, &mut |visited| {
        seen.push(visited.frame.number);
        if seen.len() == 2 { ControlFlow::Break(visited.class) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(
        (ended.unwrap(), seen),
        (ControlFlow::Break(FrameClass::Committed), vec![FrameNumber(2), FrameNumber(3)])
    );
    let mut all = |_: &Visited<'_>| ControlFlow::<()>::Continue(());
    let whole = frames::visit_until(FrameBytes::Whole(&bytes), &facts(&bytes), range, 1, &mut all).unwrap();
    assert!(whole.continue_value().is_some_and(|visit| !visit.changed));
}
