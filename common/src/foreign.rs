//! Sanitizes untrusted text for a terminal, a log or an error message.
//!
//! A hostname, a file name in an archive or a message from a server must not control a terminal or look like other text.
//! U+FFFD replaces each such character, a space each line end.

/// Replaces a character that is not shown.
pub const REPLACED: char = '\u{fffd}';

/// Whether a character controls a terminal or the text's direction: control characters (C0, DEL, C1), ends of lines and
/// paragraphs, and [bidirectional ones](turns).
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || turns(c)
}

/// Whether a character only changes the text's direction: marks, embeddings, overrides, isolates (UAX #9, section 2).
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line, with [`REPLACED`] or a space for characters that [`steers`] finds.
#[must_use]
pub fn line(text: &str) -> String {
    short(text, usize::MAX)
}

/// Text of several lines: line ends and tabs stay, and direction marks, which honest Arabic or Hebrew text has, are omitted.
#[must_use]
pub fn lines(text: &str) -> String {
    let hidden = |c: char| steers(c) && !matches!(c, '\n' | '\t');
    let shown = text.chars().filter(|c| !turns(*c));
    shown.map(|c| if hidden(c) { REPLACED } else { c }).collect()
}

/// The first `max` characters of [`line()`].
#[must_use]
pub fn short(text: &str, max: usize) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        _ if steers(c) => REPLACED,
        _ => c,
    };
    text.chars().take(max).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_cannot_steer_a_terminal_nor_turn_around() {
        assert_eq!(line("a\u{1b}[2Jb\n\u{9b}c"), "a\u{fffd}[2Jb \u{fffd}c");
        for turns in "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}".chars() {
            assert_eq!(line(&format!("a{turns}b")), "a\u{fffd}b", "{turns:?}");
        }
        assert_eq!(lines("a\n\tb\r\u{202e}c"), "a\n\tb\u{fffd}c");
        assert_eq!(short("가\u{7f}나다", 3), "가\u{fffd}나");
        assert_eq!(line("마루 עברית 👩‍👩‍👧"), "마루 עברית 👩‍👩‍👧");
    }

    proptest! {
        #[test]
        fn nothing_that_steers_is_left(text in any::<String>()) {
            prop_assert!(!line(&text).chars().any(steers));
            prop_assert_eq!(line(&text).chars().count(), text.chars().count());
            prop_assert!(!lines(&text).chars().any(|c| steers(c) && c != '\n' && c != '\t'));
        }
    }
}
