//! `walscope wal`: every frame of a WAL with its class, its transactions, or what is left behind a broken header.

mod salvage;

use std::cell::Cell;
use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::bail;
use walscope::bytes::ReadAt;
use walscope::format::layout;
use walscope::format::wal::HEADER_SIZE;
use walscope::look::WalSeen;
use walscope::number::FrameNumber;
use walscope::report::hex;
use walscope::report::inspect::InspectDocument;
use walscope::report::wal_frames::{FrameRow, TransactionRow, WalDocument};
use walscope::report::wal_page::{self, FrameTable, TransactionTable};
use walscope::say::{count, many};
use walscope::source::Source;
use walscope::wal::WalFacts;
use walscope::wal::frames::{self, FrameBytes, INDEXED_UNASKED, Prologue, Start, Visited};
use walscope::wal::transactions::Transactions;

use crate::exit::{Exit, answered};
use crate::look;
use crate::options::{FailOn, Global};
use crate::output::{self, Page, Sink, Streamed};

/// At most so many pages of one transaction are listed in JSON: 4 MiB of memory.
const PAGES_LISTED: usize = 1 << 20;
/// At most so many pages of one transaction are needed for a line of a table.
const PAGES_DRAWN: usize = 1000;

/// Arguments of `wal`.
#[derive(Debug, clap::Args)]
pub struct WalArgs {
    /// A database, a -wal alone, or a bundle: PATH, NAME:/path in a container, or pid:N:/path
    #[arg(value_name = "SOURCE", long_help = crate::help::SOURCE)]
    pub source: PathBuf,
    /// List committed transactions instead of frames
    #[arg(long, conflicts_with_all = ["page", "hex"])]
    transactions: bool,
    /// List frames that follow one another, whatever the header says: when it is zeroed or broken
    #[arg(long, conflicts_with_all = ["transactions", "page", "frame", "hex", "superseded"])]
    salvage: bool,
    /// List only frames of this page
    #[arg(long, value_name = "N", value_parser = page_number)]
    page: Option<u32>,
    /// List only these frames: A..B, A.., ..B or A
    #[arg(long, value_name = "A..B", value_parser = frame_range)]
    frame: Option<RangeInclusive<FrameNumber>>,
    /// Show headers field by field, and pages as bytes
    #[arg(long, conflicts_with_all = ["json", "jsonl"])]
    hex: bool,
    /// Mark superseded frames for any number of frames (8 bytes of memory for each)
    #[arg(long)]
    superseded: bool,
    /// Print one JSON record in each line: a frame, or a transaction
    #[arg(long, conflicts_with = "json")]
    jsonl: bool,
    /// Exit with 1 if a finding is at least this grave
    #[arg(long, value_enum, default_value_t = FailOn::Error, value_name = "SEVERITY")]
    fail_on: FailOn,
}

/// A text that is no range of frames.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum NoRange {
    #[error("{0}s are counted from 1")]
    Zero(&'static str),
    #[error("needed a {0}'s number, found {1:?}")]
    NoNumber(&'static str, String),
    #[error("needed at least one frame's number")]
    Open,
    #[error("frame {0} is behind frame {1}")]
    Backwards(u64, u64),
}

/// Reads a number that is not 0, as people write it or as the tables here show it: `1204` or `1,204`.
fn number(text: &str, of: &'static str) -> Result<u64, NoRange> {
    let (first, rest) = text.split_once(',').unwrap_or((text, ""));
    let separated = (1..=3).contains(&first.len()) && rest.split(',').all(|group| group.len() == 3);
    let digits = if separated { text.replace(',', "") } else { text.to_owned() };
    match digits.parse() {
        Ok(0) => Err(NoRange::Zero(of)),
        Ok(number) => Ok(number),
        Err(_) => Err(NoRange::NoNumber(of, text.to_owned())),
    }
}

fn page_number(text: &str) -> Result<u32, NoRange> {
    let page = number(text, "page")?;
    u32::try_from(page).map_err(|_| NoRange::NoNumber("page", text.to_owned()))
}

/// Reads `A..B`, `A..`, `..B` or `A`; both ends are included, as frames are counted from 1.
fn frame_range(text: &str) -> Result<RangeInclusive<FrameNumber>, NoRange> {
    let number = |text: &str| number(text, "frame");
    let (first, last) = match text.split_once("..") {
        None => (number(text)?, number(text)?),
        Some(("", "")) => return Err(NoRange::Open),
        Some(("", last)) => (1, number(last)?),
        Some((first, "")) => (number(first)?, u64::MAX),
        Some((first, last)) => (number(first)?, number(last)?),
    };
    if first > last {
        return Err(NoRange::Backwards(first, last));
    }
    Ok(FrameNumber(first)..=FrameNumber(last))
}

/// Runs it.
pub fn run(args: &WalArgs, global: &Global) -> anyhow::Result<Exit> {
    if args.salvage {
        return salvage::run(args, global);
    }
    let frames = args.frame.clone().unwrap_or(FrameNumber::FIRST..=FrameNumber::LARGEST);
    let indexed = match (args.transactions, args.superseded) {
        (true, _) => 0,
        (false, true) => usize::MAX,
        (false, false) => INDEXED_UNASKED,
    };
    let begin = |_: &Source| Prologue::new(*frames.start(), indexed);
    let (source, inspection, prologue) =
        look::inspect_frames(args.source.as_os_str(), global, begin, |prologue, frame, page| {
            prologue.push(frame, page)
        })?;
    refuse_shm_alone(args, &source)?;
    let mut whole = InspectDocument::new(&inspection);
    let Some(facts) = inspection.wal else {
        let why = whole.reasons.get("wal").map_or("not looked at", String::as_str);
        bail!("{}: the -wal: {why}", args.source.display());
    };
    let there = facts.frames.in_file;
    if *frames.start() > there && args.frame.is_some() {
        bail!(
            "{}: --frame {}: the -wal has {}",
            args.source.display(),
            count(*frames.start()),
            if there == 0 { "no frames".to_owned() } else { many(there, "frame") }
        );
    }
    let start = prologue.finish(&facts);
    let bytes = frame_bytes(&source);
    note_reasons(&mut whole, args, &start, bytes);
    let (threads, changed) = (look::threads(global).get(), Cell::new(false));
    let listing = Listing { args, frames, whole: &whole, facts: &facts, start: &start, bytes, threads, changed };
    answered(match (global.json, args.jsonl) {
        (true, _) => listing.json(),
        (false, true) => listing.json_lines(),
        (false, false) => listing.page(global),
    })?;
    Ok(args.fail_on.judge(&whole.findings))
}

fn refuse_shm_alone(args: &WalArgs, source: &Source) -> anyhow::Result<()> {
    if let Source::Files(files) = source
        && files.opened.is_none()
        && files.wal.is_none()
    {
        bail!("{}: this is a -shm alone, there is no -wal to look at", args.source.display());
    }
    Ok(())
}

fn frame_bytes(source: &Source) -> Option<FrameBytes<'_>> {
    match source {
        Source::Files(files) => files.wal.as_deref().map(FrameBytes::Whole),
        Source::Bundle(capture) => match &capture.wal {
            WalSeen::Whole(bytes) => Some(FrameBytes::Whole(bytes.as_ref())),
            WalSeen::Headers { bytes, .. } => Some(FrameBytes::Headers(bytes.as_ref())),
            WalSeen::Absent | WalSeen::NotSeen => None,
        },
    }
}

/// Why fields of the list are null.
fn note_reasons(whole: &mut InspectDocument, args: &WalArgs, start: &Start, bytes: Option<FrameBytes<'_>>) {
    // The document of this command does not list processes.
    whole.reasons.remove("users");
    whole.reasons.remove("open");
    if args.transactions {
        return;
    }
    if start.newest.too_many() {
        let why = format!("more than {INDEXED_UNASKED} frames are valid: looked up with --superseded");
        whole.reasons.insert("frames.superseded".to_owned(), why);
    }
    if matches!(bytes, Some(FrameBytes::Headers(_))) {
        let why = "the bundle holds no page content: behind the valid chain checksums cannot be recomputed";
        whole.reasons.insert("frames.checksum_ok".to_owned(), why.to_owned());
    }
}

/// What to list, and the bytes to list it from.
struct Listing<'a> {
    args: &'a WalArgs,
    frames: RangeInclusive<FrameNumber>,
    whole: &'a InspectDocument,
    facts: &'a WalFacts,
    start: &'a Start,
    bytes: Option<FrameBytes<'a>>,
    threads: usize,
    changed: Cell<bool>,
}

impl Listing<'_> {
    fn json(&self) -> anyhow::Result<()> {
        let mut frames = |sink: Sink<'_, FrameRow>| self.each_frame(&mut |row, _| sink(row));
        let mut transactions = |sink: Sink<'_, TransactionRow>| self.each_transaction(PAGES_LISTED, sink);
        let out = io::stdout().lock();
        if self.args.transactions {
            let rows = Streamed::new(&mut transactions);
            output::write_json(out, &WalDocument::new(self.whole, (), rows, &self.changed))
        } else {
            let rows = Streamed::new(&mut frames);
            output::write_json(out, &WalDocument::new(self.whole, rows, (), &self.changed))
        }
    }

    fn json_lines(&self) -> anyhow::Result<()> {
        let mut out = output::lines();
        if self.args.transactions {
            self.each_transaction(PAGES_LISTED, &mut |row| out.line(row))?;
        } else {
            self.each_frame(&mut |row, _| out.line(row))?;
        }
        Ok(out.flush()?)
    }

    fn page(&self, global: &Global) -> anyhow::Result<()> {
        let width = output::width(global);
        let mut out = output::page(global);
        out.text(&wal_page::head(self.whole, width))?;
        out.text("\n")?;
        let mut rows = 0_u64;
        if self.args.hex {
            rows = self.hex(width, &mut out)?;
        } else if self.args.transactions {
            let table = TransactionTable::new(self.whole, self.start, width, out.colour());
            self.each_transaction(PAGES_DRAWN, &mut |row| {
                write_row(&mut out, &mut rows, || table.head(), |out| table.row(row, out))
            })?;
        } else {
            let table = FrameTable::new(self.whole, self.start, width, out.colour());
            self.each_frame(&mut |row, _| write_row(&mut out, &mut rows, || table.head(), |out| table.row(row, out)))?;
            if let Some(left_out) = table.left_out().filter(|_| rows > 0) {
                out.text(&format!("{left_out}\n"))?;
            }
        }
        if rows == 0 {
            let what = if self.args.transactions { "committed transactions" } else { "frames" };
            out.text(&format!("No {what} to list.\n"))?;
        }
        let foot = wal_page::foot(self.whole, self.start, self.args.transactions, self.changed.get(), width);
        out.text(&foot)?;
        Ok(out.flush()?)
    }

    /// Writes headers field by field and pages as bytes. The WAL header is written only when no frames were chosen.
    fn hex(&self, width: usize, out: &mut Page) -> io::Result<u64> {
        if let (None, None, Some(bytes)) = (&self.args.frame, self.args.page, self.bytes) {
            let (FrameBytes::Whole(bytes) | FrameBytes::Headers(bytes)) = bytes;
            let mut head = [0; HEADER_SIZE];
            let got = ReadAt::read_at(bytes, &mut head, 0)?;
            let head = head.get(..got).unwrap_or_default();
            out.text(&hex::annotated(&layout::WAL_HEADER, head, 0, width))?;
        }
        let mut rows = 0;
        self.each_frame(&mut |row, visited| {
            rows += 1;
            out.text("\n")?;
            out.text(&wal_page::frame_in_hex(row, visited, width))
        })?;
        Ok(rows)
    }

    /// Passes each requested frame to `each`.
    fn each_frame(&self, each: &mut dyn FnMut(&FrameRow, &Visited<'_>) -> io::Result<()>) -> io::Result<()> {
        let Some(bytes) = self.bytes else { return Ok(()) };
        let mut grouping = self.start.grouping.clone();
        let visit = frames::visit(bytes, self.facts, self.frames.clone(), self.threads, &mut |visited| {
            grouping.push(&visited.frame, visited.content.identity());
            if self.args.page.is_some_and(|page| visited.frame.header.page != page) {
                return Ok(());
            }
            each(&FrameRow::new(visited, grouping.number(), self.start.newest.superseded(visited)), visited)
        })?;
        self.changed.set(visit.changed);
        Ok(())
    }

    /// Passes each transaction to `each` that has a requested frame.
    fn each_transaction(&self, pages: usize, each: Sink<'_, TransactionRow>) -> io::Result<()> {
        let Some(bytes) = self.bytes else { return Ok(()) };
        let (first, last) = (*self.frames.start(), *self.frames.end());
        let committed = FrameNumber::FIRST..=FrameNumber(self.facts.frames.committed);
        let mut grouping = Transactions::new(pages);
        let mut hand_on = |transaction: walscope::wal::transactions::Transaction| {
            let asked = transaction.first_frame <= last && transaction.last_frame >= first;
            if asked { each(&transaction.into()) } else { Ok(()) }
        };
        let visit = frames::visit(bytes, self.facts, committed, self.threads, &mut |visited| {
            grouping.push(&visited.frame, visited.content.identity()).map_or(Ok(()), &mut hand_on)
        })?;
        self.changed.set(visit.changed);
        grouping.finish().map_or(Ok(()), hand_on)
    }
}

/// Writes a row of a table; before the first row, also the column heads.
fn write_row(
    out: &mut Page,
    rows: &mut u64,
    head: impl FnOnce() -> String,
    row: impl FnOnce(&mut String),
) -> io::Result<()> {
    if *rows == 0 {
        out.text(&head())?;
    }
    *rows += 1;
    out.append(row)
}

#[cfg(test)]
mod tests {
    use super::{FrameNumber, frame_range};

    #[test]
    fn frames_are_chosen_by_one_or_both_ends() {
        for (text, first, last) in
            [("3..7", 3, 7), ("3..", 3, u64::MAX), ("..7", 1, 7), ("7", 7, 7), ("1,204..12,345,678", 1_204, 12_345_678)]
        {
            assert_eq!(frame_range(text), Ok(FrameNumber(first)..=FrameNumber(last)), "{text}");
        }
        for bad in ["", "..", "0", "7..3", "a", "1..b", "-1", "1...3", "1,2", "1,20,400", "1204,000", ",100", "1,"] {
            assert!(frame_range(bad).is_err(), "{bad}");
        }
    }
}
