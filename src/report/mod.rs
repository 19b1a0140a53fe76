//! The documents that are the JSON contract, and their drawing for people. Nothing here reads anything.
//!
//! Each command has a document (`schema: "walscope/<command>/1"`) that serializes to the contract, and a `draw` that
//! makes the page for a terminal from the same document: so that the two never say different things.

pub mod checkpoint;
pub mod compare;
mod compare_page;
pub mod database;
pub mod explain;
pub mod finding;
pub mod hex;
pub mod inspect;
mod inspect_page;
pub mod picture;
pub mod probe;
pub mod ps;
pub mod rows;
pub mod shm;
pub mod shm_blocks;
pub mod shm_page;
#[cfg(target_os = "linux")]
pub mod snapshot;
pub mod table;
mod text;
pub mod verdict;
pub mod verify;
pub mod wal;
pub mod wal_frames;
pub mod wal_page;

/// Whether a terminal would do something at this character instead of showing it: a control character, the 8-bit ones
/// and DEL included, a line or paragraph separator, or a control of writing direction, which reorders what a person reads.
#[must_use]
pub fn is_obeyed(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Text from a file, a path or a container's name, made fit for a terminal: control characters are shown escaped.
#[must_use]
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) && c != '\n' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The same within a line: a name with a newline in it must not be able to forge a line of its own.
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
