//! `walscope shm`: the wal-index, both header copies, locks, and every block of it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use anyhow::bail;
use walscope::format::shm::{BLOCK_FRAMES, first_frame_of, last_frame_of};
use walscope::look::Depth;
use walscope::number::FrameNumber;
use walscope::report::inspect::InspectDocument;
use walscope::report::shm_blocks::{BlockRow, ShmDocument};
use walscope::report::shm_page::{self, BlockTable, EntryTables};
use walscope::say::many;
use walscope::shell_word::walscope;
use walscope::shm::{IndexError, WalIndex, frames_that_count};
use walscope::source::Source;

use crate::exit::{Exit, answered};
use crate::look;
use crate::options::{FailOn, Global};
use crate::output::{self, Page, Sink, Streamed};

/// At most so many blocks are listed in the table when none of --block, --pages and --hash is given.
const BLOCKS_DRAWN: u64 = 16;

/// So many empty blocks are listed one by one if they follow one another, and the rest in one row: the size of a sparse file is
/// only a claim.
const EMPTY_ONE_BY_ONE: u64 = 64;

/// Arguments of `shm`.
#[derive(Debug, clap::Args)]
pub struct ShmArgs {
    /// A database, a -shm alone, or a bundle: PATH, NAME:/path in a container, or pid:N:/path
    #[arg(value_name = "SOURCE", long_help = crate::help::SOURCE)]
    pub source: PathBuf,
    /// List the page of each frame, block by block
    #[arg(long)]
    pages: bool,
    /// List the slots of each hash table that are not empty
    #[arg(long)]
    hash: bool,
    /// List only this block of 32 KiB, counted from 0
    #[arg(long, value_name = "N")]
    block: Option<u32>,
    /// Print one JSON record in each line: a block
    #[arg(long, conflicts_with = "json")]
    jsonl: bool,
    /// Exit with 1 if a finding is at least this grave
    #[arg(long, value_enum, default_value_t = FailOn::Error, value_name = "SEVERITY")]
    fail_on: FailOn,
}

/// What to look at instead of a `-wal`.
fn instead(wal: &Path) -> String {
    let Some(name) = wal.as_os_str().as_bytes().strip_suffix(b"-wal") else { return String::new() };
    let database = OsStr::from_bytes(name);
    if Path::new(database).symlink_metadata().is_ok() {
        return format!("; the database lies beside it: {}", walscope("shm", database, ""));
    }
    format!(
        "; its database {} is not there, so keep this file, which may hold commits that are nowhere else: {}",
        database.to_string_lossy(),
        walscope("wal", wal, "")
    )
}

/// Runs it.
pub fn run(args: &ShmArgs, global: &Global) -> anyhow::Result<Exit> {
    let (source, inspection) = look::inspect(args.source.as_os_str(), Depth::Heads, global)?;
    let (whole, head) = (InspectDocument::new(&inspection), inspection.shm);
    let bytes = match &source {
        Source::Files(files) => files.shm.as_deref(),
        Source::Bundle(capture) => capture.shm.as_deref(),
    };
    if let (None, Source::Files(files)) = (bytes, &source)
        && files.opened.is_none()
    {
        bail!(
            "{}: this is a -wal alone, there is no wal-index to look at{}",
            args.source.display(),
            instead(&args.source)
        );
    }
    // A -shm that is too short for a head is an answer, too: the document says so.
    let index = match (bytes, &head) {
        (Some(bytes), Some(head)) => Some(WalIndex::with_head(bytes, *head)),
        _ => None,
    };
    let blocks = index.as_ref().map_or(0, WalIndex::blocks);
    if let Some(block) = args.block
        && u64::from(block) >= blocks
    {
        bail!("{}: block {block}: the wal-index has {}, counted from 0", args.source.display(), many(blocks, "block"));
    }
    let noise_behind = head.as_ref().and_then(frames_that_count);
    let listing = Listing { args, index, noise_behind, blocks };
    answered(match (global.json, args.jsonl) {
        (true, _) => {
            let mut walk = |sink: Sink<'_, BlockRow>| listing.each_block(sink);
            let document = ShmDocument::new(&whole, noise_behind, Streamed::new(&mut walk));
            output::write_json(io::stdout().lock(), &document)
        }
        (false, true) => listing.json_lines(),
        (false, false) => {
            let width = output::width(global);
            let head = shm_page::head(&whole, head.as_ref(), noise_behind, width);
            listing.page(&head, global, width)
        }
    })?;
    Ok(args.fail_on.judge(&whole.findings))
}

/// What to list, and the bytes to list it from.
struct Listing<'a> {
    args: &'a ShmArgs,
    index: Option<WalIndex<'a>>,
    noise_behind: Option<FrameNumber>,
    blocks: u64,
}

impl Listing<'_> {
    /// Hands on the blocks that were asked for. They are read one at a time; those in a hole of the file are not read.
    fn each_block(&self, each: Sink<'_, BlockRow>) -> io::Result<()> {
        let Some(index) = &self.index else { return Ok(()) };
        let blocks = u32::try_from(self.blocks).unwrap_or(u32::MAX);
        let std::ops::Range { start: mut number, end } = self.args.block.map_or(0..blocks, |block| block..block + 1);
        // The empty blocks right before the next one, and the row of those that are not listed one by one.
        let (mut empty, mut rest) = (0, None::<BlockRow>);
        while number < end {
            if let Some(rest) = &mut rest {
                let skipped = u32::try_from(index.blocks_in_hole(number)).unwrap_or(u32::MAX).min(end - number);
                if skipped > 0 {
                    number += skipped;
                    rest.add_empty(skipped.into(), last_frame_of(number - 1).count());
                    continue;
                }
            }
            let row = self.block(index, number)?;
            number += 1;
            empty = if row.is_empty() { empty + 1 } else { 0 };
            if empty <= EMPTY_ONE_BY_ONE {
                if let Some(rest) = rest.take() {
                    each(&rest)?;
                }
                each(&row)?;
            } else if let Some(rest) = &mut rest {
                rest.add_empty(1, row.last_frame);
            } else {
                rest = Some(row);
            }
        }
        rest.map_or(Ok(()), |rest| each(&rest))
    }

    fn block(&self, index: &WalIndex<'_>, number: u32) -> io::Result<BlockRow> {
        match index.block(number) {
            Ok(block) => {
                let noise_behind = self.noise_behind.unwrap_or_default();
                Ok(BlockRow::new(&block, noise_behind, self.args.pages, self.args.hash))
            }
            Err(IndexError::Io(error)) => Err(error),
            Err(error @ IndexError::Parse(_)) => {
                let (first, last) = (first_frame_of(number), last_frame_of(number));
                Ok(BlockRow::cut_short(number, first, last, error.to_string()))
            }
        }
    }

    fn json_lines(&self) -> anyhow::Result<()> {
        let mut out = output::lines();
        self.each_block(&mut |row| out.line(row))?;
        Ok(out.flush()?)
    }

    fn page(&self, head: &str, global: &Global, width: usize) -> anyhow::Result<()> {
        let mut out = output::page(global);
        out.text(head)?;
        self.tables(&mut out, width)?;
        Ok(out.flush()?)
    }

    fn tables(&self, out: &mut Page, width: usize) -> io::Result<()> {
        let table = BlockTable::new(self.blocks, width, out.colour());
        let asked = self.args.pages || self.args.hash || self.args.block.is_some();
        let mut drawn = 0_u64;
        self.each_block(&mut |block| {
            let first = drawn == 0;
            drawn += block.alike;
            if first {
                out.text(&format!("\n{}", table.head()))?;
            }
            if !asked && drawn > BLOCKS_DRAWN {
                return Ok(());
            }
            out.append(|out| table.row(block, width, out))
        })?;
        if !asked && drawn > BLOCKS_DRAWN {
            out.text(&format!("{}: --block N\n", many(drawn - BLOCKS_DRAWN, "more block")))?;
        }
        let room = self.blocks.saturating_mul(BLOCK_FRAMES as u64);
        let lists = EntryTables::new(self.blocks, room, width, out.colour());
        if self.args.pages {
            out.text(&format!("\n{}", lists.pages_head()))?;
            self.each_block(&mut |block| {
                let mut entries = block.pages.iter().flatten();
                entries.try_for_each(|entry| out.append(|out| lists.page(block.block, entry, out)))
            })?;
        }
        if self.args.hash {
            out.text(&format!("\n{}", lists.slots_head()))?;
            self.each_block(&mut |block| {
                let mut slots = block.slots.iter().flatten();
                slots.try_for_each(|slot| out.append(|out| lists.slot(block.block, slot, out)))
            })?;
        }
        Ok(())
    }
}
