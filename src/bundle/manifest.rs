//! `manifest.json`, the last member of a bundle.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::{Evidence, FileView, UnstableCause};
use crate::format::wal::WalHeader;
use crate::look::HotJournal;
use crate::number::FrameNumber;
use crate::wal::{EndReason, FrameCounts, Generation, LastCommit, Stretch, WalFacts};

/// The largest manifest that is read or written. A usual one has some tens of KiB. This limits the cost of a hostile
/// one.
pub(super) const MANIFEST_AT_MOST: u64 = 16 << 20;

/// The end of the name of a member of which something was left out.
pub(super) const SPARSE: &str = ".sparse";

/// The prefix of the member names of one attempt.
pub(super) fn prefix(attempt: u32) -> String {
    if attempt <= 1 { String::new() } else { format!("attempt-{attempt}/") }
}

/// How much of the `-wal` is in a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WalMode {
    /// Every byte.
    Full,
    /// The header and the frame headers: no page content.
    Headers,
    /// Nothing.
    None,
}

/// Whether the capture is of one moment.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Stability {
    /// Whether it is proven that the files are of one moment.
    pub stable: bool,
    /// Why that is not proven.
    pub reason: Option<String>,
    /// The same, as far as a verdict needs it. Absent: it is of one moment, or the bundle is of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<UnstableCause>,
    /// Number of attempts, including this one.
    pub attempts: u32,
}

/// One member of the bundle that belongs to this capture.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Member {
    /// Its name in the archive.
    pub name: String,
    /// Its bytes in the archive.
    pub length: u64,
    /// Number of zero bytes at its end that replace bytes which could not be read any more.
    pub padded: u64,
    /// What the file has between these bytes and is not in the archive. It reads as zeros. The name of such a member ends
    /// with `.sparse`. With `length` it adds up to the bytes that the file had.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
}

/// A part of a file that is not in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LeftOut {
    /// Where it begins, in bytes from the beginning of what the member holds.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
    /// Why it was left out.
    pub reason: LeftOutReason,
}

/// Why a part of a file was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOutReason {
    /// A long hole of a sparse file: zeros that are stored nowhere.
    Hole,
    /// Blocks of a long `-shm` behind the one that has the entry of mxFrame: no frame needs them.
    NotIndexed,
}

/// The facts that the pass at capture found in a `-wal` of which only the headers are in the bundle. The WAL header is
/// not repeated here: the member `wal-headers` begins with it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct WalSummary {
    /// Bytes in the file.
    pub file_size: u64,
    /// Frames by class.
    pub frames: FrameCounts,
    /// The first frame that is not part of the valid chain.
    pub end_frame: FrameNumber,
    /// Why the chain ends before that frame.
    pub end_reason: EndReason,
    /// Number of commit frames in the valid chain.
    pub commits: u64,
    /// The last commit.
    pub last_commit: Option<LastCommit>,
    /// Generations in the order in which they appear.
    pub generations: Vec<Generation>,
    /// Number of frames of generations that are not listed.
    pub unlisted_generation_frames: u64,
    /// Where frames with other salts are that belong to no generation. Empty in bundles of versions that did not look:
    /// there, all frames with other salts count as stale.
    #[serde(default)]
    pub unrelated: Vec<Stretch>,
}

impl From<WalFacts> for WalSummary {
    fn from(facts: WalFacts) -> Self {
        let WalFacts {
            file_size,
            header: _,
            frames,
            end_frame,
            end_reason,
            commits,
            last_commit,
            generations,
            unlisted_generation_frames,
            unrelated,
        } = facts;
        Self {
            file_size,
            frames,
            end_frame,
            end_reason,
            commits,
            last_commit,
            generations,
            unlisted_generation_frames,
            unrelated,
        }
    }
}

impl WalSummary {
    /// Why no pass over a WAL can have found these numbers, if they contradict each other. In a bundle they are claims,
    /// and later steps calculate with them.
    #[must_use]
    pub fn contradiction(&self, header: Option<&WalHeader>) -> Option<String> {
        let FrameCounts { in_file, valid, committed, uncommitted, residue, stale, unwritten, unrelated, torn_bytes } =
            self.frames;
        let sum = |parts: &[u64]| parts.iter().try_fold(0, |sum: u64, part| sum.checked_add(*part));
        let listed = self.generations.iter().map(|generation| generation.frames);
        let listed: Vec<u64> = listed.chain([self.unlisted_generation_frames]).collect();
        // More frames than a file can hold give the largest length, which no file size reaches.
        let bytes = header.and_then(WalHeader::page_size).map_or(Some(0), |page_size| {
            sum(&[page_size.stride().length_with(in_file), torn_bytes]).filter(|bytes| *bytes < u64::MAX)
        });
        let last = self.last_commit.map_or(FrameNumber::NONE, |last| last.frame);
        let rules = [
            (sum(&[committed, uncommitted]) == Some(valid), "valid is not committed and uncommitted together"),
            (
                sum(&[valid, residue, stale, unwritten, unrelated]) == Some(in_file),
                "in_file is not all classes together",
            ),
            (last == committed, "last_commit is not the last committed frame"),
            (self.commits <= committed && (self.commits == 0) == (committed == 0), "commits does not fit committed"),
            (
                valid.checked_add(1).map(FrameNumber) == Some(self.end_frame),
                "end_frame is not the frame behind the valid ones",
            ),
            (sum(&listed).is_some_and(|listed| listed <= in_file), "generations have more frames than in_file"),
            (bytes.is_some_and(|bytes| bytes <= self.file_size), "in_file does not fit into file_size"),
        ];
        rules.iter().find(|(holds, _)| !holds).map(|(_, broken)| (*broken).to_owned())
    }

    /// The facts about the WAL, with the header from the beginning of the member `wal-headers`.
    #[must_use]
    pub fn into_facts(self, header: Option<WalHeader>) -> WalFacts {
        WalFacts {
            file_size: self.file_size,
            header,
            frames: self.frames,
            end_frame: self.end_frame,
            end_reason: self.end_reason,
            commits: self.commits,
            last_commit: self.last_commit,
            generations: self.generations,
            unlisted_generation_frames: self.unlisted_generation_frames,
            unrelated: self.unrelated,
        }
    }
}

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Manifest {
    /// `walscope/bundle/1`.
    pub schema: String,
    /// Version of the bundle format.
    pub bundle_version: u32,
    /// Version of the walscope that wrote it.
    pub walscope_version: String,
    /// The path that was asked for.
    pub path: String,
    /// Stability of the last attempt, which this manifest describes.
    pub stability: Stability,
    /// How much of the `-wal` is in the bundle. It was asked for, or it follows from the size.
    pub wal_mode: WalMode,
    /// `mxFrame` of the captured `-shm`, if its header could be trusted. The member `wal` ends with this frame, and
    /// `wal-tail` begins after it.
    pub mx_frame: Option<u32>,
    /// Whether the whole database is in the bundle.
    pub with_db: bool,
    /// The members of the last attempt.
    pub members: Vec<Member>,
    /// The facts that the pass found, if the bundle has only the headers of the `-wal`.
    pub wal_summary: Option<WalSummary>,
    /// Raw texts that could not be read: the name below `proc/`, and the reason.
    pub missing_texts: BTreeMap<String, String>,
    /// Files of another owner whose access time may have changed.
    pub access_time_moved: Vec<String>,
    /// Whether the `-journal` began like one that SQLite would roll back, before and after everything was copied. A
    /// finished one can have the same length. Null in bundles of versions that did not look.
    #[serde(default)]
    pub hot_journal: Option<bool>,
    /// What was seen besides the bytes.
    pub evidence: Evidence,
}

impl Manifest {
    /// Whether a `-journal` waits to be rolled back, according to the bundle.
    #[must_use]
    pub fn hot_journal(&self) -> HotJournal {
        let journal = self.evidence.files.journal.known();
        let waits = |journal: Option<&FileView>| journal.is_some_and(|journal| journal.size > 0);
        journal.map(|journal| self.hot_journal.unwrap_or_else(|| waits(journal))).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::{Checksum, Salts};

    #[test]
    fn wal_facts_travel_through_the_manifest_unchanged() {
        let header = WalHeader {
            magic: 0x377f_0682,
            format_version: 3_007_000,
            page_size: 4096,
            checkpoint_sequence: 3,
            salts: Salts([1, 2]),
            checksum: Checksum([3, 4]),
            checksum_ok: true,
        };
        let facts = WalFacts {
            file_size: 1 << 40,
            header: Some(header),
            frames: FrameCounts {
                in_file: 9,
                valid: 5,
                committed: 4,
                uncommitted: 1,
                stale: 3,
                unrelated: 1,
                ..Default::default()
            },
            end_frame: FrameNumber(6),
            end_reason: EndReason::SaltMismatch,
            commits: 2,
            last_commit: Some(LastCommit { frame: FrameNumber(4), database_pages: 7, checksum: Checksum([8, 9]) }),
            generations: vec![Generation { salts: Salts([1, 2]), frames: 5 }],
            unlisted_generation_frames: 3,
            unrelated: vec![Stretch { first: FrameNumber(9), last: FrameNumber(9) }],
        };
        let json = serde_json::to_vec(&WalSummary::from(facts.clone())).unwrap();
        let back: WalSummary = serde_json::from_slice(&json).unwrap();
        assert_eq!(back.into_facts(Some(header)), facts);
    }
}
