//! The rows of `sqlite_schema` on page 1, where page 1 has all of them.
//! Source: fileformat2, sections 1.6, 2.1 and 2.6.

use nom::bytes::complete::take;
use nom::number::complete::{be_u16, u8};
use nom::{IResult, Parser};

use super::db::{DatabaseHeader, HEADER_SIZE};

/// The type byte of a page that holds rows of a table, and no further pages.
const TABLE_LEAF: u8 = 13;

/// The type byte of a page that names the pages of a table.
const TABLE_INTERIOR: u8 = 5;

/// Whether the bytes behind the header of a database are the beginning of a table, as on page 1: a type, and cells that lie
/// within a page and behind what names them. Noise is that once in some million times. The size of the page need not be known.
#[must_use]
pub fn begins_table(page: &[u8]) -> bool {
    let Some(rest) = page.get(HEADER_SIZE..) else { return false };
    let parsed: IResult<&[u8], _> = (u8, be_u16, be_u16, be_u16, u8).parse(rest);
    let Ok((_, (kind, free, cells, content, fragments))) = parsed else { return false };
    let header = match kind {
        TABLE_LEAF => 8,
        TABLE_INTERIOR => 12,
        _ => return false,
    };
    // An offset of 65536 does not fit into 16 bits.
    let content = if content == 0 { 65536 } else { usize::from(content) };
    let named = usize::from(cells) * 2;
    if fragments > 60 || HEADER_SIZE + header + named > content {
        return false;
    }
    if cells == 0 {
        let fresh = kind == TABLE_LEAF && free == 0 && fragments == 0;
        return fresh && content.next_power_of_two() - content <= 255;
    }
    let Some(pointers) = rest.get(header..header + named) else { return false };
    let (pointers, _) = pointers.as_chunks();
    pointers.iter().all(|at| usize::from(u16::from_be_bytes(*at)) >= content)
}

/// One row of `sqlite_schema`: its texts as stored, in the encoding of the database. A long text may be cut off, because
/// the rest is on other pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaRow {
    /// `type`: table, index, view or trigger.
    pub kind: Vec<u8>,
    /// `name`.
    pub name: Vec<u8>,
    /// `tbl_name`.
    pub table: Vec<u8>,
    /// `sql`; empty for an index that SQLite made itself.
    pub sql: Vec<u8>,
}

/// The rows of `sqlite_schema`. `page` is the whole page 1, `header` its header. `None`: they are on other pages, or the
/// page is damaged.
#[must_use]
pub fn schema_rows(page: &[u8], header: &DatabaseHeader) -> Option<Vec<SchemaRow>> {
    let usable = page.len().checked_sub(header.reserved.into())?;
    let (_, (kind, _, cells, _)) = leaf_header(page.get(HEADER_SIZE..)?).ok()?;
    if kind != TABLE_LEAF {
        return None;
    }
    let pointers = page.get(HEADER_SIZE + 8..)?.get(..usize::from(cells) * 2)?;
    let (pointers, _) = pointers.as_chunks();
    pointers.iter().map(|at| row(page.get(usize::from(u16::from_be_bytes(*at))..usable)?, usable)).collect()
}

/// Whether the rows of `sqlite_schema` are on other pages, as page 1 says.
#[must_use]
pub fn names_pages(page: &[u8]) -> bool {
    page.get(HEADER_SIZE) == Some(&TABLE_INTERIOR)
}

/// Type, first free block, number of cells, and the rest of the header.
fn leaf_header(input: &[u8]) -> IResult<&[u8], (u8, u16, u16, &[u8])> {
    (u8, be_u16, be_u16, take(3_usize)).parse(input)
}

/// A cell: the length of the record, the rowid, and as much of the record as is on this page.
fn row(cell: &[u8], usable: usize) -> Option<SchemaRow> {
    let (cell, length) = varint(cell)?;
    let (cell, _rowid) = varint(cell)?;
    let local = on_this_page(usize::try_from(length).ok()?, usable)?;
    record(cell.get(..local)?)
}

/// How many bytes of a record of this length a leaf holds.
fn on_this_page(length: usize, usable: usize) -> Option<usize> {
    let most = usable.checked_sub(35)?;
    if length <= most {
        return Some(length);
    }
    let least = (usable.checked_sub(12)? * 32 / 255).checked_sub(23)?;
    let kept = least + (length - least) % (usable - 4);
    Some(if kept <= most { kept } else { least })
}

/// The first five columns: type, name, tbl_name, rootpage, sql.
fn record(record: &[u8]) -> Option<SchemaRow> {
    let (mut types, header) = varint(record)?;
    let mut body = record.get(usize::try_from(header).ok()?..)?;
    let mut columns: [&[u8]; 5] = [&[]; 5];
    for column in &mut columns {
        let (rest, kind) = varint(types)?;
        types = rest;
        let length = usize::try_from(value_length(kind)?).ok()?.min(body.len());
        (*column, body) = body.split_at(length);
    }
    let [kind, name, table, _root, sql] = columns.map(<[u8]>::to_vec);
    Some(SchemaRow { kind, name, table, sql })
}

/// Bytes of a value with this serial type.
fn value_length(kind: u64) -> Option<u64> {
    match kind {
        0 | 8 | 9 => Some(0),
        1..=4 => Some(kind),
        5 => Some(6),
        6 | 7 => Some(8),
        10 | 11 => None,
        _ => Some((kind - 12) / 2),
    }
}

/// A number of 1 to 9 bytes; the first eight have 7 bits each.
fn varint(bytes: &[u8]) -> Option<(&[u8], u64)> {
    let mut value = 0;
    for at in 0..8 {
        let byte = bytes.get(at)?;
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((bytes.get(at + 1..)?, value));
        }
    }
    Some((bytes.get(9..)?, value << 8 | u64::from(*bytes.get(8)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::db::{DatabaseHead, parse_head};

    /// Page 1 with one row whose record has this length.
    fn page(kind: u8, sql: &[u8]) -> Vec<u8> {
        let mut page = vec![0; 512];
        page[..16].copy_from_slice(b"SQLite format 3\0");
        let types = [6, 17 + 6, 13 + 2, 13 + 2, 1];
        let mut record = types.to_vec();
        // The serial type of the last text takes two bytes.
        let last = 13 + 2 * sql.len();
        record.extend([0x80 | (last >> 7) as u8, (last & 0x7f) as u8]);
        record[0] = record.len() as u8;
        record.extend(b"tablett\x02");
        record.extend(sql);
        let mut cell = vec![0x80 | (record.len() >> 7) as u8, (record.len() & 0x7f) as u8, 1];
        cell.extend(record);
        let at = 400 - 35;
        let room = (512 - at).min(cell.len());
        page[at..at + room].copy_from_slice(&cell[..room]);
        page[100] = kind;
        page[103..105].copy_from_slice(&1_u16.to_be_bytes());
        page[108..110].copy_from_slice(&(at as u16).to_be_bytes());
        page
    }

    fn rows(page: &[u8]) -> Option<Vec<SchemaRow>> {
        let DatabaseHead::Plain(header) = parse_head(&page[..100]).unwrap() else { panic!("not plain") };
        schema_rows(page, &header)
    }

    #[test]
    fn the_texts_of_a_row_are_found_and_a_long_one_is_cut_off() {
        let [row] = &rows(&page(TABLE_LEAF, b"CREATE TABLE t(x)")).unwrap()[..] else { panic!("not one row") };
        assert_eq!(
            (row.kind.as_slice(), row.name.as_slice(), row.table.as_slice()),
            (&b"table"[..], &b"t"[..], &b"t"[..])
        );
        assert_eq!(row.sql, b"CREATE TABLE t(x)");
        // Of 1000 bytes a leaf of 512 keeps as much as fills whole overflow pages of 508 with the rest.
        let long = rows(&page(TABLE_LEAF, &[b'x'; 1000])).unwrap().remove(0);
        assert!(long.sql.len() < 500 && long.sql.iter().all(|byte| *byte == b'x'), "{}", long.sql.len());
    }

    #[test]
    fn rows_on_other_pages_and_damaged_pages_are_not_known() {
        assert_eq!(rows(&page(5, b"CREATE TABLE t(x)")), None);
        let mut damaged = page(TABLE_LEAF, b"CREATE TABLE t(x)");
        damaged[108..110].copy_from_slice(&u16::MAX.to_be_bytes());
        assert_eq!(rows(&damaged), None);
        damaged[103..105].copy_from_slice(&u16::MAX.to_be_bytes());
        assert_eq!(rows(&damaged), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_get_an_answer(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 512)) {
            let mut page = page(TABLE_LEAF, b"");
            page[100..].copy_from_slice(&bytes[100..]);
            rows(&page);
            page[100] = TABLE_LEAF;
            rows(&page);
        }
    }
}
