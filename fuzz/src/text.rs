//! What a terminal would obey must not be in anything drawn.

/// Whether a page is drawn of an input: of one in 64. Drawing takes ten times as long as decoding, so what decides changes
/// with every byte: else the fuzzer, which loves what reaches much, would draw all day.
#[must_use]
pub fn is_drawn(bytes: &[u8]) -> bool {
    let sum = bytes.iter().fold(bytes.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    (sum >> 6) % 64 == 0
}

/// Fails where a drawn page holds a control character, or one that turns the direction of text round, beyond the colours
/// and line ends that walscope draws with itself.
pub fn assert_harmless(page: &str) {
    let mut chars = page.chars();
    while let Some(c) = chars.next() {
        match c {
            '\n' => {}
            // A colour of walscope's own: `ESC [`, digits and semicolons, `m`.
            '\u{1b}' => {
                assert_eq!(chars.next(), Some('['), "an escape sequence in {page:?}");
                let end = chars.find(|c| !c.is_ascii_digit() && *c != ';');
                assert_eq!(end, Some('m'), "an escape sequence in {page:?}");
            }
            c => assert!(!walscope::report::is_terminal_control(c), "{c:?} in {page:?}"),
        }
    }
}
