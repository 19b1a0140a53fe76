//! The database header: the first 100 bytes.
use super::ParseError;

/// What the version bytes 18 and 19 of the header say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JournalMode {
    /// 1: rollback journal.
    Rollback,
    /// 2: WAL.
    Wal,
    /// 3: wal2, another format.
    Wal2,
    /// Anything else, or read and write versions that differ.
    Other,
}

/// The database header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseHeader {
    /// Bytes a page, decoded: 1 is 65536. As stored otherwise: it may be no power of two.
    pub page_size: u32,
    /// Write version, byte 18.
    pub write_version: u8,
    /// Read version, byte 19.
    pub read_version: u8,
    /// Reserved bytes at the end of each page.
    pub reserved: u8,
    /// File change counter.
    pub change_counter: u32,
    /// Pages in the database file as of `version_valid_for`.
    pub database_pages: u32,
    /// Schema cookie.
    pub schema_cookie: u32,
    /// Schema format.
    pub schema_format: u32,
    /// Text encoding: 1 UTF-8, 2 UTF-16le, 3 UTF-16be.
    pub text_encoding: u32,
    /// User version.
    pub user_version: u32,
    /// Application id.
    pub application_id: u32,
    /// The change counter for which `database_pages` and `sqlite_version` hold.
    pub version_valid_for: u32,
    /// SQLITE_VERSION_NUMBER of the library that wrote last.
    pub sqlite_version: u32,
}

impl DatabaseHeader {
    /// What bytes 18 and 19 say.
    #[must_use]
    pub fn journal_mode(&self) -> JournalMode {
        match (self.write_version, self.read_version) {
            (1, 1) => JournalMode::Rollback,
            (2, 2) => JournalMode::Wal,
            (3, 3) => JournalMode::Wal2,
            _ => JournalMode::Other,
        }
    }
}

/// What the first bytes of a database file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseHead {
    /// A plain SQLite header.
    Plain(DatabaseHeader),
    /// 100 bytes or more without the magic string: encrypted, or no database. Opaque, not corrupt.
    Opaque,
    /// No bytes: SQLite takes that for an empty database.
    Empty,
}

/// Reads the head of a database file.
///
/// # Errors
/// When there are 1 to 99 bytes.
pub fn parse_head(bytes: &[u8]) -> Result<DatabaseHead, ParseError> {
    let _ = bytes;
    todo!()
}
