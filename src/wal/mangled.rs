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
use undone::decoded_begins;

/// The bytes that are read to see whether a change is likely.
const GLANCE: usize = 1 << 17;
/// If so many bytes of a kind were all changed, and none was left as it was, chance is no cause.
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
        if change == Change::Packed || change.is_proven_by_beginning() {
            return Ok(mangled(change, None));
        }
        // Text that gives no WAL is text of something else.
        let undone = undo(wal, change, facts, threads)?;
        return Ok(undone.and_then(|undone| mangled(change, Some(undone))));
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
    if let Some(undone) = removed(wal, facts)? {
        return Ok(mangled(Change::LineEndsRemoved, Some(undone)));
    }
    Ok(None)
}

/// How a WAL begins: the magic in one of two byte orders, and the version.
const WAL_BEGINS: &[&[u8]] = &[b"\x37\x7f\x06\x82\0\x2d\xe2\x18", b"\x37\x7f\x06\x83\0\x2d\xe2\x18"];

/// How compressed files and archives begin: gzip, zstd, xz, zip, lz4, 7z.
const PACKED_BEGINS: &[&[u8]] =
    &[b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"PK\x03\x04", b"\x04\x22\x4d\x18", b"7z\xbc\xaf\x27\x1c"];

/// What the beginning of a file shows that does not begin as it should: `begins`.
pub(crate) fn by_beginning(head: &[u8], begins: &[&[u8]]) -> Option<Change> {
    let decoded = |change: &Change| begins.iter().any(|begin| decoded_begins(head, *change, begin));
    let lossy = |change: &Change| {
        begins
            .iter()
            .map(|begin| (begin, change.made_of(begin)))
            .any(|(begin, made)| made != *begin && head.starts_with(&made))
    };
    Change::DECODED
        .into_iter()
        .find(decoded)
        .or_else(|| Change::LOSSY.into_iter().find(lossy))
        .or_else(|| is_packed(head).then_some(Change::Packed))
}

fn is_packed(head: &[u8]) -> bool {
    // bzip2 has the size of its blocks between the two.
    let bzip2 = matches!(head, [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', b'&', b'S', b'Y', ..]);
    bzip2 || PACKED_BEGINS.iter().any(|begin| head.starts_with(begin))
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
        count += text.windows(3).filter(|three| *three == change::REPLACEMENT).count() as u64;
        if got < buffer.len() {
            return Ok(Some(count));
        }
        at = at.saturating_add(valid.max(1) as u64);
    }
}

/// Whether this change was made to the whole file, as far as its bytes show: what it takes away does not occur, and what it
/// puts there does. The reading ends with the first byte that speaks against it.
pub(crate) fn is_throughout(bytes: &dyn ReadAt, change: Change) -> io::Result<bool> {
    let (gone, instead): (fn(&u8) -> bool, _) = match change {
        Change::TopBitRemoved => (|byte| *byte >= 0x80, None),
        Change::ReturnsReplaced => (|byte| *byte == b'\r', Some(b'\n')),
        Change::FeedsReplaced => (|byte| *byte == b'\n', Some(b'\r')),
        Change::TabsExpanded => (|byte| *byte == b'\t', Some(b' ')),
        _ => return Ok(false),
    };
    let (mut none, mut there) = (true, 0_u64);
    each_part(bytes, &mut |part| {
        none = !part.iter().any(gone);
        there += part.iter().filter(|byte| Some(**byte) == instead).count() as u64;
        none
    })?;
    Ok(none && (instead.is_none() || there >= LINE_ENDS_ENOUGH))
}

/// Hands out the stored bytes in parts, until `each` wants no more.
fn each_part(bytes: &dyn ReadAt, each: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
    let (mut buffer, mut at) = (vec![0; GLANCE], 0_u64);
    loop {
        at = bytes.next_data(at).min(bytes.len()).max(at);
        let got = bytes.read_at(&mut buffer, at)?;
        if !each(buffer.get(..got).unwrap_or_default()) || got < buffer.len() {
            return Ok(());
        }
        at = at.saturating_add(got as u64);
    }
}

/// What is right in a WAL without this change, if it is more than with it.
fn undo(wal: &dyn ReadAt, change: Change, facts: &WalFacts, threads: usize) -> io::Result<Option<Undoing>> {
    let Some(undone) = Undone::new(wal, change)? else { return Ok(None) };
    let now = Scan::new(&undone).threads(threads).facts()?;
    let more = now.frames.valid > facts.frames.valid;
    Ok(more.then_some(Undoing { frames: now.frames.valid, commits: now.commits }))
}
