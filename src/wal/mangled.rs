//! Files whose bytes were changed by a transfer: line ends were translated, or the bytes were written as text.
//!
//! What was changed is undone while it is read, and the result is looked at as if it were the file. So a change is said to
//! be proven only if more frames are right without it than with it, or if a database has the size that it must have. No
//! copy is made: a list of places in the file, one for each quarter of a MiB, lets any part be read on its own.

mod change;
mod restoring;
mod undone;

use std::io;

use crate::bytes::ReadAt;
use crate::number::FrameNumber;

use super::{EndReason, Scan, WalFacts};
pub use change::{Change, Undoing};
use restoring::removed;
pub(crate) use undone::Undone;

/// The bytes that are read to see whether a change is likely.
const GLANCE: usize = 1 << 17;
/// The number of line feeds without a single one that is not behind a carriage return, from which on chance is no cause.
pub const LINE_ENDS_ENOUGH: u64 = 8;

/// A `-wal` whose bytes were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MangledWal {
    /// What was done.
    pub change: Change,
    /// The first frame that is not as it was written.
    pub first: FrameNumber,
    /// Frames that SQLite reads as the file is.
    pub valid: u64,
    /// Frames and commits that are right once the change is undone. `None`: it cannot be undone here.
    pub undone: Option<Undoing>,
}

/// Looks for a change of the bytes of a `-wal`, if its chain of frames breaks.
///
/// # Errors
/// Only an error of reading.
pub fn of_wal(wal: &dyn ReadAt, facts: &WalFacts, threads: usize) -> io::Result<Option<MangledWal>> {
    use EndReason::{EmptyFile, EndOfFile, NoFile};
    if matches!(facts.end_reason, NoFile | EmptyFile | EndOfFile) {
        return Ok(None);
    }
    let mangled =
        |change, undone| Some(MangledWal { change, first: facts.end_frame, valid: facts.frames.valid, undone });
    let broken = facts.page_size().is_none();
    let head = glance(wal, 0)?;
    if broken && let Some(change) = by_beginning(&head, WAL_BEGINS) {
        let undone = match change {
            Change::Packed | Change::Utf8Replaced => None,
            change => undo(wal, change, facts, threads)?,
        };
        // Text that gives no WAL is text of something else.
        return Ok(if undone.is_some() || matches!(change, Change::Packed | Change::Utf8Replaced) {
            mangled(change, undone)
        } else {
            None
        });
    }
    let at = facts.page_size().map_or(0, |size| size.offset_of(facts.end_frame));
    let here = if at == 0 { head } else { glance(wal, at)? };
    let ends = LineEnds::of(&here);
    if ends.pairs > 0 && ends.alone == 0 && all_pairs(wal)?.is_some() {
        let undone = undo(wal, Change::LineEndsAdded, facts, threads)?;
        if undone.is_some() {
            return Ok(mangled(Change::LineEndsAdded, undone));
        }
    }
    if !broken && let Some(undone) = removed(wal, facts, at)? {
        return Ok(mangled(Change::LineEndsRemoved, Some(undone)));
    }
    Ok(None)
}

/// How the text forms of a file begin.
type Begins = &'static [(&'static [u8], Change)];

const WAL_BEGINS: Begins = &[
    (b"N38GggAt4hg", Change::Base64),
    (b"N38GgwAt4hg", Change::Base64),
    (b"377f0682002de218", Change::Hex),
    (b"377f0683002de218", Change::Hex),
    (b"377F0682002DE218", Change::Hex),
    (b"377F0683002DE218", Change::Hex),
    (b"7\x7f\x06\xc2\x82\0-\xc3\xa2\x18", Change::Utf8),
    (b"7\x7f\x06\xc2\x83\0-\xc3\xa2\x18", Change::Utf8),
    (b"7\x7f\x06\xef\xbf\xbd\0-\xef\xbf\xbd\x18", Change::Utf8Replaced),
    (b"7\0\x7f\0\x06\0\x82\0\0\0-\0\xe2\0", Change::Utf16),
    (b"7\0\x7f\0\x06\0\x83\0\0\0-\0\xe2\0", Change::Utf16),
];

/// How text forms of a database begin.
pub(crate) const DATABASE_BEGINS: Begins = &[
    (b"U1FMaXRlIGZvcm1hdCAzA", Change::Base64),
    (b"53514c69746520666f726d6174203300", Change::Hex),
    (b"53514C69746520666F726D6174203300", Change::Hex),
    (b"S\0Q\0L\0i\0t\0e\0 \0f\0o\0r\0m\0a\0t\0", Change::Utf16),
];

/// How compressed files and archives begin: gzip, zstd, xz, bzip2, zip, lz4, 7z.
const PACKED_BEGINS: &[&[u8]] = &[
    b"\x1f\x8b\x08",
    b"\x28\xb5\x2f\xfd",
    b"\xfd7zXZ\0",
    b"BZh91AY&SY",
    b"BZh11AY&SY",
    b"PK\x03\x04",
    b"\x04\x22\x4d\x18",
    b"7z\xbc\xaf\x27\x1c",
];

/// What the beginning of a file shows.
pub(crate) fn by_beginning(head: &[u8], begins: Begins) -> Option<Change> {
    let head = head.strip_prefix(b"\xff\xfe").or_else(|| head.strip_prefix(b"\xef\xbb\xbf")).unwrap_or(head);
    let text = begins.iter().find(|(begin, _)| head.starts_with(begin)).map(|(_, change)| *change);
    text.or_else(|| PACKED_BEGINS.iter().any(|begin| head.starts_with(begin)).then_some(Change::Packed))
}

/// Line feeds behind a carriage return, and others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LineEnds {
    pub(crate) pairs: u64,
    pub(crate) alone: u64,
}

impl LineEnds {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut ends = Self::default();
        let mut before = 0;
        for byte in bytes {
            if *byte == b'\n' {
                if before == b'\r' { ends.pairs += 1 } else { ends.alone += 1 }
            }
            before = *byte;
        }
        ends
    }
}

fn glance(bytes: &dyn ReadAt, at: u64) -> io::Result<Vec<u8>> {
    let mut head = vec![0; GLANCE.min(usize::try_from(bytes.len().saturating_sub(at)).unwrap_or(GLANCE))];
    let got = bytes.read_at(&mut head, at)?;
    head.truncate(got);
    Ok(head)
}

/// Line feeds that have a carriage return before each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pairs {
    pub(crate) count: u64,
    /// Where the first pair begins.
    pub(crate) first: u64,
}

/// The line feeds of a file, if there are any and each has a carriage return before it. The reading ends with the first
/// that has none.
pub(crate) fn all_pairs(bytes: &dyn ReadAt) -> io::Result<Option<Pairs>> {
    let (mut buffer, mut at, mut before) = (vec![0; GLANCE], 0_u64, 0);
    let mut pairs = Pairs { count: 0, first: 0 };
    loop {
        let data = bytes.next_data(at).min(bytes.len());
        if data > at {
            (at, before) = (data, 0);
        }
        let got = bytes.read_at(&mut buffer, at)?;
        for (i, byte) in buffer.get(..got).unwrap_or_default().iter().enumerate() {
            if *byte == b'\n' {
                if before != b'\r' {
                    return Ok(None);
                }
                if pairs.count == 0 {
                    pairs.first = at.saturating_add(i as u64).saturating_sub(1);
                }
                pairs.count += 1;
            }
            before = *byte;
        }
        if got < buffer.len() {
            return Ok((pairs.count > 0).then_some(pairs));
        }
        at = at.saturating_add(got as u64);
    }
}

/// Whether a file has no line feed behind a carriage return, and at least so many line feeds. The reading ends with the
/// first pair.
pub(crate) fn no_pairs(bytes: &dyn ReadAt, at_least: u64) -> io::Result<bool> {
    let (mut buffer, mut at, mut before, mut feeds) = (vec![0; GLANCE], 0_u64, 0, 0_u64);
    loop {
        let data = bytes.next_data(at).min(bytes.len());
        if data > at {
            (at, before) = (data, 0);
        }
        let got = bytes.read_at(&mut buffer, at)?;
        for byte in buffer.get(..got).unwrap_or_default() {
            if *byte == b'\n' {
                if before == b'\r' {
                    return Ok(false);
                }
                feeds += 1;
            }
            before = *byte;
        }
        if got < buffer.len() {
            return Ok(feeds >= at_least);
        }
        at = at.saturating_add(got as u64);
    }
}

/// How many replacement characters are in a file that is UTF-8 throughout. The reading ends with the first byte that
/// is not.
pub(crate) fn replaced(bytes: &dyn ReadAt) -> io::Result<Option<u64>> {
    let (mut buffer, mut at, mut count) = (vec![0; GLANCE], 0_u64, 0_u64);
    loop {
        at = bytes.next_data(at).min(bytes.len()).max(at);
        let got = bytes.read_at(&mut buffer, at)?;
        let whole = buffer.get(..got).unwrap_or_default();
        let valid = match std::str::from_utf8(whole) {
            Ok(_) => got,
            // The last character may be cut off by the end of the buffer.
            Err(error) if error.error_len().is_none() && got == buffer.len() => error.valid_up_to(),
            Err(_) => return Ok(None),
        };
        let text = whole.get(..valid).unwrap_or_default();
        count += text.windows(3).filter(|three| *three == b"\xef\xbf\xbd").count() as u64;
        if got < buffer.len() {
            return Ok(Some(count));
        }
        at = at.saturating_add(valid.max(1) as u64);
    }
}

/// What is right in a WAL without this change, if it is more than with it.
fn undo(wal: &dyn ReadAt, change: Change, facts: &WalFacts, threads: usize) -> io::Result<Option<Undoing>> {
    let Some(undone) = Undone::new(wal, change)? else { return Ok(None) };
    let now = Scan::new(&undone).threads(threads).facts()?;
    let more = now.frames.valid > facts.frames.valid;
    Ok(more.then_some(Undoing { frames: now.frames.valid, commits: now.commits }))
}
