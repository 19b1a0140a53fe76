//! What a transfer can do to the bytes of a file.

/// The replacement character in UTF-8.
pub(super) const REPLACEMENT: &[u8] = b"\xef\xbf\xbd";

/// What was done to the bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// Each line feed became a carriage return and a line feed.
    LineEndsAdded,
    /// Each carriage return before a line feed was removed.
    LineEndsRemoved,
    /// Each byte became a character of two bytes in UTF-8, if it was 0x80 or more.
    Utf8,
    /// Each byte that was 0x80 or more became the replacement character of UTF-8. What it was is lost.
    Utf8Replaced,
    /// Each byte became a character of two bytes in UTF-16.
    Utf16,
    /// The bytes were written as base64.
    Base64,
    /// The bytes were written as hexadecimal digits.
    Hex,
    /// The two bytes of each pair changed places.
    Swapped,
    /// Each zero byte became a space. Which spaces were zeros is lost.
    ZerosReplaced,
    /// The highest bit of each byte was removed.
    TopBitRemoved,
    /// Each carriage return became a line feed.
    ReturnsReplaced,
    /// Each line feed became a carriage return.
    FeedsReplaced,
    /// Each tab became spaces.
    TabsExpanded,
    /// The file is compressed or an archive.
    Packed,
}

impl Change {
    /// Its name in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LineEndsAdded => "line_ends_added",
            Self::LineEndsRemoved => "line_ends_removed",
            Self::Utf8 => "utf8",
            Self::Utf8Replaced => "utf8_replaced",
            Self::Utf16 => "utf16",
            Self::Base64 => "base64",
            Self::Hex => "hex",
            Self::Swapped => "swapped",
            Self::ZerosReplaced => "zeros_replaced",
            Self::TopBitRemoved => "top_bit_removed",
            Self::ReturnsReplaced => "returns_replaced",
            Self::FeedsReplaced => "feeds_replaced",
            Self::TabsExpanded => "tabs_expanded",
            Self::Packed => "packed",
        }
    }

    /// Those that the beginning of a file shows once it is decoded.
    pub(super) const DECODED: [Self; 5] = [Self::Base64, Self::Hex, Self::Utf8, Self::Utf16, Self::Swapped];

    /// Those that lose something, and that the beginning of a file shows.
    pub(super) const LOSSY: [Self; 3] = [Self::Utf8Replaced, Self::ZerosReplaced, Self::TopBitRemoved];

    /// Whether the beginning of a file proves it, although it cannot be undone: something is lost.
    #[must_use]
    pub fn is_proven_by_beginning(self) -> bool {
        Self::LOSSY.contains(&self)
    }

    /// Whether the file became text, before which the mark of a byte order can stand.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Base64 | Self::Hex | Self::Utf8 | Self::Utf16)
    }

    /// What one of the lossy changes makes of these bytes.
    pub(super) fn made_of(self, bytes: &[u8]) -> Vec<u8> {
        let one = |byte: u8| match (self, byte) {
            (Self::Utf8Replaced, 0x80..) => REPLACEMENT.to_vec(),
            (Self::ZerosReplaced, 0) => vec![b' '],
            (Self::TopBitRemoved, _) => vec![byte & 0x7f],
            _ => vec![byte],
        };
        bytes.iter().flat_map(|byte| one(*byte)).collect()
    }
}

/// What is right in a WAL once the change is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undoing {
    /// Valid frames.
    pub frames: u64,
    /// Commits among them.
    pub commits: u64,
}
