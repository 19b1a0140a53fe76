//! JSON with strings that a terminal shows and does not interpret.
//!
//! JSON itself only escapes the first 32 characters. DEL, the 8-bit controls (U+009B begins an escape sequence in some
//! terminals) and the controls of writing direction are allowed in a string unescaped. Escaped, they mean the same to a
//! program.

use std::io::{self, Write};

use serde_json::ser::Formatter;
use walscope::report::is_terminal_control;

/// A formatter that also escapes such characters.
pub struct Harmless<F>(pub F);

macro_rules! as_within {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {
        $(fn $method<W: ?Sized + Write>(&mut self, writer: &mut W $(, $argument: $type)*) -> io::Result<()> {
            self.0.$method(writer $(, $argument)*)
        })*
    };
}

impl<F: Formatter> Formatter for Harmless<F> {
    as_within! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        end_object_key();
        begin_object_value();
        end_object_value();
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Nearly every string is plain.
        if fragment.bytes().all(|byte| byte < 0x7f) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut buffer = [0; 4];
        for c in fragment.chars() {
            if is_terminal_control(c) {
                write!(writer, "\\u{:04x}", u32::from(c))?;
            } else {
                writer.write_all(c.encode_utf8(&mut buffer).as_bytes())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::Value;
    use serde_json::ser::{CompactFormatter, PrettyFormatter};

    use super::*;

    fn written<F: Formatter>(value: &Value, formatter: F) -> String {
        let mut out = Vec::new();
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Harmless(formatter))).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn control_characters_in_json_are_escaped_without_changing_the_value() {
        let hostile = "caf\u{e9} \u{1f600}\u{1b}]0;x\u{7}\n\u{7f}\u{9b}2J\u{85}\u{202e}\u{2028}\u{61c}\"\\";
        let value = serde_json::json!({ hostile: [hostile, 1, null, {}, []], "plain": true });
        for text in [written(&value, CompactFormatter), written(&value, PrettyFormatter::new())] {
            assert!(!text.chars().any(|c| is_terminal_control(c) && c != '\n'), "{text:?}");
            assert!(text.contains("caf\u{e9} \u{1f600}\\u001b]0;x\\u0007\\n\\u007f\\u009b2J"), "{text:?}");
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }

    #[test]
    fn plain_json_is_what_it_was() {
        let value = serde_json::json!({"a": [1, "b", {"c": null}], "d": {}, "e": []});
        assert_eq!(written(&value, CompactFormatter), serde_json::to_string(&value).unwrap());
        assert_eq!(written(&value, PrettyFormatter::new()), serde_json::to_string_pretty(&value).unwrap());
    }
}
