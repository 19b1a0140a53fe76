//! Memory is bounded: 256 MiB of address space are enough for any WAL of up to ten million frames.
//!
//! ```sh
//! WALSCOPE_MEMORY_FRAMES=10000000 cargo test --release --test hostile -- --nocapture memory
//! ```

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use walscope::format::checksum::checksum;
use walscope::format::wal::frame_checksum;

use crate::common::command::{EXE, run};
use crate::common::synthetic::Shm;
use walscope::number::{ByteOrder, Checksum};

/// Frames in a plain test run.
const FRAMES: u32 = 20_000;
const PAGE: usize = 512;
const SALTS: [u32; 2] = [7, 9];

fn frames() -> u32 {
    std::env::var("WALSCOPE_MEMORY_FRAMES").map_or(FRAMES, |frames| frames.parse().unwrap())
}

/// KiB of address space: 255 MiB for ten million frames; for fewer what the program itself takes, and 21 bytes a frame.
fn limit() -> u64 {
    (55 << 10) + u64::from(frames()) * 21 / 1024
}

/// What is hard for whoever keeps something for each frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Every frame another page, in one commit; all of them backfilled, so that each is looked up in the database.
    Wide,
    /// Every frame a commit that leaves a larger database, and page numbers all over 32 bits.
    Commits,
    /// One commit, and the rest with the right salts behind a break.
    Residue,
    /// One commit, and the rest of the generation before: every frame another page, and a commit that leaves a larger
    /// database. The database has none of them.
    Before,
}

/// Page, and pages of the database if it is a commit.
fn frame(shape: Shape, number: u32, last: u32) -> (u32, u32) {
    match shape {
        Shape::Wide => (last - number + 1, if number == last { last } else { 0 }),
        Shape::Commits => (number.wrapping_mul(429).max(1), number),
        Shape::Residue => (number, u32::from(number == 1) * last),
        Shape::Before => (last - number + 1, if number == 1 { last } else { last + number }),
    }
}

/// A database without content beside a WAL and a wal-index to the frame.
fn write(folder: &Path, shape: Shape, frames: u32) {
    let words = |[a, b]: [u32; 2]| (u64::from(a) << 32 | u64::from(b)).to_be_bytes();
    let mut head = [0; 32];
    head[..16].copy_from_slice(&[0x37, 0x7f, 6, 0x82, 0, 0x2d, 0xe2, 0x18, 0, 0, 2, 0, 0, 0, 0, 1]);
    head[16..24].copy_from_slice(&words(SALTS));
    let mut sums = checksum(ByteOrder::Little, Checksum::ZERO, &head[..24]);
    head[24..].copy_from_slice(&words(sums.0));
    let mut wal = BufWriter::with_capacity(1 << 20, File::create(folder.join("t.db-wal")).unwrap());
    wal.write_all(&head).unwrap();
    let mut bytes = [0; 24 + PAGE];
    let mut pages = Vec::new();
    let mut last = (0, [0; 2], 0);
    for number in 1..=frames {
        let (page, commit) = frame(shape, number, frames);
        bytes[..8].copy_from_slice(&words([page, commit]));
        let before = shape == Shape::Before && number > 1;
        bytes[8..16].copy_from_slice(&words([SALTS[0] - u32::from(before), SALTS[1]]));
        bytes[24] = u8::from(before);
        let broken = shape == Shape::Residue && number > 1;
        if !broken {
            sums = frame_checksum(ByteOrder::Little, sums, &bytes);
        }
        if !broken && !before {
            pages.push(page);
        }
        if commit > 0 && !broken && !before {
            last = (number, sums.0, commit);
        }
        bytes[16..24].copy_from_slice(&words(sums.0));
        wal.write_all(&bytes).unwrap();
    }
    wal.flush().unwrap();
    let (mx_frame, frame_checksum, database_pages) = last;
    let shm = Shm {
        page_size: PAGE as u32,
        mx_frame,
        database_pages,
        frame_checksum,
        salts: SALTS,
        backfilled: mx_frame,
        attempted: mx_frame,
        pages,
        ..Shm::default()
    };
    fs::write(folder.join("t.db-shm"), shm.bytes(cfg!(target_endian = "big"))).unwrap();
    let mut database = File::create(folder.join("t.db")).unwrap();
    let mut head = [0; 100];
    head[..24].copy_from_slice(b"SQLite format 3\0\x02\0\x02\x02\0\x40\x20\x20");
    database.write_all(&head).unwrap();
    database.seek(SeekFrom::Start(u64::from(frames) * PAGE as u64 - 1)).unwrap();
    database.write_all(&[0]).unwrap();
}

/// Runs a command with bounded address space (`ulimit -v`).
fn bounded(folder: &Path, args: &[&str], shape: Shape) {
    let mut command = Command::new("prlimit");
    command.arg(format!("--as={}", limit() << 10)).arg(EXE).args(args).current_dir(folder);
    let ran = run(&mut command);
    let what = format!("{shape:?} {args:?}");
    assert!([0, 1, 3].contains(&ran.code), "{what}: {} in {} KiB: {:.2000}", ran.code, limit(), ran.stderr);
    assert!(ran.stderr.is_empty(), "{what}: {:.2000}", ran.stderr);
}

fn every_command(shape: Shape) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, shape, frames());
    let page = frame(shape, 1, frames()).0.to_string();
    let commands = [
        ["inspect", "t.db"].as_slice(),
        &["inspect", "t.db", "--json"],
        &["verify", "t.db"],
        &["wal", "t.db"],
        &["wal", "t.db", "--transactions", "--jsonl"],
        &["wal", "t.db", "--page", &page],
        &["wal", "t.db", "--frame", "7..9", "--hex"],
        &["wal", "t.db-wal", "--jsonl"],
        &["wal", "t.db-wal", "--json"],
        &["shm", "t.db"],
        &["shm", "t.db", "--pages", "--hash", "--json"],
        &["snapshot", "t.db", "-o", "headers.walsnap", "--wal", "headers"],
        &["snapshot", "t.db", "-o", "full.walsnap", "--wal", "full", "--with-db"],
        &["rescue", "t.db", "-o", "rescued"],
        &["inspect", "headers.walsnap"],
        &["verify", "full.walsnap"],
        &["wal", "headers.walsnap", "--page", &page],
        &["shm", "full.walsnap"],
        &["compare", "headers.walsnap", "full.walsnap"],
        &["compare", "full.walsnap", "t.db"],
        &["explain"],
    ];
    for args in commands {
        bounded(at, args, shape);
    }
    let (count, frames, mib) = (commands.len(), frames(), limit() >> 10);
    eprintln!("{shape:?}: {count} commands over {frames} frames, each in {mib} MiB of address space");
}

#[test]
fn memory_is_enough_for_a_frame_of_every_page() {
    every_command(Shape::Wide);
}

#[test]
fn memory_is_enough_for_a_commit_in_every_frame() {
    every_command(Shape::Commits);
}

#[test]
fn memory_is_enough_for_frames_behind_a_break() {
    every_command(Shape::Residue);
}

#[test]
fn memory_is_enough_for_frames_of_the_generation_before() {
    every_command(Shape::Before);
}

/// The most address space that a command has had by its first line, in KiB.
fn peak(folder: &Path, threads: &str) -> u64 {
    let mut command = Command::new(EXE);
    command.args(["wal", "t.db", "--jsonl", "--threads", threads]).current_dir(folder).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The pipe holds less than all lines: behind the first the command waits with its threads until somebody reads on.
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    lines.read_line(&mut String::new()).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
    peak.trim_end_matches("kB").trim().parse().unwrap()
}

#[test]
fn memory_does_not_grow_with_the_threads() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Shape::Wide, frames());
    let (one, eight) = (peak(folder.path(), "1"), peak(folder.path(), "8"));
    // A stack of 2 MiB for each, buffers of 512 KiB, and room for what is handed on.
    assert!(eight < one + 8 * (4 << 10), "one thread: {one} KiB, eight: {eight} KiB");
}
