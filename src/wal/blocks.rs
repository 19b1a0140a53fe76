//! The frames after the WAL header, read and checked in blocks by several threads, and handed on in the order of the
//! file.
//!
//! The check of a frame starts from the checksum that is *stored* in the frame before it. So blocks do not wait for
//! each other, and a free thread takes the next block. Only the results are put back in order, by the calling thread.
//! While there is no result to hand on, that thread checks blocks too. Each thread keeps its own buffer, so that bytes
//! are checked while they are in the cache of its core. The number of blocks that wait for their turn is limited.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::bytes::ReadAt;
use crate::format::checksum::Kernel;
use crate::format::wal::{FrameHeader, frame_checksums_by};
use crate::number::{ByteOrder, Checksum, PageNumber, PageSize, Salts};

/// The bytes that are read at once, about; only whole frames are read.
const BLOCK_BYTES: usize = 512 * 1024;
/// Frames whose checksums are computed at once. Small frames stay in the fastest cache until their headers are
/// compared.
const FRAMES_AT_ONCE: usize = 16;
/// For each thread, the number of blocks that may be under way or wait for their turn.
const BLOCKS_A_THREAD: usize = 3;
/// A thread is not worth starting for fewer bytes than this.
const BYTES_A_THREAD: u64 = 1 << 20;
/// Where the stored checksum stands in a frame header.
const CHECKSUM_OFFSET: u64 = 16;

/// One frame's header, and whether its checksum follows from the one stored before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    pub(crate) header: FrameHeader,
    pub(crate) follows: bool,
}

/// Frames in the order of the file.
pub(crate) enum Run<'a> {
    /// Frames that were read. `bytes` is empty unless pages were asked for; it may be longer than the frames.
    Frames { links: &'a [Link], bytes: &'a [u8] },
    /// This many frames of zero bytes, which are in a hole of the file.
    Hole { frames: u64 },
}

/// What is read, and how.
pub(crate) struct Reading<'a> {
    pub(crate) wal: &'a dyn ReadAt,
    pub(crate) order: ByteOrder,
    pub(crate) kernel: Kernel,
    pub(crate) page_size: PageSize,
    /// Where the first wanted frame begins.
    pub(crate) from: u64,
    /// The checksum stored in the frame before it, or in the WAL header.
    pub(crate) seed: Checksum,
    /// Frames that begin here or later are not wanted. Some of them may be handed on all the same.
    pub(crate) until: u64,
    pub(crate) threads: usize,
    /// Whether the bytes of frames are handed on, not only their headers.
    pub(crate) pages: bool,
}

impl Reading<'_> {
    /// Hands every whole frame to `each`, in order, on this thread, until `each` returns an error. Returns where the
    /// bytes end, or where no more was wanted.
    pub(crate) fn run(self, each: &mut dyn FnMut(Run<'_>) -> io::Result<()>) -> io::Result<u64> {
        let len = self.wal.len().min(self.until);
        let worth = len.saturating_sub(self.from) / BYTES_A_THREAD;
        let threads = self.threads.min(usize::try_from(worth).unwrap_or(usize::MAX)).max(1);
        let blocks = if threads == 1 { 1 } else { threads.saturating_mul(BLOCKS_A_THREAD) };
        let shared =
            Shared { reading: &self, len, plan: Mutex::new(Plan::new(self.from, blocks)), changed: Condvar::new() };
        std::thread::scope(|scope| {
            // When this thread ends, for whatever reason, the others end too.
            let _stop = Stop { shared: &shared, always: true };
            for _ in 1..threads {
                // A thread that cannot be started is not needed: the others do its work.
                let _ = std::thread::Builder::new().spawn_scoped(scope, || shared.help());
            }
            shared.lead(each)
        })
    }
}

/// Frames that one thread has checked or will check.
#[derive(Default)]
struct Block {
    links: Vec<Link>,
    bytes: Vec<u8>,
    /// Where the bytes end, if they ended before the block did.
    end: Option<u64>,
}

/// What is known of one block.
enum Done {
    Block(Block),
    Hole { frames: u64 },
    Failed(io::Error),
}

/// The state of the work, shared by all threads under a lock.
struct Plan {
    /// Where the next block begins.
    at: u64,
    /// Its number.
    number: u64,
    /// The number of the block that is handed on next.
    turn: u64,
    /// Results that wait for their turn.
    done: BTreeMap<u64, Done>,
    /// A block is taken before its number is given, so that the thread whose turn it is always has a block.
    free: Vec<Block>,
    /// A block ended with zero bytes, so a hole may follow. To ask costs a system call; without this sign nobody asks.
    zeros: bool,
    stopped: bool,
}

impl Plan {
    fn new(at: u64, blocks: usize) -> Self {
        Self {
            at,
            number: 0,
            turn: 0,
            done: BTreeMap::new(),
            free: (0..blocks).map(|_| Block::default()).collect(),
            zeros: false,
            stopped: false,
        }
    }
}

/// What a thread does next.
enum Next {
    /// Check the block of this number, which begins at this offset.
    Check(Task),
    /// Hand this result on.
    HandOn(Done),
    /// Nothing is left.
    Nothing,
}

struct Task {
    number: u64,
    at: u64,
    block: Block,
}

struct Shared<'a> {
    reading: &'a Reading<'a>,
    len: u64,
    plan: Mutex<Plan>,
    changed: Condvar,
}

impl Shared<'_> {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work of the calling thread: it hands on the results whose turn it is, and otherwise checks blocks.
    fn lead(&self, each: &mut dyn FnMut(Run<'_>) -> io::Result<()>) -> io::Result<u64> {
        let mut worker = Worker::new(self.reading);
        loop {
            match self.next(true) {
                Next::Check(task) => self.put(worker.check(task)),
                Next::HandOn(Done::Failed(error)) => return Err(error),
                Next::HandOn(Done::Hole { frames }) => each(Run::Hole { frames })?,
                Next::HandOn(Done::Block(mut block)) => {
                    each(Run::Frames { links: &block.links, bytes: &block.bytes })?;
                    // A file that shrinks while it is read ends where a read returned fewer bytes than asked.
                    if let Some(end) = block.end.take() {
                        return Ok(end);
                    }
                    self.plan().free.push(block);
                    self.changed.notify_one();
                }
                Next::Nothing => return Ok(self.len.max(self.reading.from)),
            }
        }
    }

    /// The work of the other threads.
    fn help(&self) {
        let _stop = Stop { shared: self, always: false };
        let mut worker = Worker::new(self.reading);
        while let Next::Check(task) = self.next(false) {
            self.put(worker.check(task));
        }
    }

    /// Waits until there is something to do for this thread.
    fn next(&self, lead: bool) -> Next {
        let mut plan = self.plan();
        loop {
            let turn = plan.turn;
            if lead && let Some(done) = plan.done.remove(&turn) {
                plan.turn += 1;
                return Next::HandOn(done);
            }
            if plan.stopped || (plan.at >= self.len && (!lead || plan.turn == plan.number)) {
                return Next::Nothing;
            }
            if plan.at < self.len {
                if let Some(frames) = self.hole(&mut plan) {
                    self.take(&mut plan, frames);
                    let number = plan.number - 1;
                    plan.done.insert(number, Done::Hole { frames });
                    self.changed.notify_all();
                    continue;
                }
                if let Some(block) = plan.free.pop() {
                    let at = plan.at;
                    self.take(&mut plan, self.reading.frames_a_block() as u64);
                    return Next::Check(Task { number: plan.number - 1, at, block });
                }
            }
            plan = self.changed.wait(plan).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives the next number to this many frames.
    fn take(&self, plan: &mut Plan, frames: u64) {
        plan.at = plan.at.saturating_add(frames.saturating_mul(self.reading.page_size.frame_size()));
        plan.number += 1;
    }

    /// How many whole frames from this offset on are in a hole.
    fn hole(&self, plan: &mut Plan) -> Option<u64> {
        if !std::mem::take(&mut plan.zeros) {
            return None;
        }
        let data = self.reading.wal.next_data(plan.at).min(self.len);
        let frame_size = self.reading.page_size.frame_size();
        let frames = data.saturating_sub(plan.at) / frame_size;
        let last = plan.at + (frames * frame_size).checked_sub(1)?;
        // After the end of a file that shrank there is no data either, but that is not a hole.
        (self.reading.wal.read_at(&mut [0], last).ok() == Some(1)).then_some(frames)
    }

    fn put(&self, (number, done): (u64, Done)) {
        let mut plan = self.plan();
        if let Done::Block(Block { links, .. }) = &done {
            plan.zeros |= links.last().is_some_and(|link| is_zero(&link.header));
        }
        plan.done.insert(number, done);
        drop(plan);
        self.changed.notify_all();
    }
}

fn is_zero(header: &FrameHeader) -> bool {
    header.page == PageNumber::NONE && header.salts == Salts::ZERO && header.checksum == Checksum::ZERO
}

/// Ends the work when a thread ends: always, or only if it panicked, because its blocks will never be finished.
struct Stop<'a> {
    shared: &'a Shared<'a>,
    always: bool,
}

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        if self.always || std::thread::panicking() {
            self.shared.plan().stopped = true;
            self.shared.changed.notify_all();
        }
    }
}

/// One thread that reads.
struct Worker<'a> {
    reading: &'a Reading<'a>,
    buffer: Vec<u8>,
    /// Where the last block ended, and the checksum stored in its last frame.
    last: (u64, Checksum),
}

impl<'a> Worker<'a> {
    fn new(reading: &'a Reading<'a>) -> Self {
        Self { reading, buffer: Vec::new(), last: (reading.from, reading.seed) }
    }

    fn check(&mut self, mut task: Task) -> (u64, Done) {
        let at = task.at;
        let failed = |e: io::Error| io::Error::new(e.kind(), format!("frames at offset {at}: {e}"));
        let checked = self.read(at, &mut task.block).map_err(failed);
        (task.number, checked.map_or_else(Done::Failed, |()| Done::Block(task.block)))
    }

    /// Reads the block at an offset and checks each link.
    fn read(&mut self, at: u64, block: &mut Block) -> io::Result<()> {
        let reading = self.reading;
        let frame_size = reading.frame_size();
        self.buffer.resize(reading.frames_a_block() * frame_size, 0);
        let mut seed = self.seed(at)?;
        let got = reading.wal.read_at(&mut self.buffer, at)?;
        let end = at.saturating_add(got as u64);
        block.end = (got < self.buffer.len()).then_some(end);
        block.links.clear();
        let bytes = self.buffer.get(..got).unwrap_or_default();
        for frames in bytes.chunks(frame_size * FRAMES_AT_ONCE) {
            let mut sums = [Checksum::ZERO; FRAMES_AT_ONCE];
            frame_checksums_by(reading.kernel, reading.order, seed, frames, frame_size, &mut sums);
            for (frame, sum) in frames.chunks_exact(frame_size).zip(sums) {
                let Some(header) = frame.first_chunk().map(FrameHeader::of) else { break };
                seed = header.checksum;
                block.links.push(Link { header, follows: sum == seed });
            }
        }
        self.last = (end, seed);
        if reading.pages {
            std::mem::swap(&mut self.buffer, &mut block.bytes);
        }
        Ok(())
    }

    /// The checksum that the frame at an offset continues. It is already known if this thread read the frame before it.
    fn seed(&self, at: u64) -> io::Result<Checksum> {
        if self.last.0 == at {
            return Ok(self.last.1);
        }
        let mut stored = [0; 8];
        let before = at.saturating_sub(self.reading.page_size.frame_size());
        self.reading.wal.read_at(&mut stored, before.saturating_add(CHECKSUM_OFFSET))?;
        let [a, b, c, d, e, f, g, h] = stored;
        Ok(Checksum([u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]))
    }
}

impl Reading<'_> {
    fn frame_size(&self) -> usize {
        self.page_size.stride().to_usize()
    }

    fn frames_a_block(&self) -> usize {
        (BLOCK_BYTES / self.frame_size()).max(1)
    }
}
