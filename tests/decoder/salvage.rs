//! Frames that follow one another behind a broken header, found without it.

use walscope::number::{ByteOrder, FrameNumber, PageSize, Salts};
use walscope::wal::salvage::{ChainedRun, RUNS_LISTED, Salvage, begins_with_frames, salvage};
use walscope::wal::scan;

use crate::common::random::Random;
use crate::common::synthetic::WalWriter;

const SALTS: [u32; 2] = [0x51a7_0001, 0x51a7_0002];

fn sizes() -> impl Iterator<Item = usize> {
    (9..=16).map(|bit| 1 << bit)
}

/// Seven frames with commits at 3, 4 and 6.
fn seven(page_size: usize, big: bool) -> WalWriter {
    let mut wal = WalWriter::new(page_size, big, SALTS);
    wal.frame(1, 0, 1).frame(2, 0, 2).frame(3, 3, 3).frame(2, 3, 4).frame(4, 0, 5).frame(1, 4, 6).frame(2, 0, 7);
    wal
}

fn found(bytes: &[u8]) -> Option<Salvage> {
    let found = salvage(&bytes.to_vec(), None, 1).unwrap();
    for (likely, threads) in [(512, 1), (65536, 3)] {
        assert_eq!(salvage(&bytes.to_vec(), PageSize::new(likely), threads).unwrap(), found);
    }
    found
}

fn ends(run: &ChainedRun) -> (u64, u64) {
    (run.first.count(), run.last.count())
}

#[test]
fn every_page_size_and_byte_order_is_found_behind_a_zeroed_header_and_the_header_is_made_anew() {
    for (page_size, big) in sizes().flat_map(|size| [(size, false), (size, true)]) {
        let whole = seven(page_size, big).bytes;
        let mut zeroed = whole.clone();
        zeroed[..32].fill(0);
        assert_eq!(scan(&zeroed, &mut |_| {}).unwrap().frames.in_file, 0);
        let found = found(&zeroed).unwrap();
        assert_eq!(found.page_size.bytes() as usize, page_size);
        assert_eq!(found.order, if big { ByteOrder::Big } else { ByteOrder::Little });
        assert_eq!((found.frames, found.commits, found.in_file, found.torn_bytes), (7, 3, 7, 0));
        let run = found.readable().unwrap();
        assert_eq!((ends(run), run.salts, run.commits), ((1, 7), Salts(SALTS), 3));
        assert!(run.pages().map(u32::from).eq([1, 2, 3, 2, 4, 1, 2]));
        assert_eq!(run.last_commit.unwrap().frame, FrameNumber(6));
        // Byte by byte it is the header that was there.
        let made = found.header.unwrap();
        let fields = [
            made.magic,
            made.format_version,
            made.page_size,
            made.checkpoint_sequence,
            made.salts.0[0],
            made.salts.0[1],
            made.checksum.0[0],
            made.checksum.0[1],
        ];
        assert_eq!(fields.map(u32::to_be_bytes).concat(), whole[..32]);
    }
}

#[test]
fn a_single_frame_is_found_by_the_header_that_it_continues() {
    for (page_size, big) in sizes().flat_map(|size| [(size, false), (size, true)]) {
        let mut wal = WalWriter::new(page_size, big, SALTS);
        wal.frame(1, 1, 8);
        wal.bytes[..32].fill(0xff);
        let one = found(&wal.bytes).unwrap();
        assert_eq!((one.page_size.bytes() as usize, one.frames, one.commits), (page_size, 1, 1));
        assert!(one.readable().is_some());
        // With one bit of it changed it is nothing.
        wal.bytes[60] ^= 4;
        assert_eq!(found(&wal.bytes), None);
    }
}

#[test]
fn runs_end_where_the_chain_breaks_and_their_first_frames_are_not_proven() {
    let mut wal = seven(1024, false);
    wal.unwritten(2);
    let mut other = WalWriter::new(1024, false, [9, 9]);
    other.frame(7, 0, 1).frame(8, 9, 2).frame(3, 9, 3);
    wal.bytes.extend(&other.bytes[32..]);
    // A frame alone is no run.
    wal.bytes.extend(&WalWriter::new(1024, false, [8, 8]).frame(1, 1, 1).bytes[32..]);
    wal.bytes.extend([1; 100]);
    wal.bytes[..32].fill(0);
    let page_of_4 = wal.offset(4) + 200;
    wal.bytes[page_of_4] ^= 1;
    let found = found(&wal.bytes).unwrap();
    assert_eq!(found.runs.iter().map(ends).collect::<Vec<_>>(), [(1, 3), (4, 7), (10, 12)]);
    assert_eq!(found.runs.iter().map(|run| run.first_proven).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!((found.frames, found.commits, found.zeros, found.torn_bytes), (10, 5, 2, 100));
    // The first frame is damaged: no header makes it right, and it is in no run.
    let page_of_1 = wal.offset(1) + 24;
    wal.bytes[page_of_1] ^= 1;
    let found = self::found(&wal.bytes).unwrap();
    assert_eq!((found.header, found.readable()), (None, None));
    // Frame 2 continues the checksum that frame 1 stores: so frame 1 begins the run, and is not proven.
    assert_eq!((ends(&found.runs[0]), found.runs[0].first_proven), ((1, 3), false));
}

#[test]
fn other_bytes_are_no_frames() {
    let mut random = Random(7);
    let noise: Vec<u8> = (0..300_000).map(|_| random.below(256) as u8).collect();
    for bytes in [Vec::new(), vec![0; 31], vec![0; 200_000], vec![1; 200_000], vec![0xff; 140_000], noise] {
        assert_eq!(found(&bytes), None);
        assert!(!begins_with_frames(&bytes).unwrap());
    }
}

#[test]
fn frames_from_the_first_byte_on_are_found_and_the_header_is_said_to_be_missing() {
    for (page_size, big) in sizes().flat_map(|size| [(size, false), (size, true)]) {
        let whole = seven(page_size, big).bytes;
        let found = found(&whole[32..]).unwrap();
        assert!(found.header_missing);
        assert_eq!((found.frames, found.commits, found.in_file, found.torn_bytes), (7, 3, 7, 0));
        assert_eq!(found.header.unwrap().to_bytes()[..], whole[..32]);
        assert!(begins_with_frames(&whole[32..].to_vec()).unwrap());
        // Other bytes before them are not searched.
        assert_eq!(self::found(&[&[7; 20], &whole[32..]].concat()), None);
    }
}

#[test]
fn frames_far_behind_other_bytes_are_found_too() {
    let mut wal = WalWriter::new(4096, false, SALTS);
    wal.unwritten(700);
    wal.frame(1, 0, 1).frame(2, 2, 2);
    wal.bytes[..32].fill(0);
    let far = found(&wal.bytes).unwrap();
    assert_eq!(far.runs.iter().map(ends).collect::<Vec<_>>(), [(701, 702)]);
    assert!(!begins_with_frames(&wal.bytes).unwrap());
    assert!(begins_with_frames(&seven(512, true).bytes).unwrap());
}

#[test]
fn the_list_of_runs_has_a_limit_and_the_counts_have_none() {
    let mut bytes = vec![0; 32];
    for generation in 0..RUNS_LISTED as u32 + 20 {
        let mut wal = WalWriter::new(512, false, [generation + 1, 5]);
        wal.frame(1, 0, 1).frame(2, 2, 2);
        bytes.extend(&wal.bytes[32..]);
    }
    let found = found(&bytes).unwrap();
    assert_eq!((found.runs.len(), found.unlisted_runs), (RUNS_LISTED, 20));
    assert_eq!((found.frames, found.commits), (2 * (RUNS_LISTED as u64 + 20), RUNS_LISTED as u64 + 20));
}

#[test]
fn a_usable_header_is_taken_as_it_is() {
    let wal = seven(2048, true);
    let found = found(&wal.bytes).unwrap();
    assert_eq!((found.frames, found.readable().map(ends)), (7, Some((1, 7))));
    assert_eq!(found.header.unwrap().checkpoint_sequence, 7);
}
