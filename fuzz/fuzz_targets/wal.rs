//! Any bytes as a `-wal`: both passes, transactions, pages as hex; what they say must agree.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use walscope::number::FrameNumber;
use walscope::wal::frames::{self, FrameBytes, Prologue};
use walscope::wal::transactions::transactions;
use walscope::wal::{FrameClass, FrameCounts, scan_pages};
use walscope::look::{Bytes, Depth, Options, inspect};
use walscope::report::inspect::InspectDocument;
use walscope::report::wal_frames::FrameRow;
use walscope::report::wal_page::{self, FrameTable};
use walscope_fuzz::bits::Bits;
use walscope_fuzz::chain;
use walscope_fuzz::text::{assert_harmless, is_drawn};

fuzz_target!(|bytes: &[u8]| {
    // A `Vec` as the parameter would be made by `Arbitrary`, which does not take the bytes as they are.
    let bytes = bytes.to_vec();
    let mut prologue = Prologue::new(FrameNumber(2), 1000);
    let facts = scan_pages(&bytes, &mut |frame, page| prologue.push(frame, page)).unwrap();
    let start = prologue.finish(&facts);
    let seen = Bytes { wal: Some(bytes.clone()), ..Bytes::default() };
    let options = Options { depth: Depth::Frames, ..Options::default() };
    let whole = InspectDocument::new(&inspect(&seen, &options).unwrap());
    let width = 20 + bytes.len() % 100;
    let table = FrameTable::new(&whole, &start, width, false);
    let drawn = is_drawn(&bytes);
    if drawn {
        assert_harmless(&wal_page::head(&whole, width));
    }

    let mut counts = FrameCounts::default();
    counts.torn_bytes = facts.frames.torn_bytes;
    let visit = frames::visit(FrameBytes::Whole(&bytes), &facts, FrameNumber::FIRST..=FrameNumber::LARGEST, 1, &mut |visited| {
        counts.in_file += visited.alike;
        match visited.class {
            FrameClass::Committed => counts.committed += visited.alike,
            FrameClass::Uncommitted => counts.uncommitted += visited.alike,
            FrameClass::Residue => counts.residue += visited.alike,
            FrameClass::Stale => counts.stale += visited.alike,
            FrameClass::Unwritten => counts.unwritten += visited.alike,
            FrameClass::Unrelated => counts.unrelated += visited.alike,
            other => panic!("{other:?} is not counted"),
        }
        let row = FrameRow::new(visited, 1, start.newest.superseded(visited));
        if drawn && visited.frame.number < 9 {
            let mut drawn_row = String::new();
            table.row(&row, &mut drawn_row);
            assert_harmless(&drawn_row);
        }
        if drawn && visited.frame.number == 2 {
            assert_harmless(&wal_page::frame_in_hex(&row, visited, width));
        }
        Ok(())
    });
    counts.valid = counts.committed + counts.uncommitted;
    assert_eq!(counts, facts.frames);
    assert!(!visit.unwrap().changed);

    let mut next = FrameNumber::FIRST;
    let mut found = 0;
    transactions(&bytes, 10, &mut |transaction| {
        assert_eq!(transaction.first_frame, next);
        next = transaction.last_frame.next();
        found += 1;
    })
    .unwrap();
    assert_eq!((next, found), (FrameNumber(facts.frames.committed).next(), start.transactions));
});

// Half of the changes leave a chain that holds: else hardly any input would have more than one valid frame.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    if seed.is_multiple_of(2) {
        chain::repair(&mut data[..size], &mut Bits::new(seed));
    }
    size
});
