//! The `-wal` in the JSON contract.

use schemars::JsonSchema;
use serde::Serialize;

use crate::format::wal::WalHeader;
use crate::number::{ByteOrder, Checksum, Salts};
use crate::wal::{EndReason, FrameCounts, WalFacts};

/// A `-wal`: its header, its frames by class, where the valid chain ends and why.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Wal {
    /// The header. Null: the file has fewer than 32 bytes.
    pub header: Option<Header>,
    /// Frames by class.
    pub frames: FrameCounts,
    /// The end of the valid chain.
    pub end: End,
    /// Commit frames in the valid chain.
    pub commits: u64,
    /// Pages of the database after the last commit.
    pub database_pages: Option<u32>,
    /// Checksum of the last commit frame.
    pub last_checksum: Option<[u32; 2]>,
    /// Frames grouped by salts; the current generation is first.
    pub generations: Vec<Generation>,
    /// Number of frames of generations that are not listed.
    pub unlisted_generation_frames: u64,
}

/// The WAL header.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Header {
    /// 0x377f0682 or 0x377f0683.
    pub magic: u32,
    /// Byte order of the words that the checksums cover, as the magic names it: `little` or `big`. Null: the magic is
    /// another number.
    pub checksum_byte_order: Option<&'static str>,
    /// 3007000.
    pub format_version: u32,
    /// Bytes of a page.
    pub page_size: u32,
    /// Counts checkpoints. It does not always increase.
    pub checkpoint_sequence: u32,
    /// Salt-1.
    pub salt1: u32,
    /// Salt-2.
    pub salt2: u32,
    /// Checksum-1 of the first 24 bytes.
    pub checksum1: u32,
    /// Checksum-2 of the first 24 bytes.
    pub checksum2: u32,
    /// Whether the checksum of the first 24 bytes is right.
    pub checksum_ok: bool,
}

/// Where the valid chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
pub struct End {
    /// The first frame that is not part of the valid chain.
    pub frame: u64,
    /// Why the chain ends before this frame.
    pub reason: EndReason,
}

/// Frames that share salts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Generation {
    /// Salt-1.
    pub salt1: u32,
    /// Salt-2.
    pub salt2: u32,
    /// Number of frames in the file with these salts.
    pub frames: u64,
    /// What this generation is to the header.
    pub role: Role,
}

/// What a generation is to the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The generation of the header.
    Current,
    /// A generation from before a restart.
    Older,
}

impl From<&WalFacts> for Wal {
    fn from(facts: &WalFacts) -> Self {
        let current = facts.header.map(|header| header.salts);
        let generation = |&crate::wal::Generation { salts, frames }: &crate::wal::Generation| {
            let Salts([salt1, salt2]) = salts;
            let role = if current == Some(salts) { Role::Current } else { Role::Older };
            Generation { salt1, salt2, frames, role }
        };
        Self {
            header: facts.header.as_ref().map(Header::from),
            frames: facts.frames,
            end: End { frame: facts.end_frame.count(), reason: facts.end_reason },
            commits: facts.commits,
            database_pages: facts.last_commit.map(|commit| commit.database_pages),
            last_checksum: facts.last_commit.map(|commit| commit.checksum.0),
            generations: facts.generations.iter().map(generation).collect(),
            unlisted_generation_frames: facts.unlisted_generation_frames,
        }
    }
}

impl From<&WalHeader> for Header {
    fn from(header: &WalHeader) -> Self {
        let (Salts([salt1, salt2]), Checksum([checksum1, checksum2])) = (header.salts, header.checksum);
        Self {
            magic: header.magic,
            checksum_byte_order: header.checksum_order().map(ByteOrder::name),
            format_version: header.format_version,
            page_size: header.page_size,
            checkpoint_sequence: header.checkpoint_sequence,
            salt1,
            salt2,
            checksum1,
            checksum2,
            checksum_ok: header.checksum_ok,
        }
    }
}
