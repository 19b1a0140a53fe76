//! The WAL as a bar, a glyph for each class of frames, with the read marks under it.

use anstyle::{AnsiColor, Style};
use textwrap::core::display_width;

use super::text::{DIM, count, styled, wrap};

/// What a stretch of the bar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Committed, and copied into the database.
    Backfilled,
    /// Committed, not copied yet.
    Pending,
    /// Committed, where a finding says that no checkpoint should copy them.
    Committed,
    /// Commits that the wal-index does not show yet.
    Unpublished,
    /// Valid, after the last commit.
    Uncommitted,
    /// Current salts, after a break of the chain.
    Residue,
    /// From before a restart.
    Stale,
    /// Zero salts.
    Unwritten,
    /// No frames of any generation.
    Unrelated,
    /// Frames that follow one another, and that a header made anew makes readable.
    MadeAnew,
    /// Frames that follow one another behind a header that SQLite cannot use.
    Chained,
    /// What is between such frames.
    Between,
    /// A frame that the end of the file cuts short; there is one at most.
    Torn,
}

impl Class {
    /// The style of a word of this class in a table.
    pub(super) fn style(self) -> Style {
        self.look().1
    }

    /// The glyph, style and name of a class. The glyphs differ, so that the bar is readable without colour.
    fn look(self) -> (char, Style, &'static str) {
        let colour = AnsiColor::on_default;
        match self {
            Self::Backfilled => ('█', colour(AnsiColor::Green), "backfilled"),
            Self::Pending => ('▒', colour(AnsiColor::Yellow), "pending"),
            Self::Committed => ('▒', colour(AnsiColor::Yellow), "committed"),
            Self::Unpublished => ('▓', colour(AnsiColor::Blue), "committed, not in the wal-index yet"),
            Self::Uncommitted => ('░', colour(AnsiColor::Cyan), "uncommitted"),
            Self::Residue => ('╳', colour(AnsiColor::Magenta), "residue"),
            Self::Stale => ('·', DIM, "stale"),
            Self::Unwritten => ('_', DIM, "unwritten"),
            Self::Unrelated => ('?', colour(AnsiColor::Red), "unrelated"),
            Self::MadeAnew => ('█', colour(AnsiColor::Yellow), "follow one another from a header made anew on"),
            Self::Chained => ('▒', colour(AnsiColor::Yellow), "follow one another"),
            Self::Between => ('?', DIM, "follow from no frame before them"),
            Self::Torn => ('<', colour(AnsiColor::Red), "torn"),
        }
    }
}

/// A stretch of frames of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// What they are.
    pub class: Class,
    /// How many.
    pub frames: u64,
}

/// A mark under the bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// At the end of this frame.
    pub frame: u64,
    /// What it is; safe for a terminal.
    pub text: String,
}

/// The bar, its legend, and the marks: lines of at most `width` columns. Nothing when there are no frames.
#[must_use]
pub fn draw(parts: &[Part], marks: &[Mark], width: usize) -> Vec<String> {
    let parts: Vec<Part> = parts.iter().copied().filter(|part| part.frames > 0).collect();
    if parts.is_empty() {
        return Vec::new();
    }
    let cells = share_out(&parts, width);
    let mut bar = String::new();
    for (part, cells) in parts.iter().zip(&cells) {
        let (glyph, style, _) = part.class.look();
        bar.push_str(&styled(style, &glyph.to_string().repeat(*cells)));
    }
    let mut lines = vec![bar];
    for mark in marks {
        lines.extend(pointer(cell_of(mark.frame, &parts, &cells), &mark.text, width));
    }
    lines.extend(legend(&parts, width));
    lines
}

/// The number of cells for each part: in proportion to its frames, at least one for each part, together exactly
/// `width`.
fn share_out(parts: &[Part], width: usize) -> Vec<usize> {
    let total: u128 = parts.iter().map(|part| u128::from(part.frames)).sum::<u128>().max(1);
    let proportional = |part: &Part| u128::from(part.frames) * width as u128 / total;
    let mut cells: Vec<usize> =
        parts.iter().map(|part| usize::try_from(proportional(part)).unwrap_or(width).max(1)).collect();
    // Rounding leaves fewer cells over than there are parts, and minimum cells take at most as many.
    while let Some(surplus) = cells.iter().sum::<usize>().checked_sub(width + 1) {
        let Some(widest) = cells.iter_mut().max().filter(|widest| **widest > 1) else { break };
        *widest -= (surplus + 1).min(*widest - 1);
    }
    let missing = width.saturating_sub(cells.iter().sum());
    if let Some(widest) = cells.iter_mut().max() {
        *widest += missing;
    }
    cells
}

/// The cell that shows the end of a frame. Frame 0 and frames beyond the bar are at the ends of the bar.
fn cell_of(frame: u64, parts: &[Part], cells: &[usize]) -> usize {
    let mut first_cell = 0;
    let mut first_frame = 0_u64;
    for (part, cells) in parts.iter().zip(cells) {
        let within = frame.saturating_sub(first_frame);
        if within <= part.frames {
            let scaled = u128::from(within) * *cells as u128 / u128::from(part.frames.max(1));
            return first_cell + usize::try_from(scaled).unwrap_or(0).clamp(1, (*cells).max(1)) - 1;
        }
        first_frame = u64::saturating_add(first_frame, part.frames);
        first_cell += cells;
    }
    first_cell.saturating_sub(1)
}

/// A caret under its cell, with the text to the right or to the left, where it fits.
fn pointer(cell: usize, text: &str, width: usize) -> Vec<String> {
    let room = display_width(text) + 1;
    if cell + 1 + room <= width {
        vec![format!("{}^ {text}", " ".repeat(cell))]
    } else if room <= cell {
        vec![format!("{}{text} ^", " ".repeat(cell - room))]
    } else {
        let mut lines = vec![format!("{}^", " ".repeat(cell))];
        lines.extend(wrap(text, width, "  ", "  ").lines().map(str::to_owned));
        lines
    }
}

fn legend(parts: &[Part], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        let (glyph, style, name) = part.class.look();
        let item = format!("{} {} {name}", styled(style, &glyph.to_string()), count(part.frames));
        match lines.last_mut() {
            Some(line) if display_width(line) + 3 + display_width(&item) <= width => {
                line.push_str("   ");
                line.push_str(&item);
            }
            _ if display_width(&item) <= width => lines.push(item),
            _ => lines.extend(wrap(&item, width, "", "  ").lines().map(str::to_owned)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(lines: &[String]) -> Vec<String> {
        lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    fn parts() -> Vec<Part> {
        vec![
            Part { class: Class::Backfilled, frames: 71 },
            Part { class: Class::Pending, frames: 19 },
            Part { class: Class::Uncommitted, frames: 8 },
        ]
    }

    fn mark(frame: u64) -> Mark {
        Mark { frame, text: "read2 at frame 71, locked by pid 3102".into() }
    }

    #[test]
    fn the_bar_fills_the_width_in_proportion() {
        let lines = plain(&draw(&parts(), &[mark(71)], 98));
        assert_eq!(lines[0], "█".repeat(71) + &"▒".repeat(19) + &"░".repeat(8));
        assert_eq!(lines[1].find('^').unwrap(), 70, "{lines:?}");
        assert!(lines[2].contains("█ 71 backfilled   ▒ 19 pending   ░ 8 uncommitted"), "{lines:?}");
    }

    #[test]
    fn every_class_has_a_cell_however_few_its_frames() {
        let parts = [
            Part { class: Class::Backfilled, frames: u64::MAX },
            Part { class: Class::Pending, frames: 1 },
            Part { class: Class::Stale, frames: 1 },
        ];
        let lines = plain(&draw(&parts, &[], 20));
        assert_eq!(lines[0], "█".repeat(18) + "▒·");
    }

    #[test]
    fn a_mark_stands_under_the_last_cell_of_its_frame() {
        let cells = share_out(&parts(), 49);
        assert_eq!(cells.iter().sum::<usize>(), 49);
        assert_eq!(cell_of(71, &parts(), &cells), cells[0] - 1);
        assert_eq!(cell_of(90, &parts(), &cells), cells[0] + cells[1] - 1);
        assert_eq!(cell_of(0, &parts(), &cells), 0);
        assert_eq!(cell_of(u64::MAX, &parts(), &cells), 48);
    }

    #[test]
    fn no_line_is_wider_than_asked_at_any_width() {
        for width in 8..220 {
            for frame in [0, 1, 71, 90, 98, 1 << 40] {
                for line in plain(&draw(&parts(), &[mark(frame)], width)) {
                    assert!(display_width(&line) <= width, "width {width}: {line}");
                }
            }
        }
    }

    #[test]
    fn glyphs_differ_without_colour() {
        use Class::*;
        let all = [Backfilled, Pending, Unpublished, Uncommitted, Residue, Stale, Unwritten, Unrelated, Torn];
        let glyphs: std::collections::BTreeSet<char> = all.iter().map(|class| class.look().0).collect();
        assert_eq!(glyphs.len(), all.len());
    }

    #[test]
    fn without_frames_there_is_no_bar() {
        assert!(draw(&[Part { class: Class::Pending, frames: 0 }], &[mark(3)], 80).is_empty());
    }
}
