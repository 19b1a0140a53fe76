//! The page of `shm`: both header copies side by side, checkpoint info, locks, blocks; then the lists of its blocks, a
//! row at a time.

use super::inspect::InspectDocument;
use super::inspect_page::meaning;
use super::rows::{Cell, Rows, numbers, words};
use super::shm::{ReadMark, Shm};
use super::shm_blocks::{BlockRow, EntryRow, SlotRow};
use super::text::{self, DIM, RED, YELLOW, count, entry, many, styled};
use super::{line, table};
use crate::evidence::{LockSlot, LockState};
use crate::format::layout;
use crate::format::shm::{BLOCK_SIZE, HEADER_SIZE, IndexHead, IndexHeader, block_of};
use crate::number::FrameNumber;

/// Offset of the checkpoint info.
const CHECKPOINT_AT: usize = 2 * HEADER_SIZE;
/// The largest frame number that a wal-index can contain.
const FRAMES: u64 = u32::MAX as u64;

/// The part of the page above the blocks. `head` is what the document was made from; `None` when the file is too short
/// for it.
#[must_use]
pub fn head(
    whole: &InspectDocument,
    head: Option<&IndexHead>,
    noise_behind: Option<FrameNumber>,
    width: usize,
) -> String {
    let mut out = entry("-shm", &whole.shm_line(), width);
    if let (Some(head), Some(shm)) = (head, &whole.shm) {
        if let Some(words) = foreign(head) {
            out.push_str(&entry("Order", words, width));
        }
        out.push_str(&entry("Size", &size(whole, shm, noise_behind), width));
        out.push('\n');
        out.push_str(&headers(head, width));
        out.push('\n');
        out.push_str(&checkpoint(head, width));
        out.push('\n');
        out.push_str(&locks(whole, shm, width));
    }
    if !whole.findings.is_empty() {
        out.push('\n');
        out.push_str(&text::findings(&whole.findings, width));
    }
    out
}

/// A sentence about a wal-index that this machine cannot use.
fn foreign(head: &IndexHead) -> Option<&'static str> {
    use crate::number::ByteOrder::{Big, Little};
    if !head.byte_order_known {
        return Some(
            "neither header copy says version 3007000: the byte order is unknown, numbers are shown as little-endian",
        );
    }
    match (head.byte_order, cfg!(target_endian = "big")) {
        (Big, false) => {
            Some("written on a big-endian machine, this one is little-endian: SQLite here would recover it")
        }
        (Little, true) => {
            Some("written on a little-endian machine, this one is big-endian: SQLite here would recover it")
        }
        _ => None,
    }
}

/// A sentence that compares the file's size with the size that its frames need.
fn size(whole: &InspectDocument, shm: &Shm, noise_behind: Option<FrameNumber>) -> String {
    let bytes = whole.sizes.shm.unwrap_or(0);
    let mut out = format!("{} in {}", many(bytes, "byte"), many(shm.blocks, "block"));
    let rest = bytes % BLOCK_SIZE as u64;
    if rest > 0 {
        out.push_str(&format!(", the last one cut short at {} of {}", many(rest, "byte"), count(BLOCK_SIZE as u64)));
    }
    let Some(frames) = noise_behind else {
        return out + &styled(YELLOW, "; no header copy can be believed, so that no entry is known to count");
    };
    let needed = if frames == FrameNumber::NONE { 0 } else { u64::from(block_of(frames)) + 1 };
    if needed > shm.blocks {
        out.push_str(&styled(RED, &format!("; mxFrame {} needs {}", count(frames), many(needed, "block"))));
    } else if shm.blocks > needed.max(1) {
        let spare = many(shm.blocks - needed.max(1), "block");
        out.push_str(&format!("; {spare} more than mxFrame needs, which is normal: SQLite never shrinks it"));
    }
    out
}

fn headers(head: &IndexHead, width: usize) -> String {
    let row = |offset: String, field: &str, [a, b]: [String; 2], name: &str| {
        let differs = if a == b { "" } else { "differs" };
        vec![offset, field.to_owned(), a, b, differs.to_owned(), name.to_owned()]
    };
    let stored = layout::INDEX_HEADER.fields.iter().map(|field| {
        let values = head.headers.map(|header| header_field(&header, field.name));
        row(field.offset.to_string(), field.name, values, c_name(field.meaning))
    });
    let right = head.headers.map(|header| if header.checksum_ok { "right" } else { "wrong" }.to_owned());
    let rows: Vec<Vec<String>> = stored.chain([row(String::new(), "checksum is", right, "")]).collect();
    table::draw(&["offset", "field", "copy 0", "copy 1", "", "SQLite's name"], &rows, width)
}

/// The name in wal.c: the part of a meaning before the colon.
fn c_name(meaning: &str) -> &str {
    meaning.split(':').next().unwrap_or(meaning)
}

fn header_field(header: &IndexHeader, name: &str) -> String {
    match name {
        "version" => header.version.to_string(),
        "unused" => header.unused.to_string(),
        "change_counter" => count(header.change_counter),
        "initialized" => header.initialized.to_string(),
        "big_endian_checksums" => header.big_endian_checksums.to_string(),
        "page_size" => header.page_size.to_string(),
        "mx_frame" => count(header.mx_frame),
        "database_pages" => count(header.database_pages),
        "frame_checksum" => header.frame_checksum.to_string(),
        "salts" => header.salts.to_string(),
        "checksum" => header.checksum.to_string(),
        _ => String::new(),
    }
}

fn checkpoint(head: &IndexHead, width: usize) -> String {
    let rows: Vec<Vec<String>> = layout::CHECKPOINT_INFO
        .fields
        .iter()
        .map(|field| {
            let at = CHECKPOINT_AT + field.offset;
            vec![at.to_string(), field.name.to_owned(), checkpoint_field(head, field.name), field.meaning.to_owned()]
        })
        .collect();
    table::draw(&["offset", "field", "value", "meaning"], &rows, width)
}

fn checkpoint_field(head: &IndexHead, name: &str) -> String {
    let info = &head.checkpoint;
    match name {
        "backfilled" => count(info.backfilled),
        "read_marks" => info.read_marks.map(|mark| mark.map_or("unused".to_owned(), count)).join(", "),
        "lock_bytes" => info.lock_bytes.map(|byte| format!("{byte:02x}")).join(" "),
        "backfill_attempted" => count(info.backfill_attempted),
        "unused" => info.unused.to_string(),
        _ => String::new(),
    }
}

/// The lock bytes by name; locks of readers have their read marks.
fn locks(whole: &InspectDocument, shm: &Shm, width: usize) -> String {
    let unknown = shm.locks.iter().all(|lock| lock.lock == LockState::Unknown);
    let rows: Vec<Vec<String>> = shm
        .locks
        .iter()
        .map(|lock| {
            let mark = shm.checkpoint.read_marks.iter().find(|mark| lock.name.read_mark() == Some(mark.slot));
            let held = matches!(lock.lock, LockState::Shared | LockState::Exclusive);
            let frame = mark.and_then(|mark| mark.mark);
            vec![
                lock.name.bytes().start.to_string(),
                text::words(&lock.name),
                text::words(&lock.lock),
                mark.map_or_else(String::new, in_words),
                if held { text::holders_of(lock) } else { String::new() },
                match (unknown, frame) {
                    (true, Some(_)) if lock.name != LockSlot::Read0 => "a reader, or a leftover".to_owned(),
                    _ => meaning(lock, &shm.locks, frame).to_owned(),
                },
            ]
        })
        .collect();
    let drawn = table::draw(&["offset", "lock", "state", "mark", "held by", "meaning"], &rows, width);
    if !unknown {
        return drawn;
    }
    let reason = whole.reason("shm.locks").unwrap_or_else(|| "not seen".to_owned());
    entry("Locks", &format!("unknown: {reason}"), width) + &drawn
}

fn in_words(mark: &ReadMark) -> String {
    mark.mark.map_or_else(|| "unused".to_owned(), count)
}

/// The table of blocks.
#[derive(Debug)]
pub struct BlockTable(Rows);

impl BlockTable {
    /// Arranges the table for a width.
    #[must_use]
    pub fn new(blocks: u64, width: usize, colour: bool) -> Self {
        let last_frame = blocks.saturating_mul(4096).min(FRAMES);
        let columns = [
            numbers("block", blocks),
            numbers("first frame", last_frame),
            numbers("last frame", last_frame),
            numbers("indexed", 4096),
            numbers("slots", 8192),
            numbers("noise entries", 4096),
            numbers("noise slots", 8192),
            words("note", 20),
        ];
        Self(Rows::new(&columns, width, colour))
    }

    /// The column heads.
    #[must_use]
    pub fn head(&self) -> String {
        self.0.head()
    }

    /// Appends one block, and below it sentences about its faults; or one line for many empty blocks.
    pub fn row(&self, block: &BlockRow, width: usize, out: &mut String) {
        if let Some(after) = block.alike.checked_sub(1).filter(|after| *after > 0) {
            let last = u64::from(block.block).saturating_add(after);
            let words = format!("... blocks {} to {}: empty as well", count(block.block), count(last));
            out.push_str(&text::wrap(&words, width, "  ", "  "));
            return;
        }
        let faults = faults(block);
        let note = match (&block.error, faults.is_empty()) {
            (Some(_), _) => Cell::from("cut short").styled(RED),
            (None, true) => Cell::from(""),
            (None, false) => Cell::from("unsound").styled(RED),
        };
        let number = |n: usize| if block.error.is_some() { Cell::from("") } else { Cell::from(n) };
        let cells = [
            block.block.into(),
            block.first_frame.into(),
            block.last_frame.into(),
            number(block.indexed),
            number(block.live_slots),
            number(block.noise_entries),
            number(block.noise_slots + block.garbage_slots),
            note,
        ];
        self.0.row(&cells, out);
        for fault in block.error.iter().map(|error| line(error)).chain(faults) {
            out.push_str(&text::wrap(&fault, width, "    ", "    "));
        }
    }
}

/// A list of frames, and how many more there are.
fn listed(frames: &[u64], all: usize) -> String {
    let numbers: Vec<String> = frames.iter().map(|frame| count(*frame)).collect();
    match all - frames.len() {
        0 => numbers.join(", "),
        more => format!("{} and {} more", numbers.join(", "), count(more as u64)),
    }
}

/// Faults that would disturb SQLite, as sentences. Noise is not a fault.
fn faults(block: &BlockRow) -> Vec<String> {
    let mut out = Vec::new();
    if block.unreachable_frames > 0 {
        let frames = listed(&block.unreachable, block.unreachable_frames);
        out.push(format!("no search for its page comes across frame {frames}"));
    }
    if block.misordered_slots > 0 {
        let frames = listed(&block.misordered, block.misordered_slots);
        out.push(format!("a search comes across a newer frame of the page before frame {frames}, and takes the older"));
    }
    if block.duplicate_slots > 0 {
        out.push(format!("{} to an entry that another slot points to", points(block.duplicate_slots)));
    }
    // walFindFrame searches until it finds an empty slot, and fails with SQLITE_CORRUPT after one round.
    if block.indexed > 0 && block.empty_slots == 0 {
        out.push(
            "the hash table has no empty slot: SQLite calls that corrupt as soon as it searches this block".to_owned(),
        );
    }
    if block.zero_pages > 0 {
        out.push(format!(
            "page 0, which does not exist, stands in {} of the entries that count",
            count(block.zero_pages as u64)
        ));
    }
    out
}

fn points(slots: usize) -> String {
    if slots == 1 { "1 slot points".to_owned() } else { format!("{} slots point", count(slots as u64)) }
}

/// The tables that list the content of blocks.
#[derive(Debug)]
pub struct EntryTables {
    pages: Rows,
    slots: Rows,
}

impl EntryTables {
    /// Arranges the table for a width.
    #[must_use]
    pub fn new(blocks: u64, largest_frame: u64, width: usize, colour: bool) -> Self {
        let page = numbers("page", u32::MAX.into());
        let (block, frame) = (numbers("block", blocks), numbers("frame", largest_frame));
        let pages = [block, frame, page, words("note", 5)];
        let slots = [
            block,
            numbers("slot", 8191),
            numbers("position", 4096),
            frame,
            page,
            numbers("ideal slot", 8191),
            numbers("displaced", 8191),
            words("note", 12),
        ];
        Self { pages: Rows::new(&pages, width, colour), slots: Rows::new(&slots, width, colour) }
    }

    /// The column heads of the page-number array.
    #[must_use]
    pub fn pages_head(&self) -> String {
        self.pages.head()
    }

    /// Appends one entry of the page-number array.
    pub fn page(&self, block: u32, entry: &EntryRow, out: &mut String) {
        let note = Cell::from(if entry.noise { "noise" } else { "" }).styled(DIM);
        self.pages.row(&[block.into(), entry.frame.into(), entry.page.into(), note], out);
    }

    /// The column heads of the hash table.
    #[must_use]
    pub fn slots_head(&self) -> String {
        self.slots.head()
    }

    /// Appends one slot of the hash table.
    pub fn slot(&self, block: u32, slot: &SlotRow, out: &mut String) {
        let number = |n: Option<u64>| n.map_or_else(|| Cell::from("-"), Cell::from);
        // Nearly every slot has no note, and then no memory is allocated.
        let mut notes: Vec<&str> = Vec::new();
        if slot.kind != "live" {
            notes.push(slot.kind);
        }
        if slot.duplicate {
            notes.push("duplicate");
        }
        if slot.kind == "live" && slot.reachable == Some(false) {
            notes.push("unreachable");
        }
        let notes = notes.join(", ");
        let style = if slot.kind == "live" { RED } else { DIM };
        let cells = [
            block.into(),
            slot.slot.into(),
            slot.position.into(),
            number(slot.frame),
            number(slot.page.map(u64::from)),
            number(slot.ideal_slot.map(u64::from)),
            number(slot.displacement.map(u64::from)),
            Cell::from(notes.as_str()).styled(style),
        ];
        self.slots.row(&cells, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::shm::parse_head;

    #[test]
    fn every_field_of_the_head_is_shown() {
        let mut bytes = [0x5a; 136];
        bytes[..4].copy_from_slice(&3_007_000_u32.to_le_bytes());
        let head = parse_head(&bytes).unwrap();
        for field in layout::INDEX_HEADER.fields {
            assert!(!header_field(&head.headers[0], field.name).is_empty(), "{}", field.name);
        }
        for field in layout::CHECKPOINT_INFO.fields {
            assert!(!checkpoint_field(&head, field.name).is_empty(), "{}", field.name);
        }
    }

    #[test]
    fn fields_that_differ_are_marked() {
        let mut bytes = [0; 136];
        bytes[..4].copy_from_slice(&3_007_000_u32.to_le_bytes());
        bytes[48..52].copy_from_slice(&3_007_000_u32.to_le_bytes());
        bytes[16] = 9;
        let text = headers(&parse_head(&bytes).unwrap(), 120);
        let marked: Vec<&str> = text.lines().filter(|line| line.contains("differs")).collect();
        assert_eq!(marked.len(), 1, "{text}");
        assert!(marked[0].contains("mx_frame"), "{text}");
    }
}
