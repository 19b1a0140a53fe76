//! Tables of any length: columns whose widths are known beforehand, rows drawn one at a time. Columns that do not fit
//! beside the others continue on further lines of the row.

use anstyle::Style;
use textwrap::core::display_width;

use super::line;
use super::text::{BOLD, DIM, styled};

/// Columns between two cells.
const GAP: usize = 2;
/// What the further lines of a row are indented by.
const INDENT: usize = 4;

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its head.
    pub head: &'static str,
    /// Columns that its widest cell takes.
    pub width: usize,
    /// Whether cells stand at the right: numbers.
    pub right: bool,
}

/// A column of numbers up to `largest`.
#[must_use]
pub fn numbers(head: &'static str, largest: u64) -> Column {
    Column { head, width: largest.checked_ilog10().unwrap_or(0) as usize + 1, right: true }
}

/// A column of text of at most `width` columns.
#[must_use]
pub const fn words(head: &'static str, width: usize) -> Column {
    Column { head, width, right: false }
}

/// One cell: text, and how it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell(pub String, pub Style);

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Self {
        Self(text.to_string(), Style::new())
    }
}

/// The layout of one table.
#[derive(Debug, Clone)]
pub struct Rows {
    columns: Vec<Column>,
    /// On which line of a row a column stands.
    lines: Vec<usize>,
    width: usize,
}

impl Rows {
    /// Lays columns out for a width; cells of the last column are cut to the room that is left.
    #[must_use]
    pub fn new(columns: Vec<Column>, width: usize) -> Self {
        let mut lines = Vec::with_capacity(columns.len());
        let (mut number, mut used) = (0, 0);
        for column in &columns {
            let needed = column.width.max(display_width(column.head));
            if used > 0 && used + GAP + needed > width {
                number += 1;
                used = INDENT + needed;
            } else {
                used += needed + if used > 0 { GAP } else { 0 };
            }
            lines.push(number);
        }
        Self { columns, lines, width }
    }

    /// The heads, and the rule under them.
    #[must_use]
    pub fn head(&self) -> String {
        let heads: Vec<Cell> = self.columns.iter().map(|column| Cell(column.head.to_owned(), BOLD)).collect();
        let mut out = self.row(&heads);
        let rule = anstream::adapter::strip_str(&out).to_string().lines().map(display_width).max().unwrap_or(0);
        out.push_str(&styled(DIM, &"─".repeat(rule.min(self.width))));
        out.push('\n');
        out
    }

    /// Columns that are left for the last cell.
    #[must_use]
    pub fn room_of_last(&self) -> usize {
        let last = self.lines.last().copied().unwrap_or(0);
        let before = self.columns.iter().zip(&self.lines).rev().skip(1).filter(|(_, line)| **line == last);
        let used: usize = before.map(|(column, _)| column.width.max(display_width(column.head)) + GAP).sum();
        self.width.saturating_sub(used + if last > 0 { INDENT } else { 0 })
    }

    /// One row; ends with a newline. Cells without text leave their place empty.
    #[must_use]
    pub fn row(&self, cells: &[Cell]) -> String {
        let mut out = String::new();
        let mut number = 0;
        let mut started = false;
        let last = self.columns.len().saturating_sub(1);
        for (i, ((column, at), Cell(text, style))) in self.columns.iter().zip(&self.lines).zip(cells).enumerate() {
            if *at != number {
                end_line(&mut out);
                out.push_str(&" ".repeat(INDENT));
                number = *at;
            } else if started {
                out.push_str(&" ".repeat(GAP));
            }
            started = true;
            let room = column.width.max(display_width(column.head));
            let text = cut(&line(text), if i == last { self.room_of_last() } else { room });
            let padding = " ".repeat(room.saturating_sub(display_width(&text)));
            let text = if text.is_empty() { text } else { styled(*style, &text) };
            let (before, after) = if column.right { (padding, String::new()) } else { (String::new(), padding) };
            out.push_str(&(before + &text + &after));
        }
        end_line(&mut out);
        out
    }
}

/// Ends a line, without spaces at its end; a line of nothing but spaces is none.
fn end_line(out: &mut String) {
    out.truncate(out.trim_end_matches(' ').len());
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

/// The text within a width; an ellipsis stands for what is cut off.
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
        let columns = vec![numbers("frame", 12_345), words("class", 11), numbers("page", 9), words("note", 4)];
        Rows::new(columns, width)
    }

    #[test]
    fn cells_stand_under_their_heads() {
        let rows = table(60);
        let row = rows.row(&[7.into(), "committed".into(), 3.into(), "superseded".into()]);
        assert_eq!(plain(&rows.head()), "frame  class        page  note\n──────────────────────────────\n");
        assert_eq!(plain(&row), "    7  committed       3  superseded\n");
    }

    #[test]
    fn what_does_not_fit_continues_on_the_next_line() {
        let rows = table(20);
        let row = rows.row(&[7.into(), "committed".into(), 3.into(), "superseded by a later one".into()]);
        assert_eq!(plain(&row), "    7  committed\n       3  superseded by…\n".replace("superseded by…", "supersede…"));
    }

    #[test]
    fn no_line_is_wider_than_asked() {
        for width in 20..120 {
            let rows = table(width);
            let text =
                rows.head() + &rows.row(&[12_345.into(), "uncommitted".into(), 9.into(), "x".repeat(200).into()]);
            let widest = plain(&text).lines().map(display_width).max().unwrap();
            assert!(widest <= width, "width {width}: {text}");
        }
    }

    #[test]
    fn a_row_without_text_on_its_further_line_has_no_such_line() {
        let row = table(20).row(&[7.into(), "stale".into(), "".into(), "".into()]);
        assert_eq!(plain(&row), "    7  stale\n");
    }
}
