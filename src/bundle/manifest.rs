//! `manifest.json`, the last member of a bundle.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;
use crate::format::wal::WalHeader;
use crate::number::FrameNumber;
use crate::wal::{EndReason, FrameCounts, Generation, LastCommit, WalFacts};

/// The largest manifest that is read or written. A real one has some tens of KiB; this limits what a hostile one costs.
pub(super) const MANIFEST_AT_MOST: u64 = 16 << 20;

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
    /// Whether the files provably are of one moment.
    pub stable: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Attempts made, this one included.
    pub attempts: u32,
}

/// One member of the bundle that belongs to this capture.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Member {
    /// Name in the tar.
    pub name: String,
    /// Bytes in the tar.
    pub length: u64,
    /// Zero bytes at the end that stand for bytes which were gone when they should have been read.
    pub padded: u64,
}

/// What the scan at capture found in a `-wal` of which only the headers were taken. The WAL header itself is not
/// repeated here: its 32 bytes open the member `wal-headers`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct WalSummary {
    /// Bytes in the file.
    pub file_size: u64,
    /// Frames by class.
    pub frames: FrameCounts,
    /// The first frame that is not part of the valid chain.
    pub end_frame: FrameNumber,
    /// Why the chain ends.
    pub end_reason: EndReason,
    /// Commit frames in the valid chain.
    pub commits: u64,
    /// The last of them.
    pub last_commit: Option<LastCommit>,
    /// Generations in order of first appearance.
    pub generations: Vec<Generation>,
    /// Frames of generations beyond the listed ones.
    pub unlisted_generation_frames: u64,
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
        } = facts;
        Self { file_size, frames, end_frame, end_reason, commits, last_commit, generations, unlisted_generation_frames }
    }
}

impl WalSummary {
    /// Why no scan can have found these numbers, if they contradict each other. In a bundle they are claims, and later
    /// steps calculate with them.
    #[must_use]
    pub fn contradiction(&self, header: Option<&WalHeader>) -> Option<String> {
        let FrameCounts { in_file, valid, committed, uncommitted, residue, stale, unwritten, torn_bytes } = self.frames;
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
            (sum(&[valid, residue, stale, unwritten]) == Some(in_file), "in_file is not all classes together"),
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
    /// Stability of the attempt that this manifest describes, the last one.
    pub stability: Stability,
    /// How much of the `-wal` was taken: what was asked for, or what its size decided.
    pub wal_mode: WalMode,
    /// `mxFrame` of S1 when its header could be trusted: where the member `wal` ends and `wal-tail` begins.
    pub mx_frame: Option<u32>,
    /// Whether the whole database is in the bundle.
    pub with_db: bool,
    /// The members of the described attempt.
    pub members: Vec<Member>,
    /// What the scan found, where only the headers of the `-wal` were taken.
    pub wal_summary: Option<WalSummary>,
    /// Raw texts that could not be had: name below `proc/` to reason.
    pub missing_texts: BTreeMap<String, String>,
    /// Files that were not owned and may have had their access time moved.
    pub access_time_moved: Vec<String>,
    /// Whether the `-journal` began, before and after everything was copied, as one does that SQLite would roll back; a
    /// finished one can be as long. Null in bundles of versions that did not look.
    #[serde(default)]
    pub hot_journal: Option<bool>,
    /// What was seen besides the bytes.
    pub evidence: Evidence,
}

impl Manifest {
    /// Whether a `-journal` waits to be rolled back, according to the bundle; `None` when it could not be seen.
    #[must_use]
    pub fn hot_journal(&self) -> Option<bool> {
        let journal = self.evidence.files.journal.known()?;
        Some(self.hot_journal.unwrap_or_else(|| journal.is_some_and(|journal| journal.size > 0)))
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
            frames: FrameCounts { in_file: 9, valid: 5, committed: 4, uncommitted: 1, stale: 4, ..Default::default() },
            end_frame: FrameNumber(6),
            end_reason: EndReason::SaltMismatch,
            commits: 2,
            last_commit: Some(LastCommit { frame: FrameNumber(4), database_pages: 7, checksum: Checksum([8, 9]) }),
            generations: vec![Generation { salts: Salts([1, 2]), frames: 5 }],
            unlisted_generation_frames: 4,
        };
        let json = serde_json::to_vec(&WalSummary::from(facts.clone())).unwrap();
        let back: WalSummary = serde_json::from_slice(&json).unwrap();
        assert_eq!(back.into_facts(Some(header)), facts);
    }
}
