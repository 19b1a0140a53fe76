//! The documents that are the JSON contract, and their drawing as JSON and as tables.

/// Text from a file, a path or a container's name, made fit for a terminal: control characters are shown escaped.
#[must_use]
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Bidirectional controls reorder what a person reads; they are no more welcome than escape sequences.
        if (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}
