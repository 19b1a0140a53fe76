use thiserror::Error;

/// Bytes that could not be read as what they should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} at offset {offset}: needed {needed}, found {found}")]
pub struct ParseError {
    /// What was being read, such as `WAL header`.
    pub what: &'static str,
    /// Where in the file, bytes.
    pub offset: u64,
    /// What was needed.
    pub needed: String,
    /// What was there.
    pub found: String,
}
