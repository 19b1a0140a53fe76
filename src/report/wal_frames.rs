//! `walscope/wal/1`: every frame of a WAL, or its transactions.

use std::cell::Cell;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::checkpoint::CheckpointDocument;
use super::finding::FindingDocument;
use super::inspect::{InspectDocument, Sizes, Source};
use super::wal::Wal;
use crate::number::{Checksum, Salts};
use crate::wal::FrameClass;
use crate::wal::frames::{Superseded, Visited};
use crate::wal::transactions::Transaction;

/// The schema's name and version.
pub const SCHEMA: &str = "walscope/wal/1";

/// The document. `F` and `T` are arrays of [`FrameRow`] and [`TransactionRow`], made while they are written, or `()` for
/// the one that was not asked for, which is null.
#[derive(Debug, JsonSchema, Serialize)]
pub struct WalDocument<'a, F, T> {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Where the facts come from.
    pub source: &'a Source,
    /// File sizes in bytes.
    pub sizes: &'a Sizes,
    /// The `-wal` as a whole.
    pub wal: Option<&'a Wal>,
    /// What is known of the checkpoint.
    pub checkpoint: Option<&'a CheckpointDocument>,
    /// Findings, the gravest first.
    pub findings: &'a [FindingDocument],
    /// Why a value is null or unknown, under the name of that value.
    pub reasons: &'a BTreeMap<String, String>,
    /// The frames that were asked for, in their order.
    pub frames: F,
    /// The committed transactions that were asked for, in their order.
    pub transactions: T,
    /// Whether the file changed between the two passes over it. Then `wal` and the list belong to two moments.
    pub changed_while_read: &'a Cell<bool>,
}

impl<'a, F, T> WalDocument<'a, F, T> {
    /// Makes the document from the document of `inspect` and the lists.
    #[must_use]
    pub fn new(whole: &'a InspectDocument, frames: F, transactions: T, changed: &'a Cell<bool>) -> Self {
        Self {
            schema: SCHEMA,
            source: &whole.source,
            sizes: &whole.sizes,
            wal: whole.wal.as_ref(),
            checkpoint: whole.checkpoint.as_ref(),
            findings: &whole.findings,
            reasons: &whole.reasons,
            frames,
            transactions,
            changed_while_read: changed,
        }
    }
}

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
pub struct FrameRow {
    /// Its number, counted from 1.
    pub frame: u64,
    /// Where its header begins in the file, in bytes.
    pub offset: u64,
    /// The page that it holds.
    pub page: u32,
    /// Pages of the database after the commit; 0 if the frame is no commit.
    pub commit_pages: u32,
    /// Salt-1.
    pub salt1: u32,
    /// Salt-2.
    pub salt2: u32,
    /// Checksum-1.
    pub checksum1: u32,
    /// Checksum-2.
    pub checksum2: u32,
    /// Whether the checksum follows from the one stored in the frame before, or in the WAL header. Null: the page was
    /// not captured, and nothing else shows it.
    pub checksum_ok: Option<bool>,
    /// Whether the frame before it has other salts, so that a checksum that does not follow says nothing.
    #[serde(skip)]
    pub first_of_its_salts: bool,
    /// Its class.
    pub class: FrameClass,
    /// The number of the committed transaction to which it belongs, counted from 1. Null: the frame is not committed.
    pub transaction: Option<u64>,
    /// Whether a later committed frame holds the same page. Null: the frame is not committed, or the index of pages
    /// would have been too large.
    pub superseded: Option<bool>,
    /// How many frames this row stands for, from `frame` on: 1, or the rest of a long run of frames of zero bytes, which are all
    /// alike. The first 64 of such a run have rows of their own.
    pub alike: u64,
}

impl FrameRow {
    /// Makes the row of a visited frame, from the number of its transaction and whether it is superseded.
    #[must_use]
    pub fn new(visited: &Visited<'_>, transaction: u64, superseded: Superseded) -> Self {
        let frame = &visited.frame;
        let (Salts([salt1, salt2]), Checksum([checksum1, checksum2])) = (frame.header.salts, frame.header.checksum);
        Self {
            frame: frame.number.count(),
            offset: frame.offset,
            page: frame.header.page.0,
            commit_pages: frame.header.commit_pages,
            salt1,
            salt2,
            checksum1,
            checksum2,
            checksum_ok: visited.checksum.follows(),
            first_of_its_salts: visited.first_of_its_salts,
            class: visited.class,
            transaction: (visited.class == FrameClass::Committed).then_some(transaction),
            superseded: superseded.by_later(),
            alike: visited.alike,
        }
    }
}

/// One committed transaction.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct TransactionRow {
    /// Its number, counted from 1.
    pub transaction: u64,
    /// Its first frame.
    pub first_frame: u64,
    /// Its last frame, including padding.
    pub last_frame: u64,
    /// The frame that commits it.
    pub commit_frame: u64,
    /// Number of frames that commit it: 1, and one more for each repetition of the commit frame up to the sector
    /// boundary. SQLite recovers up to any of them.
    pub commit_points: u64,
    /// Pages of the database after this transaction.
    pub database_pages: u32,
    /// The page of each frame up to `commit_frame`, in order.
    pub pages: Vec<u32>,
    /// Number of frames whose pages are not listed because there are too many.
    pub pages_left_out: u64,
}

impl From<Transaction> for TransactionRow {
    fn from(transaction: Transaction) -> Self {
        Self {
            transaction: transaction.number,
            first_frame: transaction.first_frame.count(),
            last_frame: transaction.last_frame.count(),
            commit_frame: transaction.commit_frame.count(),
            commit_points: transaction.commit_points(),
            database_pages: transaction.database_pages,
            pages_left_out: transaction.pages_left_out(),
            pages: transaction.pages.into_iter().map(u32::from).collect(),
        }
    }
}
