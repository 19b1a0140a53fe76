//! Any bytes as a `-shm`: head, blocks, slots, lookups and the page about them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use walscope::shm::{BlockFacts, Lookup, WalIndex, frames_that_count};
use walscope::number::PageNumber;
use walscope::look::{Bytes, Depth, Options, inspect};
use walscope::report::inspect::InspectDocument;
use walscope::report::shm_blocks::BlockRow;
use walscope::report::shm_page::{self, BlockTable, EntryTables};
use walscope_fuzz::text::{assert_harmless, is_drawn};

fuzz_target!(|bytes: &[u8]| {
    // A `Vec` as the parameter would be made by `Arbitrary`, which does not take the bytes as they are.
    let bytes = bytes.to_vec();
    let Ok(index) = WalIndex::open(&bytes) else {
        assert!(bytes.len() < 136);
        return;
    };
    let noise_behind = frames_that_count(&index.head);
    let seen = Bytes { shm: Some(bytes.clone()), ..Bytes::default() };
    let options = Options { depth: Depth::Heads, ..Options::default() };
    let whole = InspectDocument::new(&inspect(&seen, &options).unwrap());
    let width = 20 + bytes.len() % 100;
    let drawn = is_drawn(&bytes);
    if drawn {
        assert_harmless(&shm_page::head(&whole, Some(&index.head), noise_behind, width));
    }
    let blocks = BlockTable::new(index.blocks(), width, false);
    let lists = EntryTables::new(index.blocks(), u32::MAX.into(), width, false);
    let mut drawn_rows = String::new();
    // What coverage makes slow shows in a few blocks as well as in many.
    for number in 0..index.blocks().min(2) as u32 {
        let Ok(block) = index.block(number) else { continue };
        let facts = BlockFacts::of(&block, noise_behind.unwrap_or_default());
        for page in block.page_numbers.iter().take(4) {
            let _ = walscope::shm::find_in_block(&block, *page, u32::MAX.into());
        }
        if !drawn {
            assert!(facts.live_slots <= 8192);
            continue;
        }
        let row = BlockRow::new(&block, noise_behind.unwrap_or_default(), true, true);
        drawn_rows.clear();
        blocks.row(&row, width, &mut drawn_rows);
        assert_harmless(&drawn_rows);
        let slots = row.slots.as_deref().unwrap_or_default();
        assert_eq!(slots.len() + row.empty_slots, 8192);
        for slot in slots.iter().take(4) {
            lists.slot(number, slot, &mut drawn_rows);
            // A live slot that a search comes across is found by a search: its frame, or a newer one of its page.
            if let (Some(page), Some(frame), Some(true), "live") = (slot.page, slot.frame, slot.reachable, slot.kind) {
                match walscope::shm::find_in_block(&block, PageNumber(page), noise_behind.unwrap_or_default()) {
                    Lookup::Found(_) | Lookup::NoEmptySlot => {}
                    Lookup::Absent => panic!("frame {frame} of page {page} is not found"),
                }
            }
        }
        for entry in row.pages.iter().flatten().take(4) {
            lists.page(number, entry, &mut drawn_rows);
        }
    }
});
