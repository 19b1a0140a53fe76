//! Any bytes, any cut, any flipped bit: an answer, and never more committed than before.
use proptest::prelude::*;
use walscope::format::{db, shm};
use walscope::shm::{BlockFacts, WalIndex};
use walscope::wal::transactions::transactions;
use walscope::wal::{WalFacts, scan};

use crate::common::synthetic::{Shm, WalWriter};
use walscope::number::PageNumber;

fn look(bytes: &[u8]) -> WalFacts {
    let mut frames = 0;
    let facts = scan(&bytes, &mut |frame| {
        frames += 1;
        assert_eq!(frame.number, frames);
    })
    .unwrap();
    let counts = facts.frames;
    assert_eq!(counts.in_file, frames);
    assert_eq!(counts.valid, counts.committed + counts.uncommitted);
    assert_eq!(counts.in_file, counts.valid + counts.residue + counts.stale + counts.unwritten + counts.unrelated);
    assert_eq!(facts.end_frame, counts.valid + 1);
    let mut commit_points = 0;
    assert_eq!(
        transactions(&bytes, 3, &mut |transaction| commit_points += transaction.commit_points()).unwrap(),
        facts
    );
    assert_eq!(commit_points, facts.commits);
    facts
}

fn look_at_index(bytes: &[u8]) {
    let Ok(index) = WalIndex::open(&bytes) else { return };
    let mx_frame = index.head.headers[0].mx_frame;
    for number in 0..index.blocks() as u32 {
        if let Ok(block) = index.block(number) {
            let facts = BlockFacts::of(&block, mx_frame);
            assert!(facts.unreachable_frames <= facts.indexed);
        }
    }
    let _ = index.frame_of_page(PageNumber(1), mx_frame);
    let _ = index.page_of_frame(mx_frame);
}

fn sample() -> WalWriter {
    let mut wal = WalWriter::new(512, false, [10, 1]);
    for n in 1..=6 {
        wal.frame(n, n, 1);
    }
    wal.set_salts([11, 2]);
    wal.frame_at(1, 1, 0, 2).frame_at(2, 2, 2, 2).frame_at(3, 3, 3, 2).frame_at(4, 4, 0, 2);
    wal.unwritten(1);
    wal
}

#[test]
fn a_wal_cut_at_any_byte_keeps_the_commits_before_the_cut() {
    let wal = sample();
    for len in 0..=wal.bytes.len() {
        let facts = look(&wal.bytes[..len]);
        let whole = len.saturating_sub(32) / 536;
        let expected = [0, 0, 2, 3].get(whole).copied().unwrap_or(3);
        assert_eq!(facts.frames.committed, expected, "cut at {len}");
    }
}

#[test]
fn no_single_flipped_bit_adds_a_commit() {
    let wal = sample();
    let committed = look(&wal.bytes).frames.committed;
    // Every bit of every header, and some of each page.
    let in_header = |byte: usize| byte < 32 || (byte - 32) % 536 < 24;
    for bit in (0..wal.bytes.len() * 8).filter(|bit| in_header(bit / 8) || bit % 37 == 0) {
        let mut bytes = wal.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let facts = scan(&bytes, &mut |_| ()).unwrap();
        assert!(facts.frames.committed <= committed, "bit {bit}");
        if bit < 3 * 536 * 8 {
            assert!(facts.frames.committed < committed, "bit {bit} lies under a checksum or a salt");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        look(&bytes);
        look_at_index(&bytes);
        let _ = db::parse_head(&bytes);
    }

    #[test]
    fn any_bytes_behind_a_right_header_give_an_answer(
        tail in prop::collection::vec(any::<u8>(), 0..5000),
        big in any::<bool>(),
        salts in any::<[u32; 2]>(),
    ) {
        let mut bytes = WalWriter::new(512, big, salts).bytes;
        bytes.extend(tail);
        look(&bytes);
    }

    #[test]
    fn any_wal_index_gives_an_answer(
        head in prop::collection::vec(any::<u8>(), 136),
        fill in any::<u16>(),
        changes in prop::collection::vec((0usize..65536, any::<u8>()), 0..200),
        cut in 0usize..65536,
    ) {
        let shm = Shm { mx_frame: 5000, pages: (1..=5000).collect(), ..Shm::default() };
        let mut bytes = shm.bytes(fill % 2 == 0);
        bytes[136..140].copy_from_slice(&head[..4]);
        for slot in bytes[16384..32768].chunks_exact_mut(2).filter(|_| fill % 3 == 0) {
            slot.copy_from_slice(&fill.to_le_bytes());
        }
        for (at, value) in changes {
            bytes[at] = value;
        }
        bytes.truncate(65536 - cut / 8);
        look_at_index(&bytes);
    }

    #[test]
    fn any_head_is_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(shm::parse_head(&bytes).is_ok(), bytes.len() >= 136);
        prop_assert_eq!(db::parse_head(&bytes).is_err(), (1..100).contains(&bytes.len()));
    }
}
