//! Every bit of a small -shm flipped, and the file cut at every byte: an answer each time, and what matters is said. A flip
//! that may go unseen has its reason here; one that is seen without being expected to be, or the other way round, fails.
//!
//! A plain run takes all bits of the head, of the entries and slots in use and of what lies next to them, and one of 611
//! of the rest; `WALSCOPE_EVERY_BIT=1` takes all.

use std::collections::BTreeMap;

use walscope::finding::Severity;

use crate::common::synthetic::WalWriter;
use crate::world::{PAGE, SALTS, World, at_rest, healthy, index, page_one, writing};

/// Frames that `healthy` indexes.
const INDEXED: usize = 4;
/// Bytes of a block, and where its hash table begins.
const BLOCK: usize = 32_768;
const TABLE: usize = 16_384;
const ENTRIES: usize = 136;

/// Why nothing is said of a flipped bit.
fn unseen(byte: usize, bit: usize, world: &[u8]) -> Option<&'static str> {
    match byte {
        // Of nBackfill 3: a lower number claims less, and the frames are copied once more; more than mxFrame is seen.
        96 if bit < 2 => Some("nBackfill lower than it was: frames are copied twice"),
        100..120 => Some("a read mark: without its lock it is left over, with its lock any frame is a possible mark"),
        120..128 => Some("a lock byte: its value means nothing, fcntl locks lie on it"),
        128..132 => Some("nBackfillAttempted: tells a checkpoint that was cut off, which is no damage"),
        132..136 => Some("not used"),
        ENTRIES..TABLE if byte >= ENTRIES + 4 * INDEXED => Some("an entry behind mxFrame: noise"),
        TABLE..BLOCK => {
            let slot = byte / 2 * 2;
            let before = u16::from_le_bytes([world[slot], world[slot + 1]]);
            let after = before ^ 1 << (bit + 8 * (byte % 2));
            // Empty slots end a search; to fill one far from any chain leads nowhere new.
            (before == 0 && usize::from(after) > INDEXED)
                .then_some("an empty slot that leads behind mxFrame now: noise")
        }
        _ => None,
    }
}

/// Bits to flip.
fn bits() -> impl Iterator<Item = (usize, usize)> {
    let all = std::env::var_os("WALSCOPE_EVERY_BIT").is_some();
    let world = healthy().shm.unwrap();
    let near = move |byte: usize| match byte {
        0..160 => true,
        TABLE..BLOCK => {
            (byte.saturating_sub(8)..=byte + 8).any(|at| at >= TABLE && world.get(at).is_some_and(|b| *b != 0))
        }
        _ => false,
    };
    (0..BLOCK * 8).filter(move |bit| all || near(bit / 8) || bit.is_multiple_of(611)).map(|bit| (bit / 8, bit % 8))
}

fn graver_than(world: &World, than: Severity) -> Vec<String> {
    world.codes().into_iter().filter(|(_, severity)| *severity > than).map(|(code, _)| code).collect()
}

#[test]
fn every_flipped_bit_of_a_wal_index_in_use_is_reported_or_has_a_reason() {
    let mut world = healthy();
    let whole = world.shm.clone().unwrap();
    let (mut flips, mut reasons, mut codes) = (0, BTreeMap::<_, u32>::new(), BTreeMap::<_, u32>::new());
    for (byte, bit) in bits() {
        world.shm()[byte] ^= 1 << bit;
        let found = graver_than(&world, Severity::Info);
        let reason = unseen(byte, bit, &whole);
        assert_eq!(found.is_empty(), reason.is_some(), "byte {byte}, bit {bit}: {found:?}, {reason:?}");
        found.into_iter().for_each(|code| *codes.entry(code).or_default() += 1);
        reason.into_iter().for_each(|reason| *reasons.entry(reason).or_default() += 1);
        world.shm()[byte] ^= 1 << bit;
        flips += 1;
    }
    eprintln!("flipped bits of a -shm: {flips}\nsaid: {codes:#?}\nnot said, because: {reasons:#?}");
    assert!(codes.len() >= 5 && flips > 2_000, "{flips}: {codes:?}");
}

#[test]
fn a_bit_flipped_in_both_copies_of_the_header_is_told_by_the_checksum() {
    for state in [at_rest(), writing(), healthy().locks.unwrap()] {
        let mut world = healthy();
        world.locks = Some(state);
        for bit in 0..48 * 8 {
            for copy in [0, 48] {
                world.shm()[copy + bit / 8] ^= 1 << (bit % 8);
            }
            let found = world.codes();
            assert!(found.iter().any(|(code, _)| code == "shm_header_checksum_wrong"), "bit {bit}: {found:?}");
            assert!(world.examine().trusted().is_none());
            for copy in [0, 48] {
                world.shm()[copy + bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}

#[test]
fn a_wal_index_cut_at_any_byte_is_too_short_or_unchanged() {
    let whole = healthy().shm.unwrap();
    let longest = if std::env::var_os("WALSCOPE_EVERY_BIT").is_some() { BLOCK } else { 2_000 };
    for length in (0..longest).chain([TABLE - 1, TABLE, BLOCK - 1]) {
        let mut world = healthy();
        world.shm().truncate(length);
        let examined = world.examine();
        // Shorter than its head it says nothing: SQLite makes it 3 bytes long for a moment.
        assert_eq!(examined.shm.is_none(), length < 136, "{length} bytes");
        assert_eq!(
            matches!(examined.reasons.shm, Some(walscope::look::Why::TooShort(_))),
            length < 136,
            "{length} bytes"
        );
        let severity = if length < 136 { Severity::Notice } else { Severity::Error };
        assert_eq!(world.codes(), [("shm_truncated".to_owned(), severity)], "{length} bytes");
    }
    let mut world = healthy();
    assert!(world.shm().len() == BLOCK && world.codes().is_empty() && whole.len() == BLOCK);
}

/// As `healthy`, of 5,000 frames: two blocks.
#[test]
fn flips_in_a_later_block_are_found_as_those_in_the_first() {
    let mut world = healthy();
    let mut wal = WalWriter::new(PAGE, false, SALTS);
    let pages: Vec<u32> = (0..5_000u32).map(|frame| frame % 600 + 1).collect();
    for (frame, page) in pages.iter().enumerate() {
        let commit = if frame == 4_999 { 600 } else { 0 };
        match page {
            1 => wal.frame_of(1, commit, &page_one(2, 5, 3_053_000)),
            page => wal.frame(*page, commit, 3),
        };
    }
    let mut shm = index(&wal);
    (shm.mx_frame, shm.database_pages, shm.backfilled, shm.pages) = (5_000, 600, 0, pages);
    (world.shm, world.wal) = (Some(shm.bytes(false)), Some(wal));
    assert_eq!(world.codes(), []);
    let entry = |frame: usize| BLOCK + 4 * (frame - 4_063);
    for (at, expected) in [(entry(4_063), "shm_pages_wrong"), (entry(5_000), "shm_pages_wrong"), (entry(5_001), "")] {
        world.shm()[at] ^= 1;
        let found = graver_than(&world, Severity::Info);
        assert_eq!(found.contains(&expected.to_owned()), !expected.is_empty(), "{at}: {found:?}");
        assert_eq!(found.is_empty(), expected.is_empty(), "{at}: {found:?}");
        world.shm()[at] ^= 1;
    }
}
