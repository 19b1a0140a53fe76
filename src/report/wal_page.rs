//! The page of `wal`: the bar, a sentence, the header, the generations; then its tables, a row at a time.

use super::inspect::InspectDocument;
use super::picture::Class;
use super::rows::{Cell, Column, Rows, numbers, offsets, one_line_width, words};
use super::text::{self, BOLD, DIM, RED, YELLOW, count, entry, many, styled};
use super::wal::{Header, Role, Wal};
use super::wal_frames::{FrameRow, TransactionRow};
use super::{hex, table};
use crate::format::layout;
use crate::format::wal::FRAME_HEADER_SIZE;
use crate::wal::frames::{Content, Start, Visited};
use crate::wal::{EndReason, FrameClass};

/// The part of the page above the tables.
#[must_use]
pub fn head(whole: &InspectDocument, width: usize) -> String {
    let mut out = whole.bar(width).trim_start_matches('\n').to_owned();
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&entry("-wal", &whole.wal_line(), width));
    let Some(wal) = &whole.wal else { return out };
    if let Some(words) = end(wal) {
        out.push_str(&entry("Chain", &words, width));
    }
    if let Some(header) = &wal.header {
        out.push_str(&entry("Header", &header_in_words(header), width));
    }
    if wal.generations.len() > 1 || wal.unlisted_generation_frames > 0 {
        out.push('\n');
        out.push_str(&generations(wal, width));
    }
    if !whole.findings.is_empty() {
        out.push('\n');
        out.push_str(&text::findings(&whole.findings, width));
    }
    out
}

fn hexadecimal(number: u32) -> String {
    format!("{number:08x}")
}

pub(super) fn header_in_words(header: &Header) -> String {
    let order = match header.checksum_byte_order {
        Some(order) => format!("checksums over {order}-endian words"),
        None => "no magic of a WAL".to_owned(),
    };
    format!(
        "magic {:#010x} ({order}), version {}, {} bytes a page, checkpoint sequence {}, salts {} {}, checksum {} {}, {}",
        header.magic,
        header.format_version,
        header.page_size,
        header.checkpoint_sequence,
        hexadecimal(header.salt1),
        hexadecimal(header.salt2),
        hexadecimal(header.checksum1),
        hexadecimal(header.checksum2),
        if header.checksum_ok { "right" } else { "wrong" },
    )
}

/// A sentence about where the valid chain ends and why; empty when there is no file.
fn end(wal: &Wal) -> Option<String> {
    let frame = count(wal.end.frame);
    Some(match wal.end.reason {
        EndReason::NoFile | EndReason::EmptyFile => return None,
        EndReason::EndOfFile if wal.frames.in_file == 0 => "the file ends before the first frame".to_owned(),
        EndReason::EndOfFile => format!("valid to the end of the file, frame {}", count(wal.frames.valid)),
        EndReason::TornFrame => {
            format!(
                "ends before frame {frame}: the end of the file cuts it short, {} are there",
                many(wal.frames.torn_bytes, "byte")
            )
        }
        EndReason::SaltMismatch => format!("ends before frame {frame}: its salts are not the header's"),
        EndReason::ChecksumMismatch => {
            format!("ends before frame {frame}: its checksum does not follow from the one before")
        }
        EndReason::PageZero => format!("ends before frame {frame}: it says page 0, which does not exist"),
        EndReason::ShortHeader => "none: the file is shorter than a WAL header, 32 bytes".to_owned(),
        EndReason::BadMagic => "none: the header's magic is not that of a WAL".to_owned(),
        EndReason::BadPageSize => "none: the header's page size is no power of two from 512 to 65536".to_owned(),
        EndReason::BadHeaderChecksum => "none: the header's checksum is wrong".to_owned(),
        EndReason::UnsupportedVersion => "none: the header says another version than 3007000".to_owned(),
    })
}

fn generations(wal: &Wal, width: usize) -> String {
    let rows: Vec<Vec<String>> = wal
        .generations
        .iter()
        .map(|generation| {
            let (role, meaning) = match generation.role {
                Role::Current => ("current", "the header's salts"),
                Role::Older => ("older", "from before a restart; verify compares its pages"),
            };
            vec![
                format!("{} {}", hexadecimal(generation.salt1), hexadecimal(generation.salt2)),
                count(generation.frames),
                role.to_owned(),
                meaning.to_owned(),
            ]
        })
        .collect();
    let mut out = table::draw(&["salts", "frames", "generation", "meaning"], &rows, width);
    if wal.unlisted_generation_frames > 0 {
        let more = many(wal.unlisted_generation_frames, "frame");
        out.push_str(&text::wrap(&format!("{more} of further generations"), width, "", ""));
    }
    out
}

/// Which columns of frames are shown: each frame stands on one line if it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    All,
    /// Without the salts, which are those of the table of generations.
    NoSalts,
    /// Also without the checksum.
    NoNumbers,
}

/// The table of frames.
#[derive(Debug)]
pub struct FrameTable {
    rows: Rows,
    shown: Shown,
    width: usize,
    /// The width at which every column is shown. It depends on the numbers that occur.
    needed: usize,
    backfilled: u64,
    database_pages: u32,
}

impl FrameTable {
    /// Arranges the table for the numbers that occur. `start` comes from the same first pass as `whole`.
    #[must_use]
    pub fn new(whole: &InspectDocument, start: &Start, width: usize, colour: bool) -> Self {
        let wal = whole.wal.as_ref();
        let largest_offset = whole.sizes.wal.unwrap_or(u64::MAX);
        let columns = [
            numbers("frame", wal.map_or(0, |wal| wal.frames.in_file)),
            offsets("offset", largest_offset),
            numbers("page", start.largest_page.into()),
            numbers("commit", start.largest_commit_pages.into()),
            words("class", "uncommitted".len()),
            numbers("tx", start.transactions),
            words("salts", 17),
            words("checksum", 17),
            words("ok", 3),
            words("note", "superseded".len()),
        ];
        let [frame, offset, page, commit, class, tx, salts, checksum, ok, note] = columns;
        let all = vec![frame, offset, page, commit, class, tx, salts, checksum, ok, note];
        let no_salts = vec![frame, offset, page, commit, class, tx, checksum, ok, note];
        let no_numbers = vec![frame, offset, page, commit, class, tx, ok, note];
        let choices = [(Shown::All, all), (Shown::NoSalts, no_salts), (Shown::NoNumbers, no_numbers)];
        let fits = |(shown, columns): (Shown, Vec<Column>)| {
            Some((shown, Rows::new(&columns, width, colour))).filter(|(_, rows)| rows.is_one_line())
        };
        let fitting = choices.into_iter().find_map(fits);
        let (shown, rows) = fitting.unwrap_or_else(|| (Shown::All, Rows::new(&columns, width, colour)));
        Self {
            rows,
            shown,
            width,
            needed: one_line_width(&columns),
            backfilled: whole.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.backfilled),
            database_pages: wal.and_then(|wal| wal.database_pages).unwrap_or(u32::MAX),
        }
    }

    /// The column heads.
    #[must_use]
    pub fn head(&self) -> String {
        self.rows.head()
    }

    /// Appends one frame, or one line for many that are alike.
    pub fn row(&self, frame: &FrameRow, out: &mut String) {
        if let Some(words) = rest_of_run(frame) {
            out.push_str(&text::wrap(&words, self.width, "  ", "  "));
            return;
        }
        let ok = match frame.checksum_ok {
            Some(true) => Cell::from("yes"),
            // It was written behind another frame than the one that stands there now.
            Some(false) if frame.first_of_its_salts => Cell::from("-").styled(DIM),
            Some(false) => Cell::from("no").styled(RED),
            None => Cell::from("?"),
        };
        let (number, offset) = (frame.frame.into(), Cell::offset(frame.offset));
        let commit = if frame.commit_pages == 0 { "-".into() } else { frame.commit_pages.into() };
        let class = Cell::from(class(frame.class)).styled(self.look(frame).style());
        let transaction = frame.transaction.map_or_else(|| "-".into(), Cell::from);
        let (salts, checksum) =
            (Cell::pair([frame.salt1, frame.salt2]), Cell::pair([frame.checksum1, frame.checksum2]));
        let (page, note) = (frame.page.into(), Cell::from(self.note(frame)).styled(DIM));
        match self.shown {
            Shown::All => {
                self.rows.row(&[number, offset, page, commit, class, transaction, salts, checksum, ok, note], out);
            }
            Shown::NoSalts => {
                self.rows.row(&[number, offset, page, commit, class, transaction, checksum, ok, note], out);
            }
            Shown::NoNumbers => self.rows.row(&[number, offset, page, commit, class, transaction, ok, note], out),
        }
    }

    /// Which columns are not shown for want of room, and how to see them.
    #[must_use]
    pub fn left_out(&self) -> Option<String> {
        let what = match self.shown {
            Shown::All => return None,
            Shown::NoSalts => "the salts",
            Shown::NoNumbers => "the salts and the checksum",
        };
        Some(format!("Not shown at this width: {what} (--width {}, or --json).", self.needed))
    }

    fn look(&self, frame: &FrameRow) -> Class {
        match frame.class {
            FrameClass::Committed if frame.frame <= self.backfilled => Class::Backfilled,
            FrameClass::Committed => Class::Pending,
            FrameClass::Uncommitted => Class::Uncommitted,
            FrameClass::Residue => Class::Residue,
            FrameClass::Stale => Class::Stale,
            FrameClass::Unwritten => Class::Unwritten,
            FrameClass::Unrelated => Class::Unrelated,
        }
    }

    fn note(&self, frame: &FrameRow) -> &'static str {
        match frame.superseded {
            Some(true) => "superseded",
            // A VACUUM made the database shorter: such a frame is never copied.
            Some(false) if frame.page > self.database_pages => "cut off",
            _ => "",
        }
    }
}

/// A line for many frames that are alike; `None` for one frame.
fn rest_of_run(frame: &FrameRow) -> Option<String> {
    let after = frame.alike.checked_sub(1).filter(|after| *after > 0)?;
    let last = frame.frame.saturating_add(after);
    Some(format!("... frames {} to {}: of zero bytes as well", count(frame.frame), count(last)))
}

/// The class in words.
fn class(class: FrameClass) -> &'static str {
    match class {
        FrameClass::Committed => "committed",
        FrameClass::Uncommitted => "uncommitted",
        FrameClass::Residue => "residue",
        FrameClass::Stale => "stale",
        FrameClass::Unwritten => "unwritten",
        FrameClass::Unrelated => "unrelated",
    }
}

/// The table of transactions.
#[derive(Debug)]
pub struct TransactionTable {
    rows: Rows,
}

impl TransactionTable {
    /// Arranges the table for the numbers that occur.
    #[must_use]
    pub fn new(whole: &InspectDocument, start: &Start, width: usize, colour: bool) -> Self {
        let wal = whole.wal.as_ref();
        let frames = wal.map_or(0, |wal| wal.frames.committed);
        let commits = wal.map_or(0, |wal| wal.commits);
        let columns = [
            numbers("tx", start.transactions),
            numbers("first", frames),
            numbers("last", frames),
            numbers("commits", commits),
            numbers("database", start.largest_commit_pages.into()),
            words("pages", 8),
        ];
        Self { rows: Rows::new(&columns, width, colour) }
    }

    /// The column heads.
    #[must_use]
    pub fn head(&self) -> String {
        self.rows.head()
    }

    /// Appends one transaction; its list of pages is shortened to the width.
    pub fn row(&self, transaction: &TransactionRow, out: &mut String) {
        let pages = page_list(&transaction.pages, transaction.pages_left_out, self.rows.room_of_last());
        let cells = [
            transaction.transaction.into(),
            transaction.first_frame.into(),
            transaction.last_frame.into(),
            transaction.commit_points.into(),
            transaction.database_pages.into(),
            pages.as_str().into(),
        ];
        self.rows.row(&cells, out);
    }
}

/// `1, 3-5, 9 … 12 more`: consecutive pages as ranges, and the number of pages that did not fit.
fn page_list(pages: &[u32], left_out: u64, room: usize) -> String {
    let mut out = String::new();
    let mut shown = 0;
    for run in pages.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let item = if run.len() > 1 { format!("{}-{}", count(*first), count(*last)) } else { count(*first) };
        let longer = if out.is_empty() { item } else { format!("{out}, {item}") };
        let rest = (pages.len() - shown - run.len()) as u64 + left_out;
        let needed = longer.len() + if rest > 0 { more(rest).len() } else { 0 };
        if needed > room {
            break;
        }
        shown += run.len();
        out = longer;
    }
    let rest = (pages.len() - shown) as u64 + left_out;
    if rest > 0 { format!("{out}{}", more(rest)).trim_start().to_owned() } else { out }
}

fn more(frames: u64) -> String {
    format!(" + {} more", count(frames))
}

/// Sentences below a table; empty when there is nothing to say.
#[must_use]
pub fn foot(whole: &InspectDocument, start: &Start, transactions: bool, changed: bool, width: usize) -> String {
    let mut out = String::new();
    let mut say = |words: &str| out.push_str(&text::wrap(words, width, "", ""));
    let torn = whole.wal.as_ref().map_or(0, |wal| wal.frames.torn_bytes);
    if torn > 0 && !transactions {
        say(&format!("{} of a torn frame follow at the end of the file.", many(torn, "byte")));
    }
    if let Some(wal) = &whole.wal
        && transactions
        && wal.commits > start.transactions
    {
        say(&format!(
            "The WAL has {} in {}: a commit frame that is repeated up to the end of a sector (psow=0) makes one transaction, and SQLite recovers to any of its repetitions.",
            many(wal.commits, "commit"),
            many(start.transactions, "transaction"),
        ));
    }
    if start.newest.too_many() && !transactions {
        say("Superseded frames are not marked: there are too many frames to look without being asked (--superseded).");
    }
    if changed {
        say(&styled(
            YELLOW,
            "The WAL changed while it was read: the list and what stands above it are of two moments.",
        ));
    }
    out
}

/// One frame as bytes: its header field by field, the structures that its page begins with, and the page.
#[must_use]
pub fn frame_in_hex(frame: &FrameRow, visited: &Visited<'_>, width: usize) -> String {
    if let Some(words) = rest_of_run(frame) {
        return text::wrap(&words, width, "", "");
    }
    let header = &visited.frame.header;
    let stored = header.to_bytes();
    let mut words = format!("Frame {}: {}", count(frame.frame), class(frame.class));
    if let Some(transaction) = frame.transaction {
        words.push_str(&format!(", transaction {}", count(transaction)));
    }
    if frame.superseded == Some(true) {
        words.push_str(", superseded by a later frame of the same page");
    }
    words.push_str(match frame.checksum_ok {
        Some(true) => ", its checksum follows",
        Some(false) if frame.first_of_its_salts => {
            ", the frame before it has other salts, so that nothing shows whether its checksum is right"
        }
        Some(false) => ", its checksum does not follow",
        None => ", its checksum cannot be recomputed",
    });
    let mut out = text::wrap(&styled(BOLD, &words), width, "", "");
    out.push_str(&hex::annotated(&layout::FRAME_HEADER, &stored, frame.offset, width));
    let page_at = frame.offset.saturating_add(FRAME_HEADER_SIZE as u64);
    match visited.content {
        Content::Page(page) => {
            out.push_str(&hex::page_heads(frame.page, page, page_at, width));
            out.push_str(&hex::dump(page, page_at, width));
        }
        Content::Contribution(_) => {
            out.push_str(&text::wrap("The page is not in this bundle: it holds headers only.", width, "", ""));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_called_as_in_json() {
        use FrameClass::{Committed, Residue, Stale, Uncommitted, Unrelated, Unwritten};
        for one in [Committed, Uncommitted, Residue, Stale, Unwritten, Unrelated] {
            assert_eq!(class(one), text::words(&one));
        }
    }

    #[test]
    fn a_list_of_pages_is_shortened_to_its_room() {
        assert_eq!(page_list(&[1, 2, 3, 7], 0, 20), "1-3, 7");
        assert_eq!(page_list(&[9, 1, 3, 5, 7, 11], 0, 16), "9, 1, 3 + 3 more");
        assert_eq!(page_list(&[9, 1], 5, 20), "9, 1 + 5 more");
        assert_eq!(page_list(&[4_000_000_000], 0, 5), "+ 1 more");
        assert_eq!(page_list(&[u32::MAX, 0], 0, 22), "4,294,967,295, 0");
    }
}
