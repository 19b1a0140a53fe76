//! Tables of any length: the widths of columns are known beforehand, and rows are drawn one at a time. Columns that do
//! not fit beside the others continue on further lines of the row.
//!
//! A table can have ten million rows: a row is appended to the caller's buffer, and no memory is allocated for a cell.

use std::fmt::Write;

use anstyle::Style;
use textwrap::core::display_width;

use super::line;
use super::text::{BOLD, DIM};

/// Columns between two cells.
const GAP: usize = 2;
/// Indent of the further lines of a row.
const INDENT: usize = 4;
/// Digits of the largest number, with separators; two words in hexadecimal take fewer.
const DIGITS: usize = 26;

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its head.
    pub head: &'static str,
    /// Width of its widest cell, in columns.
    pub width: usize,
    /// Whether cells are aligned to the right, as numbers are.
    pub right: bool,
}

impl Column {
    /// Width of its place.
    fn room(&self) -> usize {
        self.width.max(display_width(self.head))
    }
}

/// A column of numbers up to `largest`.
#[must_use]
pub fn numbers(head: &'static str, largest: u64) -> Column {
    let digits = digits(largest);
    Column { head, width: digits + (digits - 1) / 3, right: true }
}

/// A column of offsets up to `largest`: [`Cell::offset`].
#[must_use]
pub fn offsets(head: &'static str, largest: u64) -> Column {
    Column { head, width: digits(largest), right: true }
}

fn digits(largest: u64) -> usize {
    largest.checked_ilog10().unwrap_or(0) as usize + 1
}

/// A column of text of at most `width` columns.
#[must_use]
pub const fn words(head: &'static str, width: usize) -> Column {
    Column { head, width, right: false }
}

/// The least width at which all of these columns stand on one line.
#[must_use]
pub fn one_line_width(columns: &[Column]) -> usize {
    let rooms: usize = columns.iter().map(Column::room).sum();
    rooms + GAP * columns.len().saturating_sub(1)
}

/// The content of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said<'a> {
    Text(&'a str),
    Number(u64),
    Offset(u64),
    /// Two words in hexadecimal.
    Pair([u32; 2]),
}

/// One cell: text or a number, and how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell<'a>(Said<'a>, Style);

impl Cell<'_> {
    /// Salts or checksums: two words in hexadecimal.
    #[must_use]
    pub const fn pair(pair: [u32; 2]) -> Self {
        Self(Said::Pair(pair), Style::new())
    }

    /// An offset, without separators: it is handed to other tools.
    #[must_use]
    pub const fn offset(offset: u64) -> Self {
        Self(Said::Offset(offset), Style::new())
    }

    /// Returns the cell in a style.
    #[must_use]
    pub const fn styled(self, style: Style) -> Self {
        Self(self.0, style)
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self(Said::Text(text), Style::new())
    }
}

impl From<u64> for Cell<'_> {
    fn from(number: u64) -> Self {
        Self(Said::Number(number), Style::new())
    }
}

impl From<u32> for Cell<'_> {
    fn from(number: u32) -> Self {
        u64::from(number).into()
    }
}

impl From<u16> for Cell<'_> {
    fn from(number: u16) -> Self {
        u64::from(number).into()
    }
}

impl From<usize> for Cell<'_> {
    fn from(number: usize) -> Self {
        (number as u64).into()
    }
}

/// The place of a column's cells.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Width of a cell, padding included.
    room: usize,
    /// Width of its text; in the last column this can be less or more than `room`.
    limit: usize,
    right: bool,
    /// The line of a row in which the cells are.
    line: usize,
}

/// The layout of one table.
#[derive(Debug, Clone)]
pub struct Rows {
    heads: Vec<&'static str>,
    places: Vec<Place>,
    width: usize,
    colour: bool,
}

impl Rows {
    /// Arranges columns for a width. Cells of the last column are cut to the remaining width. Without `colour` no style
    /// is written.
    #[must_use]
    pub fn new(columns: &[Column], width: usize, colour: bool) -> Self {
        let mut places: Vec<Place> = Vec::with_capacity(columns.len());
        let (mut number, mut used, mut before_last) = (0, 0, 0);
        for column in columns {
            let room = column.room();
            if used > 0 && used + GAP + room > width {
                number += 1;
                before_last = INDENT;
            } else {
                before_last = used + if used > 0 { GAP } else { 0 };
            }
            used = before_last + room;
            places.push(Place { room, limit: room, right: column.right, line: number });
        }
        if let Some(last) = places.last_mut() {
            last.limit = width.saturating_sub(before_last);
        }
        Self { heads: columns.iter().map(|column| column.head).collect(), places, width, colour }
    }

    /// Whether each row has one line: every column fits beside the others.
    #[must_use]
    pub fn is_one_line(&self) -> bool {
        self.places.iter().all(|place| place.line == 0)
    }

    /// The column heads, and the rule under them.
    #[must_use]
    pub fn head(&self) -> String {
        let cells: Vec<Cell<'_>> = self.heads.iter().map(|head| Cell::from(*head).styled(BOLD)).collect();
        let mut out = String::new();
        self.row(&cells, &mut out);
        let rule = anstream::adapter::strip_str(&out).to_string().lines().map(display_width).max().unwrap_or(0);
        self.styled(DIM, &"─".repeat(rule.min(self.width)), &mut out);
        out.push('\n');
        out
    }

    /// Width that remains for the last cell.
    #[must_use]
    pub fn room_of_last(&self) -> usize {
        self.places.last().map_or(self.width, |last| last.limit)
    }

    /// Appends one row, which ends with a newline. A cell without text leaves its place empty.
    pub fn row(&self, cells: &[Cell<'_>], out: &mut String) {
        let start = out.len();
        let mut digits = [0; DIGITS];
        let mut number = 0;
        for (i, (place, Cell(said, style))) in self.places.iter().zip(cells).enumerate() {
            if place.line != number {
                end_line(out, start);
                spaces(INDENT, out);
                number = place.line;
            } else if i > 0 {
                spaces(GAP, out);
            }
            let text = match said {
                Said::Text(text) => text,
                Said::Number(number) => decimal(*number, true, &mut digits),
                Said::Offset(offset) => decimal(*offset, false, &mut digits),
                Said::Pair(pair) => hexadecimal(*pair, &mut digits),
            };
            // Nearly every cell fits, and consists of characters that take one column each.
            let plain = !matches!(said, Said::Text(_)) || text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            if plain && text.len() <= place.limit {
                self.cell(place, text, text.len(), *style, out);
            } else {
                let text = cut(&line(text), place.limit);
                self.cell(place, &text, display_width(&text), *style, out);
            }
        }
        end_line(out, start);
    }

    /// Appends text that takes so many columns, and spaces up to the width of the cell.
    fn cell(&self, place: &Place, text: &str, columns: usize, style: Style, out: &mut String) {
        let padding = place.room.saturating_sub(columns);
        if place.right {
            spaces(padding, out);
        }
        self.styled(style, text, out);
        if !place.right {
            spaces(padding, out);
        }
    }

    fn styled(&self, style: Style, text: &str, out: &mut String) {
        if !self.colour || text.is_empty() || style == Style::new() {
            out.push_str(text);
        } else {
            // Writing to a string never fails.
            let _ = write!(out, "{style}{text}{style:#}");
        }
    }
}

/// Ends a line of the row that began at `start`. Spaces at its end are removed, and a line of only spaces is removed.
fn end_line(out: &mut String, start: usize) {
    let row = out.get(start..).unwrap_or_default().trim_end_matches(' ');
    let (length, ended) = (row.len(), row.is_empty() || row.ends_with('\n'));
    out.truncate(start + length);
    if !ended {
        out.push('\n');
    }
}

fn spaces(mut columns: usize, out: &mut String) {
    const SOME: &str = "                                ";
    while columns > 0 {
        let now = columns.min(SOME.len());
        out.push_str(SOME.get(..now).unwrap_or_default());
        columns -= now;
    }
}

/// The number, with its thousands separated as [`crate::say`] does it, or without separators.
fn decimal(mut number: u64, separated: bool, digits: &mut [u8; DIGITS]) -> &str {
    let mut from = DIGITS;
    for digit in digits.iter_mut().rev() {
        from -= 1;
        if separated && (DIGITS - from).is_multiple_of(4) {
            *digit = b',';
            continue;
        }
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    digits.get(from..).and_then(|digits| str::from_utf8(digits).ok()).unwrap_or_default()
}

/// `89abcdef 01234567`.
fn hexadecimal([first, second]: [u32; 2], digits: &mut [u8; DIGITS]) -> &str {
    let [a, b, c, d, e, f, g, h] = eight_digits(first);
    let [i, j, k, l, m, n, o, p] = eight_digits(second);
    *digits = [a, b, c, d, e, f, g, h, b' ', i, j, k, l, m, n, o, p, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    digits.get(..17).and_then(|digits| str::from_utf8(digits).ok()).unwrap_or_default()
}

/// A word in hexadecimal. All digits are made at once, each in one byte of a number: with a loop over them, a seventh of
/// the time of `wal` was spent here.
fn eight_digits(word: u32) -> [u8; 8] {
    let wide = u64::from(word);
    let wide = (wide | wide << 16) & 0x0000_ffff_0000_ffff;
    let wide = (wide | wide << 8) & 0x00ff_00ff_00ff_00ff;
    let each = (wide | wide << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // A digit above 9 is a letter: with 6 added it reaches into the upper half of its byte.
    let letters = ((each + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    (each + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

/// Cuts the text to a width; an ellipsis stands for the removed part.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if display_width(text) <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        if display_width(&out) + display_width(c.encode_utf8(&mut [0; 4])) + 1 > width {
            break;
        }
        out.push(c);
    }
    out + if width > 0 { "…" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn table(width: usize) -> Rows {
        let columns = [numbers("frame", 9_999), words("class", 11), numbers("page", 9), words("note", 4)];
        Rows::new(&columns, width, true)
    }

    fn row(rows: &Rows, cells: &[Cell<'_>]) -> String {
        let mut out = String::new();
        rows.row(cells, &mut out);
        out
    }

    #[test]
    fn cells_stand_under_their_heads() {
        let rows = table(60);
        let row = row(&rows, &[7_u32.into(), "committed".into(), 3_u32.into(), "superseded".into()]);
        assert_eq!(plain(&rows.head()), "frame  class        page  note\n──────────────────────────────\n");
        assert_eq!(plain(&row), "    7  committed       3  superseded\n");
    }

    #[test]
    fn what_does_not_fit_continues_on_the_next_line() {
        let row =
            row(&table(20), &[7_u32.into(), "committed".into(), 3_u32.into(), "superseded by a later one".into()]);
        assert_eq!(plain(&row), "    7  committed\n       3  supersede…\n");
    }

    #[test]
    fn no_line_is_wider_than_asked() {
        for width in 20..120 {
            let rows = table(width);
            let long = "x".repeat(200);
            let cells = [12_345_u32.into(), "uncommitted".into(), 9_u32.into(), long.as_str().into()];
            let text = rows.head() + &row(&rows, &cells);
            let widest = plain(&text).lines().map(display_width).max().unwrap();
            assert!(widest <= width, "width {width}: {text}");
        }
    }

    #[test]
    fn a_row_without_text_on_its_further_line_has_no_such_line() {
        let row = row(&table(20), &[7_u32.into(), "stale".into(), "".into(), "".into()]);
        assert_eq!(plain(&row), "    7  stale\n");
    }

    #[test]
    fn rows_are_appended_to_what_is_there() {
        let mut out = "above   ".to_owned();
        table(60).row(&["".into(), "".into()], &mut out);
        assert_eq!(out, "above   ");
        table(60).row(&[7_u32.into()], &mut out);
        assert_eq!(out, "above       7\n");
    }

    #[test]
    fn without_colour_a_row_is_the_coloured_one_without_its_escapes() {
        let columns = [numbers("frame", 12_345), words("class", 11)];
        let cells = [7_u32.into(), Cell::from("no").styled(DIM)];
        let [with, without] = [true, false].map(|colour| Rows::new(&columns, 60, colour));
        assert_ne!(row(&with, &cells), row(&without, &cells));
        assert_eq!(plain(&row(&with, &cells)), row(&without, &cells));
        assert_eq!(plain(&with.head()), without.head());
    }

    #[test]
    fn cells_cannot_send_escape_sequences_and_wide_letters_take_two_columns() {
        let columns = [words("name", 8), words("note", 4)];
        let text = row(&Rows::new(&columns, 60, false), &["日本\u{1b}".into(), "\u{9b}".into()]);
        assert_eq!(text, "日本\\u{…  \\u{9b}\n");
    }

    #[test]
    fn numbers_are_written_as_in_sentences_and_offsets_without_separators() {
        let mut digits = [0; DIGITS];
        for n in [0, 9, 10, 999, 1_000, 123_456, 1_234_567_890, u64::MAX] {
            assert_eq!(decimal(n, true, &mut digits), crate::say::count(n));
            assert_eq!(decimal(n, false, &mut digits), n.to_string());
            assert_eq!((numbers("", n).width, offsets("", n).width), (crate::say::count(n).len(), n.to_string().len()));
        }
        for [a, b] in [[0, 0], [0x0012_89ab, 0xcdef_4567], [0x9a9a_9a9a, 0xf0f0_0909], [u32::MAX, 1]] {
            assert_eq!(hexadecimal([a, b], &mut digits), format!("{a:08x} {b:08x}"));
        }
    }
}
