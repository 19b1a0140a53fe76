//! The documents that are the JSON contract, and the pages that are drawn from them. Nothing here reads files.
//!
//! Each command has a document (`schema: "walscope/<command>/1"`) that serializes to the contract. Its `draw` makes the
//! page for a terminal from the same document, so the two never differ.

pub mod checkpoint;
pub mod compare;
mod compare_page;
pub mod database;
pub mod explain;
pub mod finding;
pub mod hex;
pub mod inspect;
mod inspect_page;
pub mod opening;
pub mod over_time;
pub mod picture;
pub mod probe;
pub mod ps;
#[cfg(target_os = "linux")]
pub mod rescue;
pub mod rows;
pub mod salvage;
pub mod shm;
pub mod shm_blocks;
pub mod shm_page;
#[cfg(target_os = "linux")]
pub mod snapshot;
pub mod table;
mod text;
pub mod verdict;
pub mod verify;
pub mod verify_many;
pub mod wal;
pub mod wal_frames;
pub mod wal_page;

pub use crate::shell_word::is_terminal_control;

/// Makes a text from a file, a path or a container's name safe for a terminal: control characters are escaped.
#[must_use]
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_terminal_control(c) && c != '\n' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Makes a text safe for a place within a line: newlines are escaped too, so that a name cannot fake a line.
#[must_use]
pub fn line(text: &str) -> String {
    safe(text).replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_terminal_is_left() {
        let hostile = "a\u{1b}[2J\u{7}\r\t\u{9b}\u{202e}\u{2028}\u{7f}b\nc";
        assert_eq!(safe(hostile), "a\\u{1b}[2J\\u{7}\\r\\t\\u{9b}\\u{202e}\\u{2028}\\u{7f}b\nc");
        assert!(!line(hostile).contains('\n'));
        assert_eq!(line("caf\u{e9} \u{65e5}"), "caf\u{e9} \u{65e5}");
    }
}
