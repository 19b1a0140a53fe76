//! The database header: the first 100 bytes.
//! Source: fileformat2, section 1.3. Offsets: [`super::layout::DATABASE_HEADER`].

use nom::bytes::complete::{tag, take};
use nom::number::complete::{be_u16, be_u32, u8};
use nom::{IResult, Parser};

use super::{ParseError, fixed};
use crate::number::PageSize;

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
    /// Payload fractions, bytes 21 to 23. SQLite permits only 64, 32, 32.
    pub payload_fractions: [u8; 3],
    /// File change counter.
    pub change_counter: u32,
    /// Pages in the database file when the change counter was `version_valid_for`.
    pub database_pages: u32,
    /// The first trunk page of the freelist; 0: no page is free.
    pub freelist_trunk: u32,
    /// Number of free pages.
    pub freelist_pages: u32,
    /// Schema cookie.
    pub schema_cookie: u32,
    /// Schema format.
    pub schema_format: u32,
    /// The largest root page, in a database with `auto_vacuum`; else 0.
    pub largest_root: u32,
    /// Text encoding: 1 UTF-8, 2 UTF-16le, 3 UTF-16be.
    pub text_encoding: u32,
    /// User version.
    pub user_version: u32,
    /// Not 0: `auto_vacuum` is incremental.
    pub incremental_vacuum: u32,
    /// Application id.
    pub application_id: u32,
    /// Whether bytes 72 to 91, which are reserved for expansion, are all zero.
    pub expansion_zeros: bool,
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

    /// The pages of the file, if SQLite believes the number: it was written together with the change counter.
    #[must_use]
    pub fn believed_pages(&self) -> Option<u32> {
        (self.database_pages > 0 && self.version_valid_for == self.change_counter).then_some(self.database_pages)
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

/// A field of the header that cannot be as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HeaderFault {
    /// The file ends within the header.
    Cut,
    /// Bytes 0 to 15 are not "SQLite format 3".
    Magic,
    /// The page size is no power of two from 512 to 65536.
    PageSize,
    /// The write version is not 1 or 2. SQLite does not write to the database if it is larger.
    WriteVersion,
    /// The read version is not 1 or 2. SQLite does not open the database if it is larger.
    ReadVersion,
    /// The reserved bytes leave less than 480 bytes of a page.
    ReservedBytes,
    /// The payload fractions are not 64, 32, 32.
    PayloadFractions,
    /// The schema format is above 4.
    SchemaFormat,
    /// The text encoding is above 3.
    TextEncoding,
    /// Bytes 72 to 91, which are reserved for expansion, are not all zero.
    Expansion,
    /// The freelist begins behind the last page.
    FreelistTrunk,
    /// There are at least as many free pages as pages.
    FreelistPages,
    /// The largest root page is behind the last page.
    LargestRoot,
    /// Page 1 is no page of a table.
    FirstTable,
    /// The cells of page 1 do not lie within it.
    CellPointers,
    /// The cells and the free blocks of page 1 do not fill it, or overlap.
    FreeSpace,
    /// Incremental vacuum in a database that has no auto-vacuum.
    IncrementalVacuum,
    /// Page 2 is no pointer map, as it is in each database with auto-vacuum.
    PointerMap,
}

impl HeaderFault {
    /// The name in documents, in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Magic => "magic",
            Self::PageSize => "page_size",
            Self::WriteVersion => "write_version",
            Self::ReadVersion => "read_version",
            Self::ReservedBytes => "reserved_bytes",
            Self::PayloadFractions => "payload_fractions",
            Self::SchemaFormat => "schema_format",
            Self::TextEncoding => "text_encoding",
            Self::Expansion => "expansion",
            Self::FreelistTrunk => "freelist_trunk",
            Self::FreelistPages => "freelist_pages",
            Self::LargestRoot => "largest_root",
            Self::FirstTable => "first_table",
            Self::CellPointers => "cell_pointers",
            Self::FreeSpace => "free_space",
            Self::IncrementalVacuum => "incremental_vacuum",
            Self::PointerMap => "pointer_map",
        }
    }
}

impl DatabaseHeader {
    /// The fields that cannot be as they are, and whether SQLite refuses to open the database because of one of them.
    ///
    /// folklore: a schema format and a text encoding of 0 are those of a database without a table. SQLite opens a database
    /// with a read or write version of 0, with another text encoding, and with other reserved bytes; of the schema format it takes the lowest byte. Held by
    /// `each_impossible_field_is_named_and_sqlite_refuses_what_is_said_to_be_refused`.
    #[must_use]
    pub fn faults(&self) -> (Vec<HeaderFault>, bool) {
        use HeaderFault as F;
        let wal2 = self.journal_mode() == JournalMode::Wal2;
        let possible = PageSize::new(self.page_size).is_some();
        let version = |version: u8| !wal2 && !(1..=2).contains(&version);
        let all = [
            (F::PageSize, !possible, true),
            (F::WriteVersion, version(self.write_version), false),
            (F::ReadVersion, version(self.read_version), self.read_version > 2),
            (F::ReservedBytes, possible && self.page_size.saturating_sub(self.reserved.into()) < 480, true),
            (F::PayloadFractions, self.payload_fractions != [64, 32, 32], true),
            (F::SchemaFormat, self.schema_format > 4, self.schema_format.to_le_bytes()[0] > 4),
            (F::TextEncoding, self.text_encoding > 3, false),
            (F::Expansion, !self.expansion_zeros, false),
            (F::IncrementalVacuum, self.incremental_vacuum > 0 && self.largest_root == 0, false),
        ];
        let found = || all.iter().filter(|(_, is, _)| *is);
        (found().map(|(fault, ..)| *fault).collect(), found().any(|(.., refused)| *refused))
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

impl DatabaseHead {
    /// The header, if it can be read.
    #[must_use]
    pub fn plain(&self) -> Option<&DatabaseHeader> {
        match self {
            Self::Plain(header) => Some(header),
            Self::Opaque { .. } | Self::Empty => None,
        }
    }

    /// The page size, if the header tells a possible one.
    #[must_use]
    pub fn page_size(&self) -> Option<PageSize> {
        PageSize::new(self.plain()?.page_size)
    }

    /// Whether there is no header of SQLite's, or one with impossible fields.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        match self {
            Self::Plain(header) => !header.faults().0.is_empty(),
            Self::Opaque { .. } => true,
            Self::Empty => false,
        }
    }
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

/// Whether these are the first bytes of a plain database of so many bytes whose magic string was damaged: what is left of the
/// string shows that it is not another one on purpose, and the rest of the header is that of a database.
///
/// folklore: SQLite can be compiled with another string (`SQLITE_FILE_HEADER`). Encryptions that leave a part of the header plain
/// do not leave the number of pages plain. Held by `a_damaged_magic_is_an_error_where_the_rest_is_that_of_a_database`.
#[must_use]
pub fn is_damaged_magic(bytes: &[u8], size: u64) -> bool {
    let parsed: IResult<&[u8], _> = (take(MAGIC.len()), header).parse(bytes);
    let Ok((_, (magic, header))) = parsed else { return false };
    let left = magic.iter().zip(MAGIC).filter(|(found, expected)| found == expected).count();
    let damaged = (MAGIC.len() / 2..MAGIC.len()).contains(&left) || magic.iter().all(|byte| *byte == 0);
    let pages = header.believed_pages().map(|pages| u64::from(pages).saturating_mul(header.page_size.into()));
    damaged && header.faults().0.is_empty() && pages == Some(size)
}

fn header(input: &[u8]) -> IResult<&[u8], DatabaseHeader> {
    let (input, (page_size, write_version, read_version, reserved, payload_fractions)) =
        (be_u16, u8, u8, u8, (u8, u8, u8)).parse(input)?;
    let (input, (change_counter, database_pages, freelist_trunk, freelist_pages)) =
        (be_u32, be_u32, be_u32, be_u32).parse(input)?;
    let (input, (schema_cookie, schema_format, _cache, largest_root)) =
        (be_u32, be_u32, be_u32, be_u32).parse(input)?;
    let (input, (text_encoding, user_version, incremental_vacuum, application_id)) =
        (be_u32, be_u32, be_u32, be_u32).parse(input)?;
    let (input, (expansion, version_valid_for, sqlite_version)) = (take(20usize), be_u32, be_u32).parse(input)?;
    let header = DatabaseHeader {
        page_size: if page_size == 1 { 65536 } else { page_size.into() },
        write_version,
        read_version,
        reserved,
        payload_fractions: payload_fractions.into(),
        change_counter,
        database_pages,
        freelist_trunk,
        freelist_pages,
        schema_cookie,
        schema_format,
        largest_root,
        text_encoding,
        user_version,
        incremental_vacuum,
        application_id,
        expansion_zeros: expansion.iter().all(|byte| *byte == 0),
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
