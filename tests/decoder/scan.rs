//! However a WAL is passed over - by one thread or several, with holes or without, by either kernel - the answers are the same.

use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use walscope::bytes::{FileBytes, Joined, ReadAt};
use walscope::format::checksum::Kernel;
use walscope::wal::{EndReason, Frame, Scan, WalFacts};

use crate::common::synthetic::WalWriter;
use walscope::number::FrameNumber;

const THREADS: [usize; 4] = [1, 2, 3, 7];

fn frames(scan: Scan<'_>) -> (WalFacts, Vec<Frame>) {
    let mut frames = Vec::new();
    let facts = scan.frames(&mut |frame| frames.push(*frame)).unwrap();
    (facts, frames)
}

/// A WAL of about 4 MiB that several threads share, with some of everything in it.
fn large(page_size: usize, big: bool) -> Vec<u8> {
    let frames = (4 << 20) / (page_size + 24);
    let mut wal = WalWriter::new(page_size, big, [7, 7]);
    for n in 0..frames as u32 {
        wal.frame(n % 97 + 1, if n % 5 == 4 { 97 } else { 0 }, n as u8);
    }
    wal.set_salts([8, 9]);
    for n in 0..frames as u32 * 3 / 4 {
        wal.frame_at(n as usize + 1, n % 89 + 1, if n % 7 == 6 { 89 } else { 0 }, !n as u8);
    }
    let middle = wal.offset(frames / 2);
    wal.bytes[middle + 16] ^= 1;
    wal.unwritten(frames / 8);
    let torn = wal.bytes.len() - 100;
    wal.bytes.truncate(torn);
    wal.bytes
}

#[test]
fn threads_and_kernels_change_nothing() {
    for (page_size, big) in [(512, false), (4096, true), (65536, false)] {
        let wal = large(page_size, big);
        let expected = frames(Scan::new(&wal).kernel(Kernel::Recurrence));
        assert_eq!(expected.0.end_reason, EndReason::ChecksumMismatch);
        assert!(expected.0.frames.residue > 0 && expected.0.frames.stale > 0 && expected.0.frames.unwritten > 0);
        for kernel in [Kernel::DotProduct, Kernel::DotProduct128] {
            assert_eq!(frames(Scan::new(&wal).kernel(kernel)), expected, "{kernel:?}, pages of {page_size}");
        }
        for threads in THREADS {
            assert_eq!(frames(Scan::new(&wal).threads(threads)), expected, "{threads} threads, pages of {page_size}");
            assert_eq!(Scan::new(&wal).threads(threads).facts().unwrap(), expected.0, "{threads} threads, facts");
        }
    }
}

#[test]
fn each_page_comes_with_its_frame() {
    let wal = large(4096, false);
    for threads in THREADS {
        let mut seen = 0;
        Scan::new(&wal)
            .threads(threads)
            .pages(&mut |frame, page| {
                let at = frame.offset as usize + 24;
                assert!(page == &wal[at..at + 4096], "frame {} of {threads} threads", frame.number);
                seen += 1;
            })
            .unwrap();
        assert_eq!(seen, (wal.len() - 32) / 4120);
    }
}

#[test]
fn one_flipped_bit_ends_the_chain_at_its_frame_for_every_thread() {
    let wal = large(512, false);
    let whole = Scan::new(&wal).facts().unwrap();
    // At the ends of blocks too: frames 1 and 978 of 536 bytes begin and end the first 512 KiB.
    for frame in [1, 2, 977, 978, 979, 1956, 1957, 4000, 7000] {
        let mut flipped = wal.clone();
        flipped[32 + (frame - 1) * 536 + 300] ^= 0x40;
        for threads in THREADS {
            let facts = Scan::new(&flipped).threads(threads).facts().unwrap();
            let frame = FrameNumber(frame as u64);
            let expected = if frame <= whole.frames.valid { frame } else { whole.end_frame };
            assert_eq!((facts.end_frame, facts.end_reason), (expected, EndReason::ChecksumMismatch), "{threads}");
        }
    }
}

/// Knows its holes, and counts what is read of it.
struct Sparse {
    bytes: Vec<u8>,
    holes: Vec<std::ops::Range<u64>>,
    read: AtomicU64,
}

impl ReadAt for Sparse {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let n = self.bytes.read_at(buf, offset)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }

    fn next_data(&self, offset: u64) -> u64 {
        self.holes.iter().find(|hole| hole.contains(&offset)).map_or(offset, |hole| hole.end)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Holes of zero bytes anywhere, over anything, also where the header's own salts are zero.
    #[test]
    fn holes_change_nothing(
        salts in prop_oneof![Just([7_u32, 7]), Just([0, 0])],
        holes in proptest::collection::vec((0_u64..5 << 20, 0_u64..2 << 20), 0..5),
        threads in 1_usize..4,
    ) {
        let mut wal = WalWriter::new(4096, false, salts);
        for n in 0..1200 {
            wal.frame(n + 1, n + 1, n as u8);
        }
        let mut bytes = wal.bytes;
        let holes: Vec<_> = holes
            .into_iter()
            .map(|(at, len)| (at + 32).min(bytes.len() as u64)..(at + 32 + len).min(bytes.len() as u64))
            .collect();
        for hole in &holes {
            bytes[hole.start as usize..hole.end as usize].fill(0);
        }
        let expected = frames(Scan::new(&bytes));
        let sparse = Sparse { bytes, holes, read: AtomicU64::new(0) };
        prop_assert_eq!(&Scan::new(&sparse).threads(threads).facts().unwrap(), &expected.0);
        prop_assert_eq!(&frames(Scan::new(&sparse).threads(threads)), &expected);
    }
}

#[test]
fn little_is_read_of_a_hole() {
    let mut wal = WalWriter::new(4096, false, [1, 2]);
    wal.frame(1, 1, 1).unwritten(10_000);
    let hole = 32 + 4120..wal.bytes.len() as u64;
    for threads in THREADS {
        let sparse = Sparse { bytes: wal.bytes.clone(), holes: [hole.clone()].into(), read: AtomicU64::new(0) };
        let facts = Scan::new(&sparse).threads(threads).facts().unwrap();
        assert_eq!((facts.frames.valid, facts.frames.unwritten), (1, 10_000));
        assert_eq!(facts.frames.torn_bytes, 0);
        let blocks = sparse.read.into_inner().div_ceil(512 << 10);
        assert!(blocks <= 2 + 3 * threads as u64, "{blocks} blocks were read by {threads} threads");
    }
}

/// A real file of `len` bytes with nothing but a WAL of two frames at its head.
fn sparse_file(len: u64) -> Arc<File> {
    let mut wal = WalWriter::new(4096, false, [1, 2]);
    wal.frame(1, 1, 1).frame(2, 2, 2);
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&wal.bytes, 0).unwrap();
    file.set_len(len).unwrap();
    Arc::new(file)
}

#[test]
fn a_tebibyte_of_holes_is_counted_without_reading_it() {
    let len = 1 << 40;
    let wal = FileBytes::whole(sparse_file(len)).unwrap();
    for threads in THREADS {
        let facts = Scan::new(&wal).threads(threads).facts().unwrap();
        assert_eq!((facts.frames.valid, facts.frames.unwritten), (2, (len - 32) / 4120 - 2));
        assert_eq!((facts.end_frame, facts.end_reason), (FrameNumber(3), EndReason::SaltMismatch));
        assert_eq!((facts.file_size, facts.frames.torn_bytes), (len, (len - 32) % 4120));
    }
    let mut handed_out = 0_u64;
    let facts = Scan::new(&wal).frames_outside_of_holes(&mut |_| handed_out += 1).unwrap();
    let with_pages = Scan::new(&wal).pages_outside_of_holes(&mut |_, _| handed_out += 1).unwrap();
    assert_eq!(with_pages, facts);
    assert_eq!(facts.frames.valid, 2);
    assert!(handed_out < 1000, "{handed_out} frames");
}

#[test]
fn a_region_and_a_joined_source_know_their_holes() {
    let file = sparse_file(16 << 20);
    let data = |source: &dyn ReadAt| [0, 1 << 20, 12 << 20].map(|at| source.next_data(at));
    assert_eq!(data(&FileBytes::whole(Arc::clone(&file)).unwrap()), [0, 16 << 20, 16 << 20]);
    assert_eq!(data(&FileBytes::region(Arc::clone(&file), 4096, 8 << 20)), [0, 8 << 20, 12 << 20]);
    let first = Arc::new(FileBytes::region(Arc::clone(&file), 0, 4 << 20));
    let second = Arc::new(FileBytes::region(file, 4 << 20, 10 << 20));
    assert_eq!(data(&Joined::new(first, second)), [0, 14 << 20, 14 << 20]);
    assert_eq!(data(&vec![0; 100]), [0, 1 << 20, 12 << 20]);
}

#[test]
fn a_file_cut_in_its_hole_ends_where_it_was_cut() {
    let file = sparse_file(64 << 20);
    let wal = FileBytes::whole(Arc::clone(&file)).unwrap();
    file.set_len(32 << 20).unwrap();
    for threads in THREADS {
        assert_eq!(Scan::new(&wal).threads(threads).facts().unwrap().file_size, 32 << 20);
    }
}

#[test]
fn a_read_error_ends_every_thread() {
    struct Failing(Vec<u8>);
    impl ReadAt for Failing {
        fn len(&self) -> u64 {
            self.0.len() as u64
        }
        fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
            if offset > 3 << 20 { Err(std::io::Error::other("EIO")) } else { self.0.read_at(buf, offset) }
        }
    }
    let wal = Failing(large(4096, false));
    for threads in THREADS {
        let mut frames = 0;
        let error = Scan::new(&wal).threads(threads).frames(&mut |_| frames += 1).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("frames at offset 3") && text.ends_with(": EIO"), "{text}");
        assert_eq!(frames % 127, 0, "whole blocks of 127 frames come before the error");
        assert!(frames > 700, "{frames}");
    }
}

#[test]
fn a_panic_of_the_caller_ends_every_thread() {
    let wal = large(4096, false);
    let outcome = std::panic::catch_unwind(|| Scan::new(&wal).threads(3).frames(&mut |_| panic!("of the caller")));
    assert!(outcome.is_err());
}

#[test]
fn progress_grows_and_ends_near_the_length() {
    let wal = large(4096, false);
    let mut seen = vec![0];
    let mut progress = |bytes| seen.push(bytes);
    Scan::new(&wal).threads(2).progress(&mut progress).facts().unwrap();
    assert!(seen.is_sorted());
    assert!(wal.len() as u64 - seen.last().unwrap() < 4120 + 32);
}

#[test]
fn a_receiver_that_breaks_off_is_handed_no_more() {
    let mut wal = WalWriter::new(512, false, [1, 2]);
    for number in 1..=12_000 {
        wal.frame(number, number, 7);
    }
    for threads in [1, 3] {
        for last in [1, 2, 700, 11_999, 12_000] {
            let mut handed_out = 0;
            let ended = Scan::new(&wal.bytes).threads(threads).frames_until(&mut |frame| {
                handed_out += 1;
                if frame.number == last { ControlFlow::Break(frame.number) } else { ControlFlow::Continue(()) }
            });
            assert_eq!(
                (ended.unwrap(), handed_out),
                (ControlFlow::Break(FrameNumber(last)), last),
                "{threads} threads"
            );
            let mut handed_out = 0;
            let ended = Scan::new(&wal.bytes).threads(threads).pages_until(&mut |frame, page| {
                assert_eq!(page.len(), 512);
                handed_out += 1;
                if frame.number == last { ControlFlow::Break("enough") } else { ControlFlow::Continue(()) }
            });
            assert_eq!((ended.unwrap(), handed_out), (ControlFlow::Break("enough"), last), "{threads} threads, pages");
        }
        let whole = Scan::new(&wal.bytes).threads(threads).frames_until::<()>(&mut |_| ControlFlow::Continue(()));
        assert_eq!(whole.unwrap(), ControlFlow::Continue(Scan::new(&wal.bytes).facts().unwrap()));
    }
}
