//! The database header: the first 100 bytes.
//! Source: fileformat2, section 1.3. Offsets: [`super::layout::DATABASE_HEADER`].

use nom::bytes::complete::{tag, take};
use nom::number::complete::{be_u16, be_u32, u8};
use nom::{IResult, Parser};

use super::{ParseError, fixed};

/// Bytes of the database header.
pub const HEADER_SIZE: usize = 100;
/// The first 16 bytes of a plain database.
pub const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What the version bytes 18 and 19 of the header say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
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
#[non_exhaustive]
pub struct DatabaseHeader {
    /// Bytes of a page; a stored 1 is decoded as 65536. Any other number is as stored, and may be no power of two.
    pub page_size: u32,
    /// Write version, byte 18.
    pub write_version: u8,
    /// Read version, byte 19.
    pub read_version: u8,
    /// Reserved bytes at the end of each page.
    pub reserved: u8,
    /// File change counter.
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

impl DatabaseHeader {
    /// The release that wrote last, as people write it: `3.40.1`.
    #[must_use]
    pub fn sqlite_release(&self) -> String {
        let v = self.sqlite_version;
        format!("{}.{}.{}", v / 1_000_000, v / 1_000 % 1_000, v % 1_000)
    }

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
#[non_exhaustive]
pub enum DatabaseHead {
    /// A SQLite header that is not encrypted.
    Plain(DatabaseHeader),
    /// 100 bytes or more without the magic string: encrypted, or no database. This is not called corrupt.
    Opaque {
        /// Whether all of the first 100 bytes are zero, which no encryption leaves.
        zeros: bool,
    },
    /// No bytes: SQLite treats that as an empty database.
    Empty,
}

/// Reads the head of a database file.
///
/// # Errors
/// There are 1 to 99 bytes.
pub fn parse_head(bytes: &[u8]) -> Result<DatabaseHead, ParseError> {
    if bytes.is_empty() {
        return Ok(DatabaseHead::Empty);
    }
    let (magic, header) = fixed("database header", 0, HEADER_SIZE, bytes, (take(MAGIC.len()), header))?;
    // An encrypted database has noise here, or its own magic: nothing after it can be trusted.
    let plain: IResult<&[u8], &[u8]> = tag(MAGIC.as_slice())(magic);
    let zeros = bytes.iter().take(HEADER_SIZE).all(|byte| *byte == 0);
    Ok(plain.map_or(DatabaseHead::Opaque { zeros }, |_| DatabaseHead::Plain(header)))
}

fn header(input: &[u8]) -> IResult<&[u8], DatabaseHeader> {
    // Bytes 21 to 23 are the payload fractions, which have one permitted value each; 32 to 39 name the freelist,
    // 52 the largest root page and 64 the incremental vacuum mode: nothing here asks for them. 72 to 91 are reserved.
    let (input, (page_size, write_version, read_version, reserved, _)) =
        (be_u16, u8, u8, u8, take(3usize)).parse(input)?;
    let (input, (change_counter, database_pages, _)) = (be_u32, be_u32, take(8usize)).parse(input)?;
    let (input, (schema_cookie, schema_format, _cache, _largest_root)) =
        (be_u32, be_u32, be_u32, be_u32).parse(input)?;
    let (input, (text_encoding, user_version, _vacuum, application_id)) =
        (be_u32, be_u32, be_u32, be_u32).parse(input)?;
    let (input, (_, version_valid_for, sqlite_version)) = (take(20usize), be_u32, be_u32).parse(input)?;
    let header = DatabaseHeader {
        page_size: if page_size == 1 { 65536 } else { page_size.into() },
        write_version,
        read_version,
        reserved,
        change_counter,
        database_pages,
        schema_cookie,
        schema_format,
        text_encoding,
        user_version,
        application_id,
        version_valid_for,
        sqlite_version,
    };
    Ok((input, header))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_without_the_magic_is_opaque_and_none_at_all_is_empty() {
        assert_eq!(parse_head(&[]).unwrap(), DatabaseHead::Empty);
        assert_eq!(parse_head(&[0x5a; 100]).unwrap(), DatabaseHead::Opaque { zeros: false });
        assert_eq!(parse_head(&[0; 100]).unwrap(), DatabaseHead::Opaque { zeros: true });
        let error = parse_head(&[0x5a; 99]).unwrap_err();
        assert_eq!(error.to_string(), "database header at offset 0: needed 100 bytes, found 99 bytes");
    }

    #[test]
    fn a_page_size_of_1_is_65536() {
        let mut bytes = [0; 100];
        bytes[..16].copy_from_slice(MAGIC);
        for (stored, size) in [([0, 1], 65536), ([16, 0], 4096), ([0, 0], 0)] {
            bytes[16..18].copy_from_slice(&stored);
            let DatabaseHead::Plain(header) = parse_head(&bytes).unwrap() else { panic!("not plain") };
            assert_eq!(header.page_size, size);
        }
    }

    #[test]
    fn bytes_18_and_19_tell_the_journal_mode() {
        let mut bytes = [0; 100];
        bytes[..16].copy_from_slice(MAGIC);
        for (write, read, mode) in [
            (1, 1, JournalMode::Rollback),
            (2, 2, JournalMode::Wal),
            (3, 3, JournalMode::Wal2),
            (2, 1, JournalMode::Other),
        ] {
            bytes[18] = write;
            bytes[19] = read;
            let DatabaseHead::Plain(header) = parse_head(&bytes).unwrap() else { panic!("not plain") };
            assert_eq!(header.journal_mode(), mode);
        }
    }
}
