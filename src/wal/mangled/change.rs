//! What a transfer can do to the bytes of a file.

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
            Self::Packed => "packed",
        }
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
