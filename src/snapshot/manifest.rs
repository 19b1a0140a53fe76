//! `manifest.json`, the last member of a bundle.

use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;

/// How much of the `-wal` is in a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stability {
    /// Whether the files provably are of one moment.
    pub stable: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Attempts made, this one included.
    pub attempts: u32,
}

/// One member of the bundle that belongs to this capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Name in the tar.
    pub name: String,
    /// Bytes in the tar.
    pub length: u64,
    /// Zero bytes at the end that stand for bytes which were gone when they should have been read.
    pub padded: u64,
}

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// How much of the `-wal` was asked for.
    pub wal_mode: WalMode,
    /// `mxFrame` of S1 when its header could be trusted: where the member `wal` ends and `wal-tail` begins.
    pub mx_frame: Option<u32>,
    /// Whether the whole database is in the bundle.
    pub with_db: bool,
    /// The members of the described attempt.
    pub members: Vec<Member>,
    /// Files that were not owned and may have had their access time moved.
    pub access_time_moved: Vec<String>,
    /// What was seen besides the bytes.
    pub evidence: Evidence,
}
