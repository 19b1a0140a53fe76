//! The container of a bundle: a plain tar of regular files, written as a stream and read by position.
//!
//! The `tar` crate encodes and decodes the 512-byte headers. Members are written and walked here, because a size has to
//! be fixed before the bytes are read (missing bytes are padded), and because a report about a damaged bundle gives the
//! offset, the bytes needed and the bytes found. Only regular files are written and accepted: no links, no devices, no
//! sparse entries (which `docker` and others refuse), no extension headers. Names are labels, never paths.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tar::{EntryType, Header};

use crate::bytes::{FileBytes, ReadAt};

use super::SnapshotError;
use super::manifest::Member;

/// Bytes of a tar block.
const BLOCK: u64 = 512;
/// The first member. Its content is a line that names the version.
pub(super) const MARKER: &str = "walscope-bundle";
/// The last member.
pub(super) const MANIFEST: &str = "manifest.json";
/// More members than any capture has; a bound for hostile bundles.
const MEMBERS_AT_MOST: usize = 65_536;

/// Writes members one after the other.
pub(super) struct Writer<'a> {
    out: &'a mut dyn Write,
    /// Modification time of every member, seconds since 1970.
    mtime: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut dyn Write, mtime: u64) -> Self {
        Self { out, mtime }
    }

    /// Writes one member of exactly `length` bytes. Bytes that `fill` writes beyond that are dropped; bytes that it
    /// leaves out are zero.
    pub(super) fn member(
        &mut self,
        name: &str,
        length: u64,
        fill: impl FnOnce(&mut Sink<'_>) -> Result<(), SnapshotError>,
    ) -> Result<Member, SnapshotError> {
        let mut header = Header::new_gnu();
        header.set_path(name).map_err(unwritable)?;
        header.set_entry_type(EntryType::Regular);
        header.set_size(length);
        header.set_mode(0o600);
        header.set_mtime(self.mtime);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        self.out.write_all(header.as_bytes()).map_err(unwritable)?;
        let mut sink = Sink { out: self.out, left: length };
        fill(&mut sink)?;
        let padded = sink.left;
        let to_block = length.next_multiple_of(BLOCK).saturating_sub(length);
        self.zeros(padded)?;
        self.zeros(to_block)?;
        Ok(Member { name: name.to_owned(), length, padded, left_out: Vec::new() })
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> Result<(), SnapshotError> {
        self.zeros(2 * BLOCK)?;
        self.out.flush().map_err(unwritable)
    }

    fn zeros(&mut self, count: u64) -> Result<(), SnapshotError> {
        io::copy(&mut io::Read::take(io::repeat(0), count), &mut self.out).map_err(unwritable)?;
        Ok(())
    }
}

/// Takes the bytes of one member.
pub(super) struct Sink<'a> {
    out: &'a mut dyn Write,
    left: u64,
}

impl Sink<'_> {
    /// Appends zeros, as many as the member still has room for.
    pub(super) fn zeros(&mut self, count: u64) -> Result<(), SnapshotError> {
        let count = count.min(self.left);
        io::copy(&mut io::Read::take(io::repeat(0), count), &mut self.out).map_err(unwritable)?;
        self.left -= count;
        Ok(())
    }

    /// Appends bytes, as many as the member still has room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let bytes = bytes.get(..room).unwrap_or_default();
        self.out.write_all(bytes).map_err(unwritable)?;
        self.left -= room as u64;
        Ok(())
    }
}

fn unwritable(source: io::Error) -> SnapshotError {
    SnapshotError::Io { path: PathBuf::from("the bundle"), action: "write", source }
}

/// Whether these first bytes of a file are those of a bundle.
pub(crate) fn is_bundle(head: &[u8]) -> bool {
    let name = head.get(..100).unwrap_or_default();
    let magic = head.get(257..262);
    name.split(|&b| b == 0).next() == Some(MARKER.as_bytes()) && magic == Some(b"ustar")
}

/// The position of each member of a bundle.
#[derive(Debug)]
pub(super) struct Index {
    members: BTreeMap<String, (u64, u64)>,
}

impl Index {
    /// The bytes of a member.
    pub(super) fn region(&self, file: &Arc<File>, name: &str) -> Option<Arc<dyn ReadAt>> {
        let &(start, length) = self.members.get(name)?;
        Some(Arc::new(FileBytes::region(Arc::clone(file), start, length)))
    }

    /// Bytes of a member.
    pub(super) fn length(&self, name: &str) -> Option<u64> {
        self.members.get(name).map(|&(_, length)| length)
    }

    /// Walks a bundle from header to header. A size that a header claims is compared with the bytes that the file has,
    /// and never trusted.
    ///
    /// # Errors
    /// When the file cannot be read, is no bundle, is damaged or is cut short.
    pub(super) fn walk(path: &Path, file: &Arc<File>) -> Result<Self, SnapshotError> {
        let whole = FileBytes::whole(Arc::clone(file)).map_err(|source| unreadable(path, source))?;
        let mut members = BTreeMap::new();
        let mut at = 0;
        let mut last = String::new();
        while let Some((name, length)) = header_at(path, &whole, at)? {
            if last == MANIFEST {
                return Err(damaged(path, at, "the end behind manifest.json", &format!("another member, `{name}`")));
            }
            let start = at.saturating_add(BLOCK);
            let found = whole.len().saturating_sub(start);
            if length > found {
                return Err(cut(path, start, &format!("{length} bytes of `{name}`"), found));
            }
            if members.len() >= MEMBERS_AT_MOST {
                return Err(damaged(path, at, &format!("at most {MEMBERS_AT_MOST} members"), "more"));
            }
            if members.insert(name.clone(), (start, length)).is_some() {
                return Err(damaged(path, at, "each member once", &format!("`{name}` again")));
            }
            last = name;
            // No overflow: start + length is within the file. The padding may be cut off; reading the next header finds
            // that out.
            at = start.saturating_add(length.next_multiple_of(BLOCK));
        }
        if last != MANIFEST {
            return Err(damaged(path, at, "manifest.json as the last member", &format!("the end behind `{last}`")));
        }
        Ok(Self { members })
    }
}

/// The name and size in the header at `at`; `None` at the end mark of two zero blocks.
fn header_at(path: &Path, file: &FileBytes, at: u64) -> Result<Option<(String, u64)>, SnapshotError> {
    let mut block = [0; BLOCK as usize];
    let n = file.read_at(&mut block, at).map_err(|source| unreadable(path, source))?;
    if at == 0 && !is_bundle(&block) {
        let found = if n < block.len() { format!("{n} bytes") } else { "another kind of file".to_owned() };
        return Err(damaged(path, 0, "a walscope bundle (a tar that begins with `walscope-bundle`)", &found));
    }
    if n < block.len() {
        return Err(cut(path, at, "a tar header of 512 bytes", n as u64));
    }
    if block.iter().all(|&b| b == 0) {
        let second = at.saturating_add(BLOCK);
        let n = file.read_at(&mut block, second).map_err(|source| unreadable(path, source))?;
        return match n == block.len() && block.iter().all(|&b| b == 0) {
            true => Ok(None),
            false if n < block.len() => Err(cut(path, second, "the second zero block of the end mark", n as u64)),
            false => Err(damaged(path, second, "the second zero block of the end mark", "other bytes")),
        };
    }
    let header = Header::from_byte_slice(&block);
    let stored = header.cksum().ok();
    let right = header_checksum(&block);
    if stored != Some(right) {
        let found = stored.map_or("no number".to_owned(), |stored| stored.to_string());
        return Err(damaged(path, at, &format!("a tar header with checksum {right}"), &found));
    }
    if header.entry_type() != EntryType::Regular {
        let found = format!("type {:?}", header.entry_type());
        return Err(damaged(path, at, "a regular file as member", &found));
    }
    let name = match String::from_utf8(header.path_bytes().into_owned()) {
        Ok(name) => name,
        Err(_) => return Err(damaged(path, at, "a member name in UTF-8", "other bytes")),
    };
    let length = header.entry_size().map_err(|e| damaged(path, at, "a member size", &e.to_string()))?;
    Ok(Some((name, length)))
}

/// The checksum of a header: the sum of its bytes, where the checksum's own field (148..156) counts as spaces (POSIX
/// ustar).
fn header_checksum(block: &[u8; BLOCK as usize]) -> u32 {
    let byte = |(at, &b): (usize, &u8)| if (148..156).contains(&at) { 32 } else { u32::from(b) };
    block.iter().enumerate().map(byte).sum()
}

pub(super) fn unreadable(path: &Path, source: io::Error) -> SnapshotError {
    SnapshotError::Io { path: path.to_owned(), action: "read", source }
}

fn cut(path: &Path, offset: u64, needed: &str, found: u64) -> SnapshotError {
    let message = format!("the bundle is cut short: at offset {offset}: needed {needed}, found {found} bytes");
    SnapshotError::Unusable { path: path.to_owned(), message }
}

pub(super) fn damaged(path: &Path, offset: u64, needed: &str, found: &str) -> SnapshotError {
    let message = format!("at offset {offset}: needed {needed}, found {found}");
    SnapshotError::Unusable { path: path.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, 0);
        for (name, bytes) in members {
            writer.member(name, bytes.len(), |sink| sink.write(bytes)).unwrap();
        }
        writer.finish().unwrap();
        out
    }

    fn walk(bytes: &[u8]) -> Result<Index, SnapshotError> {
        let file = tempfile::tempfile().unwrap();
        (&file).write_all(bytes).unwrap();
        Index::walk(Path::new("test"), &Arc::new(file))
    }

    #[test]
    fn what_is_missing_is_padded_and_counted_and_what_is_too_much_dropped() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, 0);
        assert_eq!(writer.member(MARKER, 5, |sink| sink.write(b"abc")).unwrap().padded, 2);
        assert_eq!(writer.member(MANIFEST, 2, |sink| sink.write(b"abc")).unwrap().padded, 0);
        writer.finish().unwrap();
        assert_eq!(&out[512..518], b"abc\0\0\0");
        assert_eq!(out.len(), 4 * 512 + 1024);
        assert_eq!(walk(&out).unwrap().length(MARKER), Some(5));
    }

    #[test]
    fn every_proper_prefix_of_an_archive_is_refused() {
        let whole = written(&[(MARKER, b"1"), ("wal", &[7; 1000]), (MANIFEST, b"{}")]);
        walk(&whole).unwrap();
        for end in 0..whole.len() {
            let error = walk(&whole[..end]).unwrap_err().to_string();
            assert!(error.contains("found"), "{end}: {error}");
        }
    }

    #[test]
    fn more_members_than_any_capture_has_are_refused() {
        let names: Vec<String> = (0..MEMBERS_AT_MOST).map(|n| n.to_string()).collect();
        let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
        let all = [&[(MARKER, &b"1"[..])], members.as_slice(), &[(MANIFEST, b"{}")]].concat();
        assert!(walk(&written(&all)).unwrap_err().to_string().contains("needed at most 65536 members"));
    }

    #[test]
    fn duplicates_links_members_behind_the_manifest_and_huge_sizes_are_refused() {
        let error = |bytes: &[u8]| walk(bytes).unwrap_err().to_string();
        assert!(error(&written(&[(MARKER, b"1"), ("a", b""), ("a", b""), (MANIFEST, b"{}")])).contains("`a` again"));
        assert!(error(&written(&[(MARKER, b"1"), (MANIFEST, b"{}"), ("a", b"")])).contains("another member, `a`"));
        assert!(error(&written(&[(MARKER, b"1")])).contains("manifest.json as the last member"));
        assert!(error(b"SQLite format 3").contains("needed a walscope bundle"));

        let reheader = |change: &dyn Fn(&mut Header)| {
            let mut bytes = written(&[(MARKER, b"1"), ("a", b""), (MANIFEST, b"{}")]);
            let mut header = Header::from_byte_slice(&bytes[1024..1536]).clone();
            change(&mut header);
            header.set_cksum();
            bytes[1024..1536].copy_from_slice(header.as_bytes());
            bytes
        };
        assert!(error(&reheader(&|h| h.set_entry_type(EntryType::Symlink))).contains("type Symlink"));
        assert!(error(&reheader(&|h| h.set_entry_type(EntryType::GNUSparse))).contains("type GNUSparse"));
        assert!(error(&reheader(&|h| h.set_size(u64::MAX))).contains("needed 18446744073709551615 bytes of `a`"));
        let mut flipped = written(&[(MARKER, b"1"), (MANIFEST, b"{}")]);
        flipped[1030] ^= 1;
        assert!(error(&flipped).contains("checksum"));
    }
}
