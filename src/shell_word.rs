//! Command lines that walscope prints: they can be copied into a shell, whatever name is in them. No other file puts one together:
//! `every_command_line_is_made_in_one_place`.

use std::ffi::OsStr;

/// `walscope COMMAND SOURCE REST`. A source that begins as an option is named by its folder, too.
///
/// ```
/// use walscope::shell_word::walscope;
/// assert_eq!(walscope("verify", "app.db", ""), "walscope verify app.db");
/// assert_eq!(walscope("rescue", "-a $(b).db", "-o DIR"), "walscope rescue './-a $(b).db' -o DIR");
/// ```
#[must_use]
pub fn walscope(command: &str, source: impl AsRef<OsStr>, rest: &str) -> String {
    let source = source.as_ref();
    let source = if source.as_encoded_bytes().starts_with(b"-") {
        let mut named = OsStr::new("./").to_owned();
        named.push(source);
        shell_word(named)
    } else {
        shell_word(source)
    };
    let space = if rest.is_empty() { "" } else { " " };
    format!("walscope {command} {source}{space}{rest}")
}

/// A name as one word of a shell's line: in single quotes where it needs them, and as `$'...'` where it has something that a terminal
/// does not show as it is, or that is no text. Every shell takes the first form, and bash, zsh, ksh and busybox the second.
///
/// ```
/// use walscope::shell_word::shell_word;
/// assert_eq!(shell_word("it's"), r"'it'\''s'");
/// assert_eq!(shell_word("it's\n"), r"$'it\'s\x0a'");
/// ```
#[must_use]
pub fn shell_word(text: impl AsRef<OsStr>) -> String {
    let bytes = text.as_ref().as_encoded_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+,=@:".contains(byte);
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && bytes.iter().all(plain) => text.to_owned(),
        Ok(text) if !text.contains(is_terminal_control) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => escaped(bytes),
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut word = String::from("$'");
    let hex = |word: &mut String, bytes: &[u8]| bytes.iter().for_each(|byte| word.push_str(&format!("\\x{byte:02x}")));
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' | '\\' => word.extend(['\\', c]),
                c if is_terminal_control(c) => hex(&mut word, c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => word.push(c),
            }
        }
        hex(&mut word, chunk.invalid());
    }
    word.push('\'');
    word
}

/// Whether a terminal would interpret this character instead of showing it. These are control characters (also the
/// 8-bit ones and DEL), line and paragraph separators, and controls of writing direction, which reorder what a person
/// reads.
#[must_use]
pub fn is_terminal_control(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}
