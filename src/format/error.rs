use nom::Parser;
use nom::error::Error as NomError;
use thiserror::Error;

/// Bytes that could not be read as what they should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} at offset {offset}: needed {needed}, found {found}")]
#[non_exhaustive]
pub struct ParseError {
    /// What was being read, such as `WAL header`.
    pub what: &'static str,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// What was needed.
    pub needed: String,
    /// What was there.
    pub found: String,
}

impl ParseError {
    /// Fewer bytes than the structure has.
    #[must_use]
    pub fn short(what: &'static str, offset: u64, needed: usize, found: usize) -> Self {
        Self { what, offset, needed: format!("{needed} bytes"), found: format!("{found} bytes") }
    }
}

/// Runs a parser for a structure of `size` bytes on the first bytes of `bytes`.
///
/// The structures of these formats are numbers at fixed places. The only possible error is that there are too few
/// bytes.
pub(super) fn fixed<'a, T>(
    what: &'static str,
    offset: u64,
    size: usize,
    bytes: &'a [u8],
    mut parser: impl Parser<&'a [u8], Output = T, Error = NomError<&'a [u8]>>,
) -> Result<T, ParseError> {
    let short = || ParseError::short(what, offset, size, bytes.len());
    let head = bytes.get(..size).ok_or_else(short)?;
    parser.parse(head).map(|(_, value)| value).map_err(|_| short())
}
