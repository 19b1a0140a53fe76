//! Bytes in hexadecimal: structures field by field, annotated from their offset tables, and pages as a classic dump.

use super::table;
use super::text::{BOLD, styled, wrap};
use crate::format::db::MAGIC;
use crate::format::layout::{self, Layout};

/// Columns of a dump with 16 bytes a line, its offset of 8 digits included.
const FULL_WIDTH: usize = 78;

/// A structure of big-endian fields at `offset` of its file, with the offset, bytes, name, value and meaning of each
/// field.
#[must_use]
pub fn annotated(layout: &Layout, bytes: &[u8], offset: u64, width: usize) -> String {
    let rows: Vec<Vec<String>> = layout
        .fields
        .iter()
        .map(|field| {
            let stored = bytes.get(field.offset..).unwrap_or_default();
            let stored = stored.get(..field.size).unwrap_or(stored);
            vec![
                format!("{:08x}", offset.saturating_add(field.offset as u64)),
                stored.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
                field.name.to_owned(),
                value(field.name, stored),
                field.meaning.to_owned(),
            ]
        })
        .collect();
    let title = wrap(&styled(BOLD, &format!("{} at offset {offset:#x} ({offset})", layout.name)), width, "", "");
    title + &table::draw(&["offset", "bytes", "field", "value", "meaning"], &rows, width)
}

/// The structures that a database page begins with: on page 1 the database header, and the head of a b-tree page with
/// its cell pointers if the type byte says so. Other pages (overflow, freelist, pointer map) have none. An encrypted
/// page has none either, unless its first byte happens to be such a type.
#[must_use]
pub fn page_heads(number: u32, page: &[u8], offset: u64, width: usize) -> String {
    let mut out = String::new();
    let mut at = 0;
    if number == 1 && page.starts_with(MAGIC) {
        out.push_str(&annotated(&layout::DATABASE_HEADER, page, offset, width));
        at = layout::DATABASE_HEADER.size;
    }
    let head = page.get(at..).unwrap_or_default();
    let structure = match head.first() {
        Some(2 | 5) => &layout::INTERIOR_PAGE,
        Some(10 | 13) => &layout::LEAF_PAGE,
        _ => return out,
    };
    out.push_str(&annotated(structure, head, offset.saturating_add(at as u64), width));
    let cells = match head.get(3..5) {
        Some([high, low]) => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    };
    let pointers = head.get(structure.size..).unwrap_or_default().chunks_exact(2).take(cells);
    let pointers: Vec<String> =
        pointers.map(|pair| pair.iter().fold(0_u32, |n, byte| n << 8 | u32::from(*byte)).to_string()).collect();
    if !pointers.is_empty() {
        out.push_str(&wrap(&format!("cells at {}", pointers.join(", ")), width, "", "  "));
    }
    out
}

/// A number of one, two or four bytes. Numbers that are not counts are in hexadecimal.
fn value(name: &str, stored: &[u8]) -> String {
    let number = stored.iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
    match stored.len() {
        0 => "missing".to_owned(),
        1..=4 if ["magic", "salt", "checksum"].iter().any(|kind| name.starts_with(kind)) => format!("{number:#010x}"),
        1 | 2 | 4 => number.to_string(),
        _ => String::new(),
    }
}

/// Bytes at `offset` of their file, 16 in a line if the width allows. A star stands for lines that repeat the line
/// above.
#[must_use]
pub fn dump(bytes: &[u8], offset: u64, width: usize) -> String {
    let digits = format!("{:x}", offset.saturating_add(bytes.len() as u64)).len().max(8);
    let a_line = [16, 8, 4, 2].into_iter().find(|n| columns(digits, *n) <= width).unwrap_or(1);
    let mut out = String::new();
    let mut before: Option<&[u8]> = None;
    let mut starred = false;
    let lines = bytes.chunks(a_line);
    let last = lines.len().saturating_sub(1);
    for (i, stored) in lines.enumerate() {
        if before == Some(stored) && i != last {
            out.push_str(if starred { "" } else { "*\n" });
            starred = true;
            continue;
        }
        (before, starred) = (Some(stored), false);
        let at = offset.saturating_add((i * a_line) as u64);
        out.push_str(&format!("{at:0digits$x} "));
        for place in 0..a_line {
            out.push_str(if place > 0 && place % 8 == 0 { "  " } else { " " });
            out.push_str(&stored.get(place).map_or_else(|| "  ".to_owned(), |byte| format!("{byte:02x}")));
        }
        let text: String =
            stored.iter().map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' }).collect();
        out.push_str(&format!("  |{text}|\n"));
    }
    out
}

const fn columns(digits: usize, a_line: usize) -> usize {
    FULL_WIDTH - 8 + digits - (16 - a_line) * 4 - if a_line > 8 { 0 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_looks_as_hexdump_prints_it() {
        let bytes: Vec<u8> = (0x1e..0x3a).chain([0; 64]).collect();
        let expected = "\
00000020  1e 1f 20 21 22 23 24 25  26 27 28 29 2a 2b 2c 2d  |.. !\"#$%&'()*+,-|
00000030  2e 2f 30 31 32 33 34 35  36 37 38 39 00 00 00 00  |./0123456789....|
00000040  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|
*
00000070  00 00 00 00 00 00 00 00  00 00 00 00              |............|
";
        assert_eq!(dump(&bytes, 32, 80), expected);
    }

    #[test]
    fn a_dump_keeps_within_its_width() {
        let bytes: Vec<u8> = (0..=255).collect();
        for width in 20..120 {
            let widest = dump(&bytes, 1 << 40, width).lines().map(str::len).max().unwrap();
            assert!(widest <= width.max(21), "width {width}: {widest}");
        }
    }

    #[test]
    fn every_field_is_shown_with_offset_bytes_value_and_meaning() {
        let bytes: Vec<u8> =
            [0x377f_0682_u32, 3_007_000, 4096, 7, 1, 2, 3, 4].into_iter().flat_map(u32::to_be_bytes).collect();
        let text = annotated(&layout::WAL_HEADER, &bytes, 0, 140);
        for field in layout::WAL_HEADER.fields {
            assert!(text.contains(field.name) && text.contains(&field.meaning[..4]), "{}: {text}", field.name);
        }
        assert!(text.contains("37 7f 06 82") && text.contains("0x377f0682") && text.contains("3007000"), "{text}");
        assert!(annotated(&layout::WAL_HEADER, &bytes[..9], 0, 140).contains("missing"));
    }
}
