//! A file as it was before a transfer changed its bytes.

use std::io;

use super::change::Change;
use crate::bytes::ReadAt;

/// The bytes of the file between two places of the list, at least.
const SPAN: usize = 1 << 18;

/// An offset in the file, and the offset of the same byte in what it was.
type Place = (u64, u64);

/// A file as it was before its bytes were changed.
pub(crate) struct Undone<'a> {
    source: &'a dyn ReadAt,
    change: Change,
    /// Places at which nothing is left over from before: in the file, and in what it was.
    places: Vec<Place>,
    len: u64,
}

impl<'a> Undone<'a> {
    /// Reads the file once. `None`: it is not all of this form.
    pub(crate) fn new(source: &'a dyn ReadAt, change: Change) -> io::Result<Option<Self>> {
        let begin = if change.is_text() { after_mark(source)? } else { 0 };
        let (mut at, mut out) = (begin, 0_u64);
        let mut places = vec![(begin, 0)];
        let mut left = Left::new(change);
        let mut buffer = vec![0; SPAN];
        loop {
            let data = source.next_data(at).min(source.len());
            if data.saturating_sub(at) > SPAN as u64 {
                // Zero bytes in a hole stay what they are, in the forms that can have them.
                if !matches!(change, Change::LineEndsAdded | Change::Utf8 | Change::Swapped) {
                    return Ok(None);
                }
                left.end(&mut |_| out += 1);
                places.push((at, out));
                (at, out) = (data, out.saturating_add(data - at));
                places.push((at, out));
            }
            let got = source.read_at(&mut buffer, at)?;
            let mut listed = at == begin;
            for (i, byte) in buffer.get(..got).unwrap_or_default().iter().enumerate() {
                let here = at.saturating_add(i as u64);
                if !listed && left.is_clean() {
                    places.push((here.saturating_sub(left.held()), out));
                    listed = true;
                }
                if !left.take(*byte, &mut |_| out += 1) {
                    return Ok(None);
                }
            }
            if got < buffer.len() {
                break;
            }
            at = at.saturating_add(got as u64);
        }
        left.end(&mut |_| out += 1);
        Ok(Some(Self { source, change, places, len: out }))
    }

    /// The place before an offset, in the file and in what it was; and the next one, if nothing was changed between them.
    fn place(&self, offset: u64) -> Option<(Place, Option<Place>)> {
        let before = self.places.partition_point(|(_, out)| *out <= offset).checked_sub(1)?;
        let (place, next) = (*self.places.get(before)?, self.places.get(before + 1).copied());
        let as_it_was = |next: &Place| next.0.wrapping_sub(place.0) == next.1.wrapping_sub(place.1);
        Some((place, next.filter(as_it_was)))
    }
}

/// The marks of a byte order: UTF-8, and UTF-16 in two orders.
const MARKS: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];

/// How long the mark is that stands at the beginning.
fn mark_of(head: &[u8]) -> usize {
    MARKS.into_iter().find(|mark| head.starts_with(mark)).map_or(0, <[u8]>::len)
}

fn after_mark(source: &dyn ReadAt) -> io::Result<u64> {
    let mut head = [0; 3];
    let got = source.read_at(&mut head, 0)?;
    Ok(mark_of(head.get(..got).unwrap_or_default()) as u64)
}

/// Whether a file with this head begins so once the change is undone.
pub(super) fn decoded_begins(head: &[u8], change: Change, begin: &[u8]) -> bool {
    let text = head.get(if change.is_text() { mark_of(head) } else { 0 }..).unwrap_or_default();
    let (mut left, mut decoded) = (Left::new(change), Vec::new());
    for byte in text {
        if decoded.len() >= begin.len() || !left.take(*byte, &mut |byte| decoded.push(byte)) {
            break;
        }
    }
    decoded.starts_with(begin)
}

impl ReadAt for Undone<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(((mut at, mut out), same)) = self.place(offset) else { return Ok(0) };
        if same.is_some() {
            (at, out) = (at.saturating_add(offset - out), offset);
        }
        let (mut left, mut done) = (Left::new(self.change), 0);
        let mut buffer = vec![0; buf.len().clamp(1 << 12, SPAN)];
        loop {
            let got = self.source.read_at(&mut buffer, at)?;
            let mut hand_out = |byte| {
                if out >= offset
                    && let Some(to) = buf.get_mut(done)
                {
                    *to = byte;
                    done += 1;
                }
                out += 1;
            };
            for byte in buffer.get(..got).unwrap_or_default() {
                left.take(*byte, &mut hand_out);
            }
            if got < buffer.len() {
                left.end(&mut hand_out);
                return Ok(done);
            }
            if done == buf.len() {
                return Ok(done);
            }
            at = at.saturating_add(got as u64);
        }
    }

    fn next_data(&self, offset: u64) -> u64 {
        match self.place(offset) {
            Some(((at, out), Some((end, _)))) => {
                let here = at.saturating_add(offset - out);
                offset.saturating_add(self.source.next_data(here).min(end).saturating_sub(here))
            }
            _ => offset,
        }
    }
}

/// What is left over from the bytes before.
struct Left {
    change: Change,
    bits: u32,
    count: u32,
    /// Whether the text has ended: only padding and white space may follow.
    ended: bool,
    /// White space between the digits of one byte.
    blanks: u32,
}

impl Left {
    fn new(change: Change) -> Self {
        Self { change, bits: 0, count: 0, ended: false, blanks: 0 }
    }

    /// Whether the reading can begin here, or at the byte that is [held](Self::held).
    fn is_clean(&self) -> bool {
        self.count == 0 || self.change == Change::LineEndsAdded
    }

    /// Bytes that were taken and not handed out: a carriage return that waits for what follows.
    fn held(&self) -> u64 {
        u64::from(self.change == Change::LineEndsAdded && self.count == 1)
    }

    /// Takes the next byte of the file. False: it cannot be there.
    fn take(&mut self, byte: u8, each: &mut dyn FnMut(u8)) -> bool {
        match self.change {
            Change::LineEndsAdded => {
                if self.count == 1 && byte != b'\n' {
                    each(b'\r');
                }
                self.count = u32::from(byte == b'\r');
                if byte != b'\r' {
                    each(byte);
                }
                true
            }
            Change::Utf8 => match (self.count, byte) {
                (0, 0..0x80) => {
                    each(byte);
                    true
                }
                (0, 0xc2 | 0xc3) => {
                    (self.count, self.bits) = (1, u32::from(byte & 3) << 6);
                    true
                }
                (1, 0x80..0xc0) => {
                    self.count = 0;
                    each(self.bits as u8 | (byte & 0x3f));
                    true
                }
                _ => false,
            },
            Change::Utf16 => {
                let Some(before) = self.second(byte) else { return true };
                // One of the two is zero; which one depends on the byte order.
                each(before | byte);
                before == 0 || byte == 0
            }
            Change::Swapped => {
                let Some(before) = self.second(byte) else { return true };
                each(byte);
                each(before);
                true
            }
            Change::Base64 => match (sextet(byte), byte) {
                (Some(value), _) if !self.ended => self.push(value, 6, each),
                (None, b'=') => {
                    (self.ended, self.count) = (true, 0);
                    true
                }
                (None, _) => self.blank(byte),
                _ => false,
            },
            Change::Hex => match (char::from(byte).to_digit(16), byte) {
                (Some(value), _) => self.push(value, 4, each),
                (None, _) => self.blank(byte),
            },
            Change::LineEndsRemoved
            | Change::Utf8Replaced
            | Change::ZerosReplaced
            | Change::TopBitRemoved
            | Change::ReturnsReplaced
            | Change::FeedsReplaced
            | Change::TabsExpanded
            | Change::Packed => false,
        }
    }

    /// Takes white space, or the zero byte of a character of UTF-16. There is little of both within a byte, so that a
    /// place to begin from is never far.
    fn blank(&mut self, byte: u8) -> bool {
        self.blanks = if self.is_clean() { 0 } else { self.blanks + 1 };
        (byte == 0 || byte.is_ascii_whitespace()) && self.blanks < 256
    }

    /// The first byte of a pair, if this is the second. Else it is kept.
    fn second(&mut self, byte: u8) -> Option<u8> {
        if self.count == 0 {
            (self.count, self.bits) = (1, byte.into());
            return None;
        }
        self.count = 0;
        Some(self.bits as u8)
    }

    fn push(&mut self, value: u32, bits: u32, each: &mut dyn FnMut(u8)) -> bool {
        (self.bits, self.count) = (self.bits << bits | value, self.count + bits);
        if self.count >= 8 {
            self.count -= 8;
            each((self.bits >> self.count) as u8);
            self.bits &= (1 << self.count) - 1;
        }
        true
    }

    /// The end of the file.
    fn end(&mut self, each: &mut dyn FnMut(u8)) {
        match self.change {
            Change::LineEndsAdded if self.count == 1 => each(b'\r'),
            // The last byte of an odd number has none to change places with.
            Change::Swapped if self.count == 1 => each(self.bits as u8),
            _ => {}
        }
        self.count = 0;
    }
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(value.into())
}
