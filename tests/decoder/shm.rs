//! The wal-index: both byte orders, lookups, noise, garbage.
use std::collections::BTreeSet;

use walscope::format::shm::{HASH_SLOTS, IndexBlock, hash, parse_head};
use walscope::shm::{BlockFacts, IndexError, Lookup, WalIndex, find_in_block};

use crate::common::synthetic::Shm;
use walscope::number::{ByteOrder, Checksum, FrameNumber, FrameOfPage, PageNumber, Salts};

fn filled() -> Shm {
    Shm {
        page_size: 65536,
        change: 3,
        mx_frame: 9000,
        database_pages: 700,
        frame_checksum: [0xa1b2_c3d4, 5],
        salts: [0x0102_0304, 0x0506_0708],
        backfilled: 12,
        attempted: 34,
        marks: [0, 9000, 56, u32::MAX, 78],
        pages: (0..9100u32).map(|i| i % 700 + 1).collect(),
    }
}

#[test]
fn both_byte_orders_give_the_same_head_except_the_order() {
    let little = parse_head(&filled().bytes(false)).unwrap();
    let big = parse_head(&filled().bytes(true)).unwrap();
    assert_eq!((little.byte_order, big.byte_order), (ByteOrder::Little, ByteOrder::Big));
    for head in [little, big] {
        assert!(head.byte_order_known && head.headers_agree);
        let header = head.trusted().unwrap();
        assert_eq!((header.page_size, header.mx_frame, header.database_pages), (65536, FrameNumber(9000), 700));
        assert_eq!(
            (header.salts, header.frame_checksum),
            (Salts([0x0102_0304, 0x0506_0708]), Checksum([0xa1b2_c3d4, 5]))
        );
        assert_eq!([head.checkpoint.backfilled, head.checkpoint.backfill_attempted], [12, 34].map(FrameNumber));
        assert_eq!(
            head.checkpoint.read_marks,
            [Some(0), Some(9000), Some(56), None, Some(78)].map(|mark| mark.map(FrameNumber))
        );
    }
}

#[test]
fn a_torn_or_wrong_header_is_not_trusted() {
    let mut torn = filled().bytes(false);
    torn[16] ^= 1;
    let head = parse_head(&torn).unwrap();
    assert!(!head.headers_agree && !head.headers[0].checksum_ok && head.headers[1].checksum_ok);
    assert_eq!(head.trusted(), None);
    torn[48 + 16] ^= 1;
    let head = parse_head(&torn).unwrap();
    assert!(head.headers_agree);
    assert_eq!(head.trusted(), None);
    // A right first copy alone is no header either: the second is written first.
    let mut ahead = filled().bytes(false);
    ahead[48 + 16] ^= 1;
    let head = parse_head(&ahead).unwrap();
    assert!(head.headers[0].checksum_ok && !head.headers_agree);
    assert_eq!(head.trusted(), None);
}

#[test]
fn every_frame_of_three_blocks_is_found_in_both_orders() {
    for big in [false, true] {
        let bytes = filled().bytes(big);
        let index = WalIndex::open(&bytes).unwrap();
        assert_eq!(index.blocks(), 3);
        for frame in [1, 4062, 4063, 8158, 8159, 9000] {
            assert_eq!(
                index.page_of_frame(frame.into()).unwrap(),
                Some(PageNumber((frame - 1) % 700 + 1)),
                "frame {frame}"
            );
        }
        assert_eq!(index.page_of_frame(FrameNumber::NONE).unwrap(), None);
        assert_eq!(index.page_of_frame(u32::MAX.into()).unwrap(), None);
        for number in 0..3 {
            let facts = BlockFacts::of(&index.block(number).unwrap(), FrameNumber(9000));
            assert!(facts.sound(), "{facts:?}");
            assert_eq!(facts.live_slots, facts.indexed);
            assert_eq!(facts.garbage_slots, 0);
        }
        let last = BlockFacts::of(&index.block(2).unwrap(), FrameNumber(9000));
        assert_eq!(last.first_frame, 8159);
        assert_eq!((last.indexed, last.noise_entries, last.noise_slots), (842, 100, 100));
    }
}

#[test]
fn the_newest_frame_of_a_page_up_to_a_limit_is_found() {
    let bytes = filled().bytes(false);
    let index = WalIndex::open(&bytes).unwrap();
    let newest = |page: u32, max: u32| {
        (1..=max.min(9100))
            .rev()
            .find(|frame| (frame - 1) % 700 + 1 == page)
            .map_or(Lookup::Absent, |frame| Lookup::Found(frame.into()))
    };
    for page in [1, 2, 350, 700, 701, 0, u32::MAX] {
        for max in [0, 1, 699, 700, 701, 4062, 4063, 8158, 8159, 9000, 9100, u32::MAX] {
            assert_eq!(
                index.frame_of_page(PageNumber(page), max.into()).unwrap(),
                newest(page, max),
                "page {page} up to {max}"
            );
        }
    }
}

#[test]
fn a_table_without_an_empty_slot_ends_the_search() {
    let mut bytes = Shm { mx_frame: 1, pages: vec![5], ..Shm::default() }.bytes(false);
    for slot in bytes[16384..].chunks_exact_mut(2) {
        if slot == [0, 0] {
            slot.copy_from_slice(&[0xff, 0xff]);
        }
    }
    let block = WalIndex::open(&bytes).unwrap().block(0).unwrap();
    assert_eq!(find_in_block(&block, PageNumber(5), FrameNumber(1)), Lookup::NoEmptySlot);
    let facts = BlockFacts::of(&block, FrameNumber(1));
    assert_eq!((facts.garbage_slots, facts.live_slots, facts.unreachable_frames), (8191, 1, 1));
    assert!(facts.full && !facts.sound());
}

#[test]
fn a_frame_after_an_empty_slot_is_unreachable_and_a_second_slot_is_a_duplicate() {
    // Pages 1 and 8193 share their first slot.
    let shm = Shm { mx_frame: 2, pages: vec![1, 8193], ..Shm::default() };
    let slot = |n: usize| 16384 + n * 2;
    let mut bytes = shm.bytes(false);
    assert_eq!(bytes[slot(384)], 2);
    bytes[slot(383)] = 0;
    let facts = BlockFacts::of(&WalIndex::open(&bytes).unwrap().block(0).unwrap(), FrameNumber(2));
    assert_eq!((facts.unreachable_frames, facts.unreachable.as_slice()), (2, [1, 2].map(FrameNumber).as_slice()));
    bytes[slot(383)] = 2;
    let block = WalIndex::open(&bytes).unwrap().block(0).unwrap();
    let facts = BlockFacts::of(&block, FrameNumber(2));
    assert_eq!((facts.duplicate_slots, facts.unreachable.as_slice()), (1, [FrameNumber(1)].as_slice()));
    assert!(!facts.sound());
    assert_eq!(find_in_block(&block, PageNumber(8193), FrameNumber(2)), Lookup::Found(FrameNumber(2)));
    assert_eq!(find_in_block(&block, PageNumber(1), FrameNumber(2)), Lookup::Absent);
}

#[test]
fn a_search_continues_at_the_start_of_the_table() {
    // 383 * 5069 is 8191 modulo 8192: the last slot; the next page with that hash wraps to slot 0.
    let page = (1..8192u32).find(|page| page * 383 % 8192 == 8191).unwrap();
    let shm = Shm { mx_frame: 2, pages: vec![page, page + 8192], ..Shm::default() };
    let bytes = shm.bytes(false);
    let block = WalIndex::open(&bytes).unwrap().block(0).unwrap();
    assert_eq!((block.hash_slots[8191], block.hash_slots[0]), (1, 2));
    assert!(BlockFacts::of(&block, FrameNumber(2)).sound());
    assert_eq!(find_in_block(&block, PageNumber(page + 8192), FrameNumber(2)), Lookup::Found(FrameNumber(2)));
    // Two frames of one page, the newer one in front: what is behind it stands at the start of the table.
    let twice = Shm { mx_frame: 2, pages: vec![page, page], ..Shm::default() }.bytes(false);
    let mut block = WalIndex::open(&twice).unwrap().block(0).unwrap();
    assert!(BlockFacts::of(&block, FrameNumber(2)).sound());
    block.hash_slots.swap(8191, 0);
    assert_eq!(
        BlockFacts::of(&block, FrameNumber(2)).misordered,
        [FrameOfPage { page: PageNumber(page), frame: FrameNumber(1) }]
    );
    assert_eq!(find_in_block(&block, PageNumber(page), FrameNumber(2)), Lookup::Found(FrameNumber(1)));
    block.hash_slots.iter_mut().filter(|slot| **slot == 0).for_each(|slot| *slot = u16::MAX);
    assert_eq!(
        BlockFacts::of(&block, FrameNumber(2)).misordered,
        [FrameOfPage { page: PageNumber(page), frame: FrameNumber(1) }],
        "in a full table, too"
    );
}

#[test]
fn short_files_say_what_is_missing() {
    assert!(matches!(WalIndex::open(&vec![0u8; 3]), Err(IndexError::Parse(_))));
    let mut bytes = filled().bytes(false);
    bytes.truncate(32768 + 5);
    let index = WalIndex::open(&bytes).unwrap();
    assert_eq!(index.blocks(), 2);
    let error = index.block(1).unwrap_err().to_string();
    assert_eq!(error, "wal-index block at offset 32768: needed 32768 bytes, found 5 bytes");
}

/// What a search for each page comes across, one page at a time: slots with an older frame behind a newer one.
fn misordered(block: &IndexBlock, indexed: usize) -> usize {
    let pages: BTreeSet<PageNumber> = block.page_numbers[..indexed].iter().copied().collect();
    let met = |page: PageNumber| {
        let slots = (0..HASH_SLOTS).map(move |step| block.hash_slots[(hash(page) + step) % HASH_SLOTS]);
        let met = slots.take_while(|position| *position != 0).map(usize::from);
        let met = met.filter(|position| *position <= indexed && block.page_numbers[position - 1] == page);
        met.collect::<Vec<_>>()
    };
    pages.into_iter().map(|page| met(page).windows(2).filter(|pair| pair[1] < pair[0]).count()).sum()
}

proptest::proptest! {
    #[test]
    fn frames_out_of_order_are_found_wherever_they_stand(
        entries in proptest::collection::vec((0_u32..4, 0_u32..3), 1..200),
        begin in 8180_u32..8192,
        indexed in 0_usize..200,
        swaps in proptest::collection::vec((0_usize..HASH_SLOTS, 0_usize..HASH_SLOTS), 0..4),
        full: bool,
    ) {
        // Searches begin at one of four slots near the end of the table, for one of three pages each.
        let inverse = (0..8192_u32).find(|page| hash(PageNumber(*page)) == 1).unwrap();
        let page = |(slot, turn)| PageNumber((begin + slot) % 8192 * inverse % 8192 + turn * 8192);
        let mut block = IndexBlock {
            number: 1,
            first_frame: FrameNumber(4063),
            page_numbers: vec![PageNumber::NONE; 4096],
            hash_slots: vec![0; HASH_SLOTS],
        };
        let mut taken = Vec::new();
        for (entry, page) in entries.iter().copied().map(page).enumerate() {
            block.page_numbers[entry] = page;
            let free = (0..HASH_SLOTS).map(|step| (hash(page) + step) % HASH_SLOTS).find(|at| block.hash_slots[*at] == 0);
            block.hash_slots[free.unwrap()] = entry as u16 + 1;
            taken.extend(free);
        }
        for (one, other) in swaps {
            block.hash_slots.swap(taken[one % taken.len()], taken[other % taken.len()]);
        }
        if full {
            block.hash_slots.iter_mut().filter(|slot| **slot == 0).for_each(|slot| *slot = 5000);
        }
        let indexed = indexed.min(entries.len());
        let facts = BlockFacts::of(&block, FrameNumber(4062 + indexed as u64));
        proptest::prop_assert_eq!(facts.indexed, indexed);
        proptest::prop_assert_eq!(facts.misordered_slots, misordered(&block, indexed));
    }
}
