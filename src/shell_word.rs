//! A text as one word of a shell's command line: commands that walscope prints can be copied.

/// The word, in single quotes where it needs them.
///
/// ```
/// assert_eq!(walscope::shell_word::shell_word("it's"), r"'it'\''s'");
/// ```
#[must_use]
pub fn shell_word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,=@:".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
