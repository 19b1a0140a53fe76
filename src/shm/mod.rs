//! The wal-index as a whole: what each block holds up to `mxFrame`, the noise after it, and the lookup from page to
//! frame. The length of every search is limited.
//!
//! Blocks are read one at a time, because the wal-index of a long WAL can be larger than memory.
use std::io;

use thiserror::Error;

use crate::bytes::ReadAt;
use crate::format::ParseError;
use crate::format::shm::{
    BLOCK_SIZE, HASH_SLOTS, HEAD_SIZE, IndexBlock, IndexHead, block_of, hash, parse_block, parse_head,
};
use crate::number::{FrameNumber, FrameOfPage, PageNumber};

/// Why a part of the wal-index could not be read.
#[derive(Debug, Error)]
pub enum IndexError {
    /// Reading failed.
    #[error("wal-index: {0}")]
    Io(#[from] io::Error),
    /// The file ends too soon.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// The result of a search in one hash table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// The newest frame of the page.
    Found(FrameNumber),
    /// There is no frame of the page.
    Absent,
    /// The search met no empty slot. SQLite reports `SQLITE_CORRUPT` for this.
    NoEmptySlot,
}

/// Facts about one block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockFacts {
    /// The number of the block, counted from 0.
    pub number: u32,
    /// The frame of the first entry.
    pub first_frame: FrameNumber,
    /// Number of entries of frames up to `mxFrame`. Only these count.
    pub indexed: usize,
    /// Number of entries after `mxFrame` that are not 0: noise.
    pub noise_entries: usize,
    /// Number of slots that point to an entry that counts.
    pub live_slots: usize,
    /// Number of slots that point to an entry after `mxFrame`: noise.
    pub noise_slots: usize,
    /// Number of slots that point beyond the last entry of the block: garbage, such as uninitialised memory.
    pub garbage_slots: usize,
    /// Number of live slots that point to an entry to which another slot already points.
    pub duplicate_slots: usize,
    /// Number of live slots that a search meets after the slot of a newer frame of the same page. The search takes the
    /// older frame.
    pub misordered_slots: usize,
    /// The first of these frames, in the order of pages; at most [`FRAMES_LISTED`].
    pub misordered: Vec<FrameOfPage>,
    /// Number of entries that count and name page 0, which no frame can have.
    pub zero_pages: usize,
    /// No slot is empty. Then SQLite ends every search in this block with `SQLITE_CORRUPT`. If no entry counts, nobody
    /// searches the block, and its content is memory that was never set.
    pub full: bool,
    /// Frames that count and that a search for their page does not meet. All of them are in a full block. The first
    /// ones, at most [`FRAMES_LISTED`].
    pub unreachable: Vec<FrameNumber>,
    /// Number of all these frames.
    pub unreachable_frames: usize,
}

/// The number of frames of one block that are listed one by one.
pub const FRAMES_LISTED: usize = 16;

impl BlockFacts {
    /// Examines one block. `mx_frame` is the last frame that counts; everything after it is noise.
    #[must_use]
    pub fn of(block: &IndexBlock, mx_frame: FrameNumber) -> Self {
        let indexed = indexed_entries(block, mx_frame);
        let mut facts = Self { number: block.number, first_frame: block.first_frame, indexed, ..Self::default() };
        let (live, noise) = block.page_numbers.split_at_checked(indexed).unwrap_or_default();
        facts.noise_entries = noise.iter().filter(|page| **page != PageNumber::NONE).count();
        facts.zero_pages = live.iter().filter(|page| **page == PageNumber::NONE).count();
        facts.full = !block.hash_slots.contains(&0);
        let reached = facts.count_slots(block, indexed);
        for (frame, _) in
            (block.first_frame.0..).map(FrameNumber).zip(reached).filter(|(_, reached)| facts.full || !reached)
        {
            facts.unreachable_frames += 1;
            if facts.unreachable.len() < FRAMES_LISTED {
                facts.unreachable.push(frame);
            }
        }
        facts
    }

    /// Counts what the slots point to. Finds for each entry that counts whether a search for its page reaches it.
    fn count_slots(&mut self, block: &IndexBlock, indexed: usize) -> Vec<bool> {
        let mut reached = vec![false; indexed];
        // For each slot at which a search begins: the last position that such a search meets.
        let mut last = vec![0_u16; HASH_SLOTS];
        // Where no slot is empty, a search may begin after the first slot of the table and continue before it.
        let mut rising = !self.full;
        slots_in_search_order(block, indexed).for_each(|slot| match slot.kind {
            SlotKind::Live => {
                self.live_slots += 1;
                self.duplicate_slots += usize::from(slot.duplicate);
                if slot.reach == Reach::Reached {
                    if let Some(reached) = reached.get_mut(usize::from(slot.position) - 1) {
                        *reached = true;
                    }
                    if let Some(last) = slot.ideal.and_then(|ideal| last.get_mut(usize::from(ideal))) {
                        rising &= *last <= slot.position;
                        *last = slot.position;
                    }
                }
            }
            SlotKind::Noise => self.noise_slots += 1,
            SlotKind::Garbage => self.garbage_slots += 1,
        });
        if !rising {
            self.find_misordered(block, indexed);
        }
        reached
    }

    /// Finds the pages for which a search takes an older frame.
    ///
    /// folklore: walFindFrame does not look for the highest frame; it takes the last one that it meets. That is the
    /// newest one, because walIndexAppend puts each new frame of a page into the first empty slot, after all the
    /// others. So all frames whose search begins at one slot are in ascending order, whatever their pages. Where they
    /// are, there is nothing to report. Held by `sqlite_reads_the_older_of_two_slots_that_changed_places`.
    fn find_misordered(&mut self, block: &IndexBlock, indexed: usize) {
        let live = slots(block, indexed).filter(|slot| slot.kind == SlotKind::Live && slot.reach == Reach::Reached);
        let met = live.filter_map(|slot| Some((slot.page?, slot.displacement?, slot.position)));
        let mut met: Vec<(PageNumber, u16, u16)> = met.collect();
        met.sort_unstable();
        for ((page, _, before), (same, _, position)) in met.iter().zip(met.iter().skip(1)) {
            if page == same && position < before {
                self.misordered_slots += 1;
                if self.misordered.len() < FRAMES_LISTED {
                    self.misordered.push(FrameOfPage { page: *page, frame: block.frame_at(*position) });
                }
            }
        }
    }

    /// Whether the part that counts is as SQLite keeps it. Noise is no fault.
    #[must_use]
    pub fn sound(&self) -> bool {
        self.unreachable_frames == 0 && self.duplicate_slots == 0 && self.misordered_slots == 0 && self.zero_pages == 0
    }
}

/// How many entries of a block, from its first on, belong to frames up to `mx_frame`.
#[must_use]
pub fn indexed_entries(block: &IndexBlock, mx_frame: FrameNumber) -> usize {
    let behind = mx_frame.next().frames_after(block.first_frame);
    usize::try_from(behind).unwrap_or(usize::MAX).min(block.page_numbers.len())
}

/// What a slot points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SlotKind {
    /// An entry of a frame up to `mxFrame`.
    Live,
    /// An entry of a frame after `mxFrame`.
    Noise,
    /// A position after the block's last entry, where there is nothing.
    Garbage,
}

/// Whether a search for a page comes across the slot of one of its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reach {
    /// It does: no empty slot stands between.
    Reached,
    /// An empty slot stands between and ends the search.
    CutOff,
    /// The slot is garbage: it has no page that could be searched.
    NoPage,
}

impl Reach {
    /// Whether a search comes across it; `None` for garbage.
    #[must_use]
    pub fn reached(self) -> Option<bool> {
        match self {
            Self::Reached => Some(true),
            Self::CutOff => Some(false),
            Self::NoPage => None,
        }
    }
}

/// One slot that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slot {
    /// Its place in the table, from 0.
    pub slot: u16,
    /// What it holds: the position of an entry in this block, counted from 1.
    pub position: u16,
    /// What this position means.
    pub kind: SlotKind,
    /// The entry's frame; `None` for garbage.
    pub frame: Option<FrameNumber>,
    /// The entry's page; `None` for garbage.
    pub page: Option<PageNumber>,
    /// The slot at which a search for that page begins; `None` for garbage.
    pub ideal: Option<u16>,
    /// The number of slots from there to this slot, round the end of the table; `None` for garbage.
    pub displacement: Option<u16>,
    /// Whether a search for the page meets this slot.
    pub reach: Reach,
    /// Whether an earlier slot points to the same entry.
    pub duplicate: bool,
}

/// Every slot of a block that is not empty, in the order of the table. The first `indexed` entries count.
///
/// Each slot is looked at twice at most, whatever it holds. To search for every page would take hours in a hostile
/// file.
pub fn slots(block: &IndexBlock, indexed: usize) -> impl Iterator<Item = Slot> {
    // A run of slots without an empty one at the end of the table continues at the beginning of the table.
    let before = block.hash_slots.iter().rev().take_while(|slot| **slot != 0).count();
    slots_from(block, indexed, 0, before)
}

/// Every slot of a block that is not empty, starting after an empty slot and going round the end of the table, so that
/// no search continues at an earlier slot. Where no slot is empty, the slots are in the order of the table.
fn slots_in_search_order(block: &IndexBlock, indexed: usize) -> impl Iterator<Item = Slot> {
    match block.hash_slots.iter().position(|slot| *slot == 0) {
        Some(empty) => slots_from(block, indexed, empty, 0),
        None => slots_from(block, indexed, 0, HASH_SLOTS),
    }
}

/// Slots from one slot on, round the end of the table. `unbroken` of the slots before it follow each other without an
/// empty one.
fn slots_from(block: &IndexBlock, indexed: usize, from: usize, unbroken: usize) -> impl Iterator<Item = Slot> {
    let mut pointed_at = vec![false; block.page_numbers.len()];
    let mut unbroken = unbroken;
    let (front, back) = block.hash_slots.split_at_checked(from).unwrap_or_default();
    let numbered = (from as u16..).zip(back).chain((0..).zip(front));
    numbered.filter_map(move |(at, position)| {
        unbroken = if *position == 0 { 0 } else { (unbroken + 1).min(HASH_SLOTS) };
        let entry = usize::from(*position).checked_sub(1)?;
        let page = block.page_numbers.get(entry).copied();
        let ideal = page.and_then(|page| u16::try_from(hash(page)).ok());
        let displacement = ideal.map(|ideal| at.wrapping_sub(ideal) & (HASH_SLOTS as u16 - 1));
        let kind = match page {
            None => SlotKind::Garbage,
            Some(_) if entry < indexed => SlotKind::Live,
            Some(_) => SlotKind::Noise,
        };
        Some(Slot {
            slot: at,
            position: *position,
            kind,
            frame: page.map(|_| block.frame_at(*position)),
            page,
            ideal,
            displacement,
            reach: match displacement {
                Some(steps) if usize::from(steps) < unbroken => Reach::Reached,
                Some(_) => Reach::CutOff,
                None => Reach::NoPage,
            },
            duplicate: pointed_at.get_mut(entry).is_some_and(|seen| std::mem::replace(seen, true)),
        })
    })
}

/// The slots that a search for `page` visits: from the slot of its hash up to an empty one, at most once round the
/// table.
fn probe(block: &IndexBlock, page: PageNumber) -> impl Iterator<Item = u16> {
    let start = hash(page);
    let slots = &block.hash_slots;
    (0..HASH_SLOTS)
        .map_while(move |step| slots.get((start + step) & (HASH_SLOTS - 1)).copied().filter(|slot| *slot != 0))
}

/// Searches one block as `walFindFrame` does. Of the frames of `page` up to `max_frame`, it returns the one that the
/// search meets last, which is the newest.
#[must_use]
#[doc(alias = "walFindFrame")]
pub fn find_in_block(block: &IndexBlock, page: PageNumber, max_frame: FrameNumber) -> Lookup {
    let mut found = Lookup::Absent;
    let mut steps = 0;
    for position in probe(block, page) {
        steps += 1;
        let frame = block.frame_at(position);
        let entry = block.page_numbers.get(usize::from(position) - 1);
        if frame <= max_frame && entry == Some(&page) {
            found = Lookup::Found(frame);
        }
    }
    if steps == HASH_SLOTS { Lookup::NoEmptySlot } else { found }
}

/// A wal-index that is read block by block.
pub struct WalIndex<'a> {
    bytes: &'a dyn ReadAt,
    /// The head, as stored.
    pub head: IndexHead,
}

/// The `mxFrame` that separates entries from noise. It is that of the header that a reader would use; if the copies
/// differ, that of the first copy with a right checksum. `None`: neither copy is right, so no entry is known to count.
#[must_use]
pub fn frames_that_count(head: &IndexHead) -> Option<FrameNumber> {
    let intact = head.headers.iter().find(|header| header.checksum_ok && header.initialized != 0);
    intact.map(|header| header.mx_frame)
}

impl<'a> WalIndex<'a> {
    /// Reads the head.
    ///
    /// # Errors
    /// Reading failed, or there are fewer than 136 bytes. A connection that opens the database leaves a `-shm` of 3
    /// bytes for a moment.
    pub fn open(bytes: &'a dyn ReadAt) -> Result<Self, IndexError> {
        let mut head = [0; HEAD_SIZE];
        let got = bytes.read_at(&mut head, 0)?;
        let head = parse_head(head.get(..got).unwrap_or_default())?;
        Ok(Self { bytes, head })
    }

    /// A wal-index with a head that was read before, so that the blocks and the head belong to one look.
    #[must_use]
    pub fn with_head(bytes: &'a dyn ReadAt, head: IndexHead) -> Self {
        Self { bytes, head }
    }

    /// Number of blocks in the file; the last one may be cut short. More blocks than `mxFrame` needs are normal: SQLite
    /// never shrinks the file.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.bytes.len().div_ceil(BLOCK_SIZE as u64)
    }

    /// How many whole blocks, from this one on, are in a hole of a sparse file: all their bytes are zero.
    #[must_use]
    pub fn blocks_in_hole(&self, number: u32) -> u64 {
        let at = u64::from(number).saturating_mul(BLOCK_SIZE as u64);
        let blocks = self.bytes.next_data(at).min(self.bytes.len()).saturating_sub(at) / BLOCK_SIZE as u64;
        let last = at.saturating_add(blocks.saturating_mul(BLOCK_SIZE as u64)).saturating_sub(1);
        // After the end of a file that shrank there is no data either, but that is not a hole.
        if blocks > 0 && self.bytes.read_at(&mut [0], last).ok() == Some(1) { blocks } else { 0 }
    }

    /// Reads one block.
    ///
    /// # Errors
    /// When reading fails or the file ends before the block does.
    pub fn block(&self, number: u32) -> Result<IndexBlock, IndexError> {
        let mut bytes = vec![0; BLOCK_SIZE];
        let got = self.bytes.read_at(&mut bytes, u64::from(number).saturating_mul(BLOCK_SIZE as u64))?;
        Ok(parse_block(bytes.get(..got).unwrap_or_default(), number, self.head.byte_order)?)
    }

    /// The newest frame of `page` among frames 1 to `max_frame`. It searches as SQLite does, the newest block first.
    ///
    /// `max_frame` may be any number. Blocks after the end of the file are not searched.
    ///
    /// # Errors
    /// A block that has to be searched cannot be read or is cut short.
    pub fn frame_of_page(&self, page: PageNumber, max_frame: FrameNumber) -> Result<Lookup, IndexError> {
        let Some(last_block) = self.blocks().checked_sub(1) else { return Ok(Lookup::Absent) };
        let last = block_of(max_frame).min(u32::try_from(last_block).unwrap_or(u32::MAX));
        for number in (0..=last).rev() {
            match find_in_block(&self.block(number)?, page, max_frame) {
                Lookup::Absent => {}
                answer => return Ok(answer),
            }
        }
        Ok(Lookup::Absent)
    }

    /// The page of a frame; `None` if no block of the file has an entry for the frame.
    ///
    /// # Errors
    /// The block cannot be read or is cut short.
    pub fn page_of_frame(&self, frame: FrameNumber) -> Result<Option<PageNumber>, IndexError> {
        let number = block_of(frame);
        if u64::from(number) >= self.blocks() {
            return Ok(None);
        }
        Ok(self.block(number)?.page_of(frame))
    }
}
