//! `walscope/wal-salvage/1`: frames that follow one another, found without the header of the WAL.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::finding::FindingDocument;
use super::inspect::{InspectDocument, Sizes, Source};
use super::picture::{self, Class, Part};
use super::rows::{Cell, Rows, numbers, words};
use super::text::{self, YELLOW, count, entry, many};
use super::wal::Header;
use crate::number::{ByteOrder, Salts};
use crate::say;
use crate::wal::EndReason;
use crate::wal::mangled::MangledWal;
use crate::wal::salvage::{ChainedRun, Salvage};

/// The schema's name and version.
pub const SCHEMA: &str = "walscope/wal-salvage/1";

/// With more stretches than this, the bar shows all frames of one kind together.
const STRETCHES_DRAWN: usize = 7;

/// The document.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
pub struct SalvageDocument {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Where the facts come from.
    pub source: Source,
    /// File sizes in bytes.
    pub sizes: Sizes,
    /// The header as it is stored. Null: the file has fewer than 32 bytes.
    pub header: Option<Header>,
    /// Whether the file begins with a frame: its header is missing. Then a header made anew goes before the first byte.
    pub header_missing: bool,
    /// Whether SQLite can use that header. Then `wal` says which frames are committed.
    pub header_usable: bool,
    /// A header that frame 1 continues, computed from frame 1. Null: there is none.
    pub made_anew: Option<Header>,
    /// The 32 bytes of that header, in hexadecimal: `echo HEX | xxd -r -p` writes them.
    pub made_anew_hex: Option<String>,
    /// Bytes of a page, as the distance of the frames shows it. Null: no frames were found.
    pub page_size: Option<u32>,
    /// Byte order of the words that the checksums cover: `little` or `big`. Null: no frames were found.
    pub checksum_byte_order: Option<&'static str>,
    /// Frames of that page size. Null: no frames were found.
    pub frames: Option<SalvagedFrames>,
    /// Frames that follow one another, in the order of the file.
    pub runs: Vec<RunRow>,
    /// Number of runs that are not listed because there are too many.
    pub unlisted_runs: u64,
    /// The answer in words.
    pub explanation: String,
    /// Findings, the gravest first.
    pub findings: Vec<FindingDocument>,
    /// Why a value is null or unknown, under the name of that value.
    pub reasons: BTreeMap<String, String>,
}

/// Frames by what is known of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
pub struct SalvagedFrames {
    /// Whole frames in the file.
    pub in_file: u64,
    /// Frames in runs.
    pub chained: u64,
    /// Commit frames in runs.
    pub commits: u64,
    /// Frames of zero bytes in their headers.
    pub unwritten: u64,
    /// Frames that follow from no frame before them, and no frame from them.
    pub alone: u64,
    /// Bytes of a partial frame at the end of the file.
    pub torn_bytes: u64,
}

/// Neighbouring frames of one generation, each of which continues the checksum of the one before it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct RunRow {
    /// Its number, counted from 1.
    pub run: u64,
    /// Always `salvage`: SQLite reads none of these frames behind a broken header, so none of them is committed.
    pub class: &'static str,
    /// The first frame.
    pub first_frame: u64,
    /// The last frame.
    pub last_frame: u64,
    /// Number of frames.
    pub frames: u64,
    /// Number of commit frames.
    pub commits: u64,
    /// The last commit frame. Null: there is none.
    pub last_commit_frame: Option<u64>,
    /// Pages of the database after the last commit.
    pub database_pages: Option<u32>,
    /// Salt-1.
    pub salt1: u32,
    /// Salt-2.
    pub salt2: u32,
    /// Bytes of a page.
    pub page_size: u32,
    /// Byte order of the words that the checksums cover: `little` or `big`.
    pub checksum_byte_order: &'static str,
    /// The pages of the first frames, at most 8.
    pub pages: Vec<u32>,
    /// Whether the first frame is proven too, by the header that it continues. The others always are.
    pub first_frame_proven: bool,
}

impl RunRow {
    fn new(number: u64, run: &ChainedRun, found: &Salvage) -> Self {
        let Salts([salt1, salt2]) = run.salts;
        Self {
            run: number,
            class: "salvage",
            first_frame: run.first.count(),
            last_frame: run.last.count(),
            frames: run.frames(),
            commits: run.commits,
            last_commit_frame: run.last_commit.map(|commit| commit.frame.count()),
            database_pages: run.last_commit.map(|commit| commit.database_pages),
            salt1,
            salt2,
            page_size: found.page_size.bytes(),
            checksum_byte_order: ByteOrder::name(found.order),
            pages: run.pages().map(u32::from).collect(),
            first_frame_proven: run.first_proven,
        }
    }
}

impl SalvageDocument {
    /// Makes the document from that of `inspect` and what was found. `found` is an error if the bytes of the frames are
    /// not there, with the reason. `mangled`: what was done to the bytes of the file.
    #[must_use]
    pub fn new(whole: InspectDocument, found: Result<Option<&Salvage>, &str>, mangled: Option<&MangledWal>) -> Self {
        let header = whole.wal.as_ref().and_then(|wal| wal.header.clone());
        let usable = header.is_some()
            && whole.wal.as_ref().is_some_and(|wal| {
                let reason = wal.end.reason;
                !reason.is_taken_for_empty()
                    && !matches!(reason, EndReason::ShortHeader | EndReason::UnsupportedVersion)
            });
        let mut reasons = whole.reasons;
        // This document lists neither processes nor a wal-index.
        reasons.retain(|name, _| name == "wal");
        let explanation = match found {
            Ok(found) => say::damage::salvage(found, usable, mangled),
            Err(why) => {
                reasons.insert("runs".to_owned(), why.to_owned());
                format!("Nothing can be said: {why}.")
            }
        };
        let found = found.ok().flatten();
        let made_anew = found.and_then(|found| found.header).filter(|_| !usable);
        Self {
            schema: SCHEMA,
            source: whole.source,
            sizes: whole.sizes,
            header,
            header_missing: found.is_some_and(|found| found.header_missing),
            header_usable: usable,
            made_anew: made_anew.as_ref().map(Header::from),
            made_anew_hex: made_anew
                .map(|header| header.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
            page_size: found.map(|found| found.page_size.bytes()),
            checksum_byte_order: found.map(|found| found.order.name()),
            frames: found.map(SalvagedFrames::from),
            runs: found.map(rows).unwrap_or_default(),
            unlisted_runs: found.map_or(0, |found| found.unlisted_runs),
            explanation,
            findings: whole.findings,
            reasons,
        }
    }

    /// The page, at most `width` columns wide, with colour if it is wanted.
    #[must_use]
    pub fn draw(&self, width: usize, colour: bool) -> String {
        let mut out = String::new();
        for line in picture::draw(&self.parts(), &[], width) {
            out.push_str(&line);
            out.push('\n');
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&entry("Salvage", &self.explanation, width));
        if let Some(header) = &self.made_anew {
            out.push_str(&entry("Made anew", &super::wal_page::header_in_words(header), width));
            out.push_str(&entry("In bytes", self.made_anew_hex.as_deref().unwrap_or_default(), width));
        }
        if !self.runs.is_empty() {
            out.push('\n');
            out.push_str(&self.table(width, colour));
        }
        if self.unlisted_runs > 0 {
            out.push_str(&text::wrap(&format!("{} more", many(self.unlisted_runs, "run")), width, "", ""));
        }
        if self.runs.iter().any(|run| !run.first_frame_proven) {
            let words = "A first frame that is not proven has a checksum that the next frame continues, but nothing shows \
                         whether its page is as it was written.";
            out.push_str(&text::wrap(words, width, "", ""));
        }
        if !self.findings.is_empty() {
            out.push('\n');
            out.push_str(&text::findings(&self.findings, width));
        }
        out
    }

    fn table(&self, width: usize, colour: bool) -> String {
        let largest = |of: fn(&RunRow) -> u64| self.runs.iter().map(of).max().unwrap_or(0);
        let columns = [
            numbers("run", largest(|run| run.run)),
            numbers("first", largest(|run| run.first_frame)),
            numbers("last", largest(|run| run.last_frame)),
            numbers("frames", largest(|run| run.frames)),
            numbers("commits", largest(|run| run.commits)),
            words("class", "salvage".len()),
            words("salts", 17),
            words("first frame", "not proven".len()),
            numbers("database", largest(|run| run.database_pages.unwrap_or(0).into())),
            words("pages", 8),
        ];
        let table = Rows::new(&columns, width, colour);
        let mut out = table.head();
        for run in &self.runs {
            let mut pages = run.pages.iter().map(|page| count(*page)).collect::<Vec<_>>().join(", ");
            if run.frames > run.pages.len() as u64 {
                pages.push_str(", ...");
            }
            let proven =
                if run.first_frame_proven { Cell::from("proven") } else { Cell::from("not proven").styled(YELLOW) };
            let cells = [
                run.run.into(),
                run.first_frame.into(),
                run.last_frame.into(),
                run.frames.into(),
                run.commits.into(),
                run.class.into(),
                Cell::pair([run.salt1, run.salt2]),
                proven,
                run.database_pages.map_or_else(|| "-".into(), Cell::from),
                pages.as_str().into(),
            ];
            table.row(&cells, &mut out);
        }
        out
    }

    /// The file as stretches: in their order, or by kind if there are many.
    fn parts(&self) -> Vec<Part> {
        let Some(frames) = &self.frames else { return Vec::new() };
        let (mut parts, mut next) = (Vec::new(), 1_u64);
        let between = |frames| Part { class: Class::Between, frames };
        for run in &self.runs {
            parts.push(between(run.first_frame.saturating_sub(next)));
            let readable = run.first_frame_proven && !self.header_usable;
            parts.push(Part { class: if readable { Class::MadeAnew } else { Class::Chained }, frames: run.frames });
            next = run.last_frame.saturating_add(1);
        }
        parts.push(between(frames.in_file.saturating_add(1).saturating_sub(next)));
        parts.retain(|part| part.frames > 0);
        if parts.len() <= STRETCHES_DRAWN && self.unlisted_runs == 0 {
            return parts;
        }
        let made_anew = parts.iter().filter(|part| part.class == Class::MadeAnew).map(|part| part.frames).sum();
        vec![
            Part { class: Class::MadeAnew, frames: made_anew },
            Part { class: Class::Chained, frames: frames.chained.saturating_sub(made_anew) },
            between(frames.in_file.saturating_sub(frames.chained)),
        ]
    }
}

fn rows(found: &Salvage) -> Vec<RunRow> {
    (1..).zip(&found.runs).map(|(number, run)| RunRow::new(number, run, found)).collect()
}

impl From<&Salvage> for SalvagedFrames {
    fn from(found: &Salvage) -> Self {
        let known = found.frames.saturating_add(found.zeros);
        Self {
            in_file: found.in_file,
            chained: found.frames,
            commits: found.commits,
            unwritten: found.zeros,
            alone: found.in_file.saturating_sub(known),
            torn_bytes: found.torn_bytes,
        }
    }
}
