//! `walscope/snapshot/1`: what was captured.

use schemars::JsonSchema;
use serde::Serialize;

use super::finding::{FindingDocument, documents};
use super::text::{self, GREEN, YELLOW, bytes, count, entry, styled};
use super::{line, table};
use crate::bundle::WalMode;
use crate::bundle::manifest::{Manifest, Member};
use crate::finding::Finding;

/// The schema's name and version.
pub const SCHEMA: &str = "walscope/snapshot/1";

/// The document.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
pub struct SnapshotDocument {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The bundle; null when it went to standard output.
    pub file: Option<String>,
    /// Bytes of the bundle; null when it went to standard output.
    pub size: Option<u64>,
    /// The database's path with symbolic links resolved.
    pub path: String,
    /// Whether it is proven that the capture is of one moment.
    pub stable: bool,
    /// Why that is not proven.
    pub reason: Option<String>,
    /// Number of attempts.
    pub attempts: u32,
    /// How much of the `-wal` is in the bundle.
    pub wal_mode: WalMode,
    /// `mxFrame` of the captured wal-index. Null: it could not be trusted.
    pub mx_frame: Option<u32>,
    /// Whether the whole database is in the bundle.
    pub with_db: bool,
    /// The members of the last attempt, which is the one that counts.
    pub members: Vec<Member>,
    /// Findings.
    pub findings: Vec<FindingDocument>,
}

impl SnapshotDocument {
    /// Makes the document from a manifest. `written` is the name and size of the bundle if it is a file.
    #[must_use]
    pub fn new(manifest: &Manifest, written: Option<(String, u64)>, findings: &[Finding]) -> Self {
        let (file, size) = written.unzip();
        Self {
            schema: SCHEMA,
            file,
            size,
            path: manifest.evidence.files.database_path.clone(),
            stable: manifest.stability.stable,
            reason: manifest.stability.reason.clone(),
            attempts: manifest.stability.attempts,
            wal_mode: manifest.wal_mode,
            mx_frame: manifest.mx_frame,
            with_db: manifest.with_db,
            members: manifest.members.clone(),
            findings: documents(findings),
        }
    }

    /// The summary, at most `width` columns wide, with colour.
    #[must_use]
    pub fn draw(&self, width: usize) -> String {
        let attempts = text::many(self.attempts, "attempt");
        let state = if self.stable {
            format!("{}, after {attempts}", styled(GREEN, "of one moment"))
        } else {
            format!("{}, after {attempts}", styled(YELLOW, "not of one moment"))
        };
        let mut out = String::new();
        if let (Some(file), Some(size)) = (&self.file, self.size) {
            out.push_str(&entry("Bundle", &format!("{}, {}", line(file), bytes(size)), width));
        }
        out.push_str(&entry("Database", &line(&self.path), width));
        out.push_str(&entry("Capture", &state, width));
        out.push_str(&entry("-wal", &self.wal_line(), width));
        out.push('\n');
        let rows: Vec<Vec<String>> =
            self.members.iter().map(|member| vec![member.name.clone(), count(member.length)]).collect();
        out.push_str(&table::draw(&["member", "bytes"], &rows, width));
        if !self.findings.is_empty() {
            out.push('\n');
            out.push_str(&text::findings(&self.findings, width));
        }
        out
    }

    fn wal_line(&self) -> String {
        let mode = match self.wal_mode {
            WalMode::Full => "the whole file",
            WalMode::Headers => "header and frame headers only, no page content",
            WalMode::None => "left out",
        };
        match self.mx_frame {
            Some(frame) => format!("{mode}; the wal-index ends at frame {}", count(frame)),
            None => mode.to_owned(),
        }
    }
}
