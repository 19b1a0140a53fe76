//! `walscope/shm/1`: a wal-index with what each of its blocks holds.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::finding::FindingDocument;
use super::inspect::{InspectDocument, Sizes, Source};
use super::shm::Shm;
use crate::format::shm::{HASH_SLOTS, IndexBlock};
use crate::number::FrameNumber;
use crate::shm::{BlockFacts, Slot, SlotKind, slots};

/// The schema's name and version.
pub const SCHEMA: &str = "walscope/shm/1";

/// The document. `B` is an array of [`BlockRow`], made while it is written.
#[derive(Debug, JsonSchema, Serialize)]
pub struct ShmDocument<'a, B> {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Where the facts come from.
    pub source: &'a Source,
    /// File sizes in bytes.
    pub sizes: &'a Sizes,
    /// The `-shm`. Null: it does not exist or is shorter than its head, as `reasons` says.
    pub shm: Option<&'a Shm>,
    /// The `mxFrame` that separates entries from noise. It is that of the header that a reader would use, otherwise
    /// that of the first copy with a right checksum. Null: there is no such header, and then every entry is noise.
    pub noise_behind: Option<u32>,
    /// Findings, the gravest first.
    pub findings: &'a [FindingDocument],
    /// Why a value is null or unknown, under the name of that value.
    pub reasons: BTreeMap<&'a str, &'a str>,
    /// The blocks that were asked for, in their order.
    pub blocks: B,
}

impl<'a, B> ShmDocument<'a, B> {
    /// Makes the document from the document of `inspect` and the blocks.
    #[must_use]
    pub fn new(whole: &'a InspectDocument, noise_behind: Option<FrameNumber>, blocks: B) -> Self {
        let reasons = whole.reasons.iter().map(|(name, why)| (name.as_str(), why.as_str()));
        Self {
            schema: SCHEMA,
            source: &whole.source,
            sizes: &whole.sizes,
            shm: whole.shm.as_ref(),
            noise_behind: noise_behind.map(FrameNumber::saturating_u32),
            findings: &whole.findings,
            // This document is not about the other files.
            reasons: reasons.filter(|(name, _)| name.starts_with("shm")).collect(),
            blocks,
        }
    }
}

/// One block of 32 KiB.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct BlockRow {
    /// Its number, counted from 0.
    pub block: u32,
    /// The first frame that has an entry in it.
    pub first_frame: u64,
    /// The last frame for which it has room.
    pub last_frame: u64,
    /// Why it is not described: the file ends within it.
    pub error: Option<String>,
    /// Number of entries of frames up to `mxFrame`. Only these count.
    pub indexed: usize,
    /// Number of entries after `mxFrame` that are not 0: noise.
    pub noise_entries: usize,
    /// Number of slots that point to an entry that counts.
    pub live_slots: usize,
    /// Number of slots that point to an entry after `mxFrame`: noise.
    pub noise_slots: usize,
    /// Number of slots that point beyond the last entry of the block: garbage.
    pub garbage_slots: usize,
    /// Number of empty slots. Without one, every search in this block fails.
    pub empty_slots: usize,
    /// Number of live slots that point to an entry to which another slot already points.
    pub duplicate_slots: usize,
    /// Number of live slots that a search meets after the slot of a newer frame of the same page.
    pub misordered_slots: usize,
    /// The first frames of such slots.
    pub misordered: Vec<u64>,
    /// Number of entries that count and name page 0.
    pub zero_pages: usize,
    /// Number of frames that count and that a search for their page does not meet.
    pub unreachable_frames: usize,
    /// The first frames that a search does not meet.
    pub unreachable: Vec<u64>,
    /// The page-number array, if it was asked for: the entries that count, and other entries that are not 0.
    pub pages: Option<Vec<EntryRow>>,
    /// The hash table, if it was asked for: the slots that are not empty.
    pub slots: Option<Vec<SlotRow>>,
    /// How many blocks this row stands for, from `block` on: 1, or the rest of a long run of blocks without any entry or slot.
    /// Then `last_frame` is that of the last of them. The first 64 of such a run have rows of their own.
    pub alike: u64,
}

impl BlockRow {
    /// Makes the row of a block. `noise_behind` is the last frame that counts. The lists are made if they are
    /// requested.
    #[must_use]
    pub fn new(block: &IndexBlock, noise_behind: FrameNumber, pages: bool, hash: bool) -> Self {
        let facts = BlockFacts::of(block, noise_behind);
        let entries = || entries(block, facts.indexed);
        let slots = || slots(block, facts.indexed).map(SlotRow::from).collect();
        Self {
            block: block.number,
            first_frame: block.first_frame.count(),
            last_frame: block.end_frame().count().saturating_sub(1),
            error: None,
            indexed: facts.indexed,
            noise_entries: facts.noise_entries,
            live_slots: facts.live_slots,
            noise_slots: facts.noise_slots,
            garbage_slots: facts.garbage_slots,
            empty_slots: HASH_SLOTS.saturating_sub(facts.live_slots + facts.noise_slots + facts.garbage_slots),
            duplicate_slots: facts.duplicate_slots,
            misordered_slots: facts.misordered_slots,
            misordered: facts.misordered.iter().map(|at| at.frame.count()).collect(),
            zero_pages: facts.zero_pages,
            unreachable_frames: facts.unreachable_frames,
            pages: pages.then(entries),
            slots: hash.then(slots),
            unreachable: facts.unreachable.into_iter().map(u64::from).collect(),
            alike: 1,
        }
    }

    /// Whether there is no entry and no slot in it, whether it counts or not.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.error.is_none() && self.indexed + self.noise_entries == 0 && self.empty_slots == HASH_SLOTS
    }

    /// Takes further blocks without any entry or slot into this row; `last_frame` is that of the last of them.
    pub fn add_empty(&mut self, blocks: u64, last_frame: u64) {
        self.alike = self.alike.saturating_add(blocks);
        self.last_frame = last_frame;
    }

    /// The row of a block that the end of the file cuts short.
    #[must_use]
    pub fn cut_short(number: u32, first: FrameNumber, last: FrameNumber, error: String) -> Self {
        Self {
            block: number,
            first_frame: first.count(),
            last_frame: last.count(),
            error: Some(error),
            alike: 1,
            ..Self::default()
        }
    }
}

fn entries(block: &IndexBlock, indexed: usize) -> Vec<EntryRow> {
    let all = (block.first_frame.count()..).zip(&block.page_numbers).enumerate();
    all.map(|(entry, (frame, page))| EntryRow { frame, page: page.0, noise: entry >= indexed })
        .filter(|entry| !entry.noise || entry.page != 0)
        .collect()
}

/// One entry of a page-number array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
pub struct EntryRow {
    /// The frame.
    pub frame: u64,
    /// The page that it holds.
    pub page: u32,
    /// Whether it comes after the last frame that counts.
    pub noise: bool,
}

/// One slot of a hash table that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
pub struct SlotRow {
    /// Its place in the table, counted from 0.
    pub slot: u16,
    /// What it holds: the position of an entry in this block, counted from 1.
    pub position: u16,
    /// `live`: an entry that counts. `noise`: an entry after the last frame that counts. `garbage`: no entry of the
    /// block.
    pub kind: &'static str,
    /// The entry's frame; null for garbage.
    pub frame: Option<u64>,
    /// The entry's page; null for garbage.
    pub page: Option<u32>,
    /// The slot at which a search for this page begins; null for garbage.
    pub ideal_slot: Option<u16>,
    /// Number of slots from there to this slot, round the end of the table; null for garbage.
    pub displacement: Option<u16>,
    /// Whether a search for the page meets this slot; null for garbage.
    pub reachable: Option<bool>,
    /// Whether an earlier slot points to the same entry.
    pub duplicate: bool,
}

impl From<Slot> for SlotRow {
    fn from(slot: Slot) -> Self {
        Self {
            slot: slot.slot,
            position: slot.position,
            kind: match slot.kind {
                SlotKind::Live => "live",
                SlotKind::Noise => "noise",
                SlotKind::Garbage => "garbage",
            },
            frame: slot.frame.map(u64::from),
            page: slot.page.map(u32::from),
            ideal_slot: slot.ideal,
            displacement: slot.displacement,
            reachable: slot.reach.reached(),
            duplicate: slot.duplicate,
        }
    }
}
