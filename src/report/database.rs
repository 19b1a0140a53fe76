//! The database's head in the JSON contract.

use schemars::JsonSchema;
use serde::Serialize;

use crate::format::db::{DatabaseHead, DatabaseHeader, JournalMode};

/// The first bytes of the database.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Database {
    /// What the bytes are.
    pub kind: Kind,
    /// The header, if the database is not encrypted.
    pub header: Option<Header>,
}

/// What the first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A SQLite header that is not encrypted.
    Plain,
    /// Encrypted, or no database.
    Opaque,
    /// No bytes.
    Empty,
}

/// The 100-byte header.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Header {
    /// Bytes of a page.
    pub page_size: u32,
    /// `rollback`, `wal`, `wal2` or `other`, according to bytes 18 and 19.
    pub journal_mode: &'static str,
    /// Write version, byte 18.
    pub write_version: u8,
    /// Read version, byte 19.
    pub read_version: u8,
    /// Reserved bytes at the end of each page.
    pub reserved: u8,
    /// File change counter. In WAL mode only checkpoints change it.
    pub change_counter: u32,
    /// Pages in the database file when the change counter was `version_valid_for`.
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
    /// The change counter for which `database_pages` and `sqlite_version` are right.
    pub version_valid_for: u32,
    /// SQLITE_VERSION_NUMBER of the library that wrote last.
    pub sqlite_version: u32,
}

impl From<&DatabaseHead> for Database {
    fn from(head: &DatabaseHead) -> Self {
        match head {
            DatabaseHead::Plain(header) => Self { kind: Kind::Plain, header: Some(header.into()) },
            DatabaseHead::Opaque { .. } => Self { kind: Kind::Opaque, header: None },
            DatabaseHead::Empty => Self { kind: Kind::Empty, header: None },
        }
    }
}

impl From<&DatabaseHeader> for Header {
    fn from(header: &DatabaseHeader) -> Self {
        Self {
            page_size: header.page_size,
            journal_mode: match header.journal_mode() {
                JournalMode::Rollback => "rollback",
                JournalMode::Wal => "wal",
                JournalMode::Wal2 => "wal2",
                JournalMode::Other => "other",
            },
            write_version: header.write_version,
            read_version: header.read_version,
            reserved: header.reserved,
            change_counter: header.change_counter,
            database_pages: header.database_pages,
            schema_cookie: header.schema_cookie,
            schema_format: header.schema_format,
            text_encoding: header.text_encoding,
            user_version: header.user_version,
            application_id: header.application_id,
            version_valid_for: header.version_valid_for,
            sqlite_version: header.sqlite_version,
        }
    }
}
