//! Reading a bundle: every size, name and number in it is a claim to be checked against the file.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use crate::bytes::{Joined, ReadAt, read_all};
use crate::format::wal::{HEADER_SIZE, parse_header};
use crate::number::Stride;

use super::archive::{Index, MANIFEST, MARKER, damaged, unreadable};
use super::manifest::{MANIFEST_AT_MOST, Manifest, SPARSE, prefix};
use super::seen::without_bytes;
use super::sparse::Sparse;
use super::{BUNDLE_VERSION, Capture, SnapshotError};
use crate::look::{DatabaseSeen, WalSeen};

/// Reads a bundle from an open file.
pub(super) fn read(label: &str, file: &Arc<File>) -> Result<Capture, SnapshotError> {
    let path = Path::new(label);
    let mode = file.metadata().map_err(|e| unreadable(path, e))?.mode();
    let bundle = Bundle { path, file, index: Index::walk(path, file)? };
    bundle.check_marker()?;
    let manifest = bundle.manifest()?;
    bundle.check_members(&manifest)?;
    Ok(Capture {
        label: label.to_owned(),
        shm: bundle.region(&manifest, "shm")?,
        wal: bundle.wal(&manifest)?,
        database: bundle.database(&manifest)?,
        manifest,
        readable_by_others: mode & 0o044 != 0,
    })
}

struct Bundle<'a> {
    path: &'a Path,
    file: &'a Arc<File>,
    index: Index,
}

impl Bundle<'_> {
    fn unusable(&self, message: String) -> SnapshotError {
        SnapshotError::Unusable { path: self.path.to_owned(), message }
    }

    fn whole(&self, name: &str, limit: u64) -> Result<Vec<u8>, SnapshotError> {
        let region = self.index.region(self.file, name);
        let region = region.ok_or_else(|| self.unusable(format!("the bundle has no member `{name}`")))?;
        read_all(region.as_ref(), limit).map_err(|e| self.unusable(format!("member `{name}`: {e}")))
    }

    fn check_version(&self, version: u64) -> Result<(), SnapshotError> {
        if version > u64::from(BUNDLE_VERSION) {
            let message =
                format!("written by a newer walscope, bundle version {version}, this one reads up to {BUNDLE_VERSION}");
            return Err(self.unusable(message));
        }
        if version == 0 {
            return Err(self.unusable(format!("bundle version: needed 1 to {BUNDLE_VERSION}, found 0")));
        }
        Ok(())
    }

    /// Checks the first member, which names the version: a newer bundle is recognized even if its manifest has another
    /// form.
    fn check_marker(&self) -> Result<(), SnapshotError> {
        let marker = self.whole(MARKER, 512)?;
        let text = String::from_utf8_lossy(&marker);
        let version = text.strip_prefix("walscope bundle ").and_then(|rest| rest.trim_end().parse().ok());
        match version {
            Some(version) => self.check_version(version),
            None => Err(damaged(self.path, 512, "`walscope bundle` and a version", &format!("{text:?}"))),
        }
    }

    fn manifest(&self) -> Result<Manifest, SnapshotError> {
        #[derive(Deserialize)]
        struct Version {
            bundle_version: u64,
        }
        let json = self.whole(MANIFEST, MANIFEST_AT_MOST)?;
        // The version is read first, alone: a newer manifest may have other fields.
        let unreadable = |e: serde_json::Error| self.unusable(format!("member `{MANIFEST}`: {e}"));
        let version: Version = serde_json::from_slice(&json).map_err(unreadable)?;
        self.check_version(version.bundle_version)?;
        serde_json::from_slice(&json).map_err(unreadable)
    }

    /// Checks that each member in the manifest is there, with the length that the manifest says.
    fn check_members(&self, manifest: &Manifest) -> Result<(), SnapshotError> {
        for member in &manifest.members {
            let found = self.index.length(&member.name);
            if found != Some(member.length) {
                let found = found.map_or("no such member".to_owned(), |n| format!("{n}"));
                let needed = member.length;
                return Err(self.unusable(format!(
                    "member `{}`: needed {needed} bytes as manifest.json says, found {found}",
                    member.name
                )));
            }
        }
        Ok(())
    }

    /// A member of the attempt that the manifest describes.
    fn region(&self, manifest: &Manifest, name: &str) -> Result<Option<Arc<dyn ReadAt>>, SnapshotError> {
        let whole = format!("{}{name}", prefix(manifest.stability.attempts));
        let sparse = format!("{whole}{SPARSE}");
        let found = manifest.members.iter().find(|member| member.name == whole || member.name == sparse);
        let Some((member, bytes)) =
            found.and_then(|member| Some((member, self.index.region(self.file, &member.name)?)))
        else {
            return Ok(None);
        };
        if member.left_out.is_empty() {
            return Ok(Some(bytes));
        }
        let sparse = Sparse::new(bytes, &member.left_out);
        let sparse = sparse.ok_or_else(|| {
            self.unusable(format!("member `{MANIFEST}`: left_out of `{}` does not fit together", member.name))
        })?;
        Ok(Some(Arc::new(sparse)))
    }

    fn wal(&self, manifest: &Manifest) -> Result<WalSeen, SnapshotError> {
        if let Some(wal) = self.region(manifest, "wal")? {
            let tail = self.region(manifest, "wal-tail")?;
            return Ok(WalSeen::Whole(match tail {
                Some(tail) => Arc::new(Joined::new(wal, tail)),
                None => wal,
            }));
        }
        if let Some(bytes) = self.region(manifest, "wal-headers")? {
            let Some(summary) = manifest.wal_summary.clone() else {
                return Err(self.unusable("manifest.json has no wal_summary for the member `wal-headers`".to_owned()));
            };
            let needed = summary.frames.in_file;
            let found = Stride::HEADERS.frames_in(bytes.len());
            if found < needed {
                return Err(self.unusable(format!(
                    "member `wal-headers`: needed {needed} frame headers as wal_summary says, found {found}"
                )));
            }
            let mut head = [0; HEADER_SIZE];
            let n = bytes.read_at(&mut head, 0).map_err(|e| unreadable(self.path, e))?;
            let header = parse_header(head.get(..n).unwrap_or_default()).ok();
            if let Some(broken) = summary.contradiction(header.as_ref()) {
                return Err(self.unusable(format!("member `{MANIFEST}`: wal_summary does not add up: {broken}")));
            }
            return Ok(WalSeen::Headers { bytes, facts: Box::new(summary.into_facts(header)) });
        }
        Ok(without_bytes(&manifest.evidence.files.wal, WalSeen::Absent, WalSeen::NotSeen))
    }

    fn database(&self, manifest: &Manifest) -> Result<DatabaseSeen, SnapshotError> {
        if let Some(whole) = self.region(manifest, "db")? {
            return Ok(DatabaseSeen::Whole(whole));
        }
        let file = &manifest.evidence.files.database;
        let nothing = || without_bytes(file, DatabaseSeen::Absent, DatabaseSeen::NotSeen);
        Ok(self.region(manifest, "db-page1")?.map_or_else(nothing, DatabaseSeen::FirstPage))
    }
}
