//! The rows of `sqlite_schema` on page 1, where page 1 has all of them.
//! Source: fileformat2, sections 1.6, 2.1 and 2.6.

use super::btree::{Page, PageHead, PageKind, Usable};
use super::db::{DatabaseHeader, HEADER_SIZE};
use super::record::{SerialType, header};
use super::varint::varint;
use crate::number::{PageNumber, PageSize};

/// Whether the bytes behind the header of a database are the beginning of a table, as on page 1: a type, and cells that lie
/// within a page and behind what names them. Noise is that once in some million times. The size of the page need not be known.
#[must_use]
pub fn begins_table(page: &[u8]) -> bool {
    let Some(rest) = page.get(HEADER_SIZE..) else { return false };
    let Some(head) = PageHead::parse(rest) else { return false };
    let PageHead { kind, free, cells, content, fragments } = head;
    if !matches!(kind, PageKind::TableLeaf | PageKind::TableInterior) || !head.fits(HEADER_SIZE) {
        return false;
    }
    if cells == 0 {
        let fresh = kind == PageKind::TableLeaf && free == 0 && fragments == 0;
        return fresh && content.next_power_of_two() - content <= 255;
    }
    let pointers = rest.get(kind.header_size()..head.end_of_pointers()).map(|bytes| bytes.as_chunks().0);
    pointers.is_some_and(|pointers| pointers.iter().all(|at| usize::from(u16::from_be_bytes(*at)) >= content))
}

/// The header of the table on page 1 and what names its rows. The rows themselves are at the end of the page.
#[must_use]
pub(crate) fn begin_of_table(page: &[u8]) -> Option<&[u8]> {
    let rest = page.get(HEADER_SIZE..)?;
    rest.get(..PageHead::parse(rest)?.end_of_pointers())
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
    records(page, header)?
        .map(|record| {
            columns(record?).map(|[kind, name, table, _root, sql]| {
                let [kind, name, table, sql] = [kind, name, table, sql].map(<[u8]>::to_vec);
                SchemaRow { kind, name, table, sql }
            })
        })
        .collect()
}

/// The root pages of the indexes whose rows are on page 1.
#[must_use]
pub(crate) fn index_roots(page: &[u8], header: &DatabaseHeader) -> Vec<PageNumber> {
    let Some(records) = records(page, header) else { return Vec::new() };
    let rows = records.flatten().filter_map(columns);
    // In UTF-16 each of these letters has a zero byte.
    let of_index = rows.filter(|[kind, ..]| kind.iter().filter(|byte| **byte != 0).eq(b"index"));
    let root =
        |bytes: &[u8]| bytes.iter().try_fold(0_u32, |root, byte| Some(root.checked_mul(256)? | u32::from(*byte)));
    of_index.filter_map(|[_, _, _, bytes, _]| root(bytes)).map(PageNumber).collect()
}

/// The records on page 1, as far as each is on it. `None`: page 1 has none.
fn records<'a>(page: &'a [u8], header: &DatabaseHeader) -> Option<impl Iterator<Item = Option<&'a [u8]>> + use<'a>> {
    let size = PageSize::new(u32::try_from(page.len()).ok()?)?;
    let usable = Usable::new(size, header.reserved)?;
    let page = Page::parse(page, PageNumber(1), usable).ok().filter(|page| page.head.kind == PageKind::TableLeaf)?;
    Some(page.cells().map(|cell| cell.ok()?.payload.map(|payload| payload.local)))
}

/// Whether the rows of `sqlite_schema` are on other pages, as page 1 says.
#[must_use]
pub fn names_pages(page: &[u8]) -> bool {
    page.get(HEADER_SIZE).and_then(|byte| PageKind::new(*byte)) == Some(PageKind::TableInterior)
}

/// The bytes of the first five columns: type, name, tbl_name, rootpage, sql. Those that are on other pages are left out.
fn columns(record: &[u8]) -> Option<[&[u8]; 5]> {
    let (mut types, mut body) = header(record)?;
    let mut columns: [&[u8]; 5] = [&[]; 5];
    for column in &mut columns {
        let (rest, number) = varint(types).ok()?;
        types = rest;
        let length = usize::try_from(SerialType::new(number)?.length()).ok()?.min(body.len());
        (*column, body) = body.split_at(length);
    }
    Some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::db::{DatabaseHead, parse_head};

    /// The type byte of a page that holds rows of a table.
    const LEAF: u8 = 13;

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
        page[105..107].copy_from_slice(&(at as u16).to_be_bytes());
        page[108..110].copy_from_slice(&(at as u16).to_be_bytes());
        page
    }

    fn rows(page: &[u8]) -> Option<Vec<SchemaRow>> {
        let DatabaseHead::Plain(header) = parse_head(&page[..100]).unwrap() else { panic!("not plain") };
        schema_rows(page, &header)
    }

    #[test]
    fn the_texts_of_a_row_are_found_and_a_long_one_is_cut_off() {
        let [row] = &rows(&page(LEAF, b"CREATE TABLE t(x)")).unwrap()[..] else { panic!("not one row") };
        assert_eq!(
            (row.kind.as_slice(), row.name.as_slice(), row.table.as_slice()),
            (&b"table"[..], &b"t"[..], &b"t"[..])
        );
        assert_eq!(row.sql, b"CREATE TABLE t(x)");
        // Of 1000 bytes a leaf of 512 keeps as much as fills whole overflow pages of 508 with the rest.
        let long = rows(&page(LEAF, &[b'x'; 1000])).unwrap().remove(0);
        assert!(long.sql.len() < 500 && long.sql.iter().all(|byte| *byte == b'x'), "{}", long.sql.len());
    }

    #[test]
    fn rows_on_other_pages_and_damaged_pages_are_not_known() {
        assert_eq!(rows(&page(5, b"CREATE TABLE t(x)")), None);
        let mut damaged = page(LEAF, b"CREATE TABLE t(x)");
        damaged[108..110].copy_from_slice(&u16::MAX.to_be_bytes());
        assert_eq!(rows(&damaged), None);
        damaged[103..105].copy_from_slice(&u16::MAX.to_be_bytes());
        assert_eq!(rows(&damaged), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_get_an_answer(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 512)) {
            let mut page = page(LEAF, b"");
            page[100..].copy_from_slice(&bytes[100..]);
            rows(&page);
            page[100] = LEAF;
            rows(&page);
        }
    }
}
