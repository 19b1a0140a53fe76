//! Tables that fit the width: columns if there is room, else one line for each cell.

use comfy_table::{ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width};
use textwrap::core::display_width;

use super::line;
use super::text::{BOLD, styled, wrap};

/// When rows have more lines on average, the table is drawn without columns.
const LINES_A_ROW: usize = 6;

/// Words that are longer, such as paths, may be broken.
const LONGEST_WORD: usize = 24;

/// The frame of tables: only a rule under the heads.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Draws rows under their heads within `width` columns; ends with a newline. Empty without rows.
#[must_use]
pub fn draw(heads: &[&str], rows: &[Vec<String>], width: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let drawn = columns(heads, rows, width);
    let fits = drawn.lines().all(|line| display_width(line) <= width);
    // Columns with cells that wrap many times are harder to read than no columns.
    let readable = drawn.lines().count() <= 2 + rows.len() * LINES_A_ROW;
    if fits && readable { drawn } else { stacked(heads, rows, width) }
}

fn columns(heads: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(width).unwrap_or(u16::MAX))
        .set_header(heads);
    for row in rows {
        table.add_row(row.iter().map(|cell| line(cell)));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(String::as_str);
        let words = heads.get(at).copied().into_iter().chain(cells).flat_map(str::split_whitespace);
        let longest = words.map(display_width).filter(|width| *width <= LONGEST_WORD).max().unwrap_or(0);
        let room = u16::try_from(longest).unwrap_or(0) + column.padding_width();
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(room)));
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Draws each row as a paragraph: `- lock: read1, state: shared, ...`.
fn stacked(heads: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let mut out = String::new();
    for row in rows {
        let cells = heads.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
        let cells: Vec<String> = cells.map(|(head, cell)| format!("{}: {}", styled(BOLD, head), line(cell))).collect();
        out.push_str(&wrap(&cells.join(", "), width, "- ", "  "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        vec![
            vec!["read1".into(), "shared".into(), "71".into(), "pid 3102 (sqlite3) in container 0a1b2c3d4e5f".into()],
            vec!["read2".into(), "free".into(), String::new(), "x\u{1b}[31m".into()],
        ]
    }

    #[test]
    fn no_line_is_wider_than_asked() {
        for width in 20..200 {
            let text = draw(&["lock", "state", "frame", "held by"], &rows(), width);
            let widest = text.lines().map(display_width).max().unwrap();
            assert!(widest <= width, "width {width}, widest {widest}:\n{text}");
            assert!(text.contains("shared"), "{text}");
        }
    }

    #[test]
    fn cells_cannot_send_escape_sequences() {
        let text = draw(&["lock", "state", "frame", "held by"], &rows(), 100);
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("\\u{1b}"), "{text}");
    }

    #[test]
    fn names_are_not_broken() {
        let rows = vec![vec!["13".into(), "big_endian_checksums".into(), "two words and more of them".into()]];
        for width in 24..100 {
            let text = draw(&["offset", "field", "meaning"], &rows, width);
            let plain = anstream::adapter::strip_str(&text).to_string();
            assert!(plain.contains("big_endian_checksums") && plain.contains("offset"), "width {width}:\n{plain}");
        }
    }

    #[test]
    fn no_rows_draw_nothing() {
        assert_eq!(draw(&["a"], &[], 80), "");
    }
}
