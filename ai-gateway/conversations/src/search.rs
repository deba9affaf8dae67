//! Finds a text in messages.

use std::fmt;

/// Characters of an excerpt before and after the text.
const AROUND: usize = 60;

/// A text that is searched for, in any case.
pub struct Pattern {
    /// In small letters.
    text: String,
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pattern([redacted])")
    }
}

/// Puts the text in small letters into `small`, each character for itself.
fn lowercase(text: &str, small: &mut String) {
    small.clear();
    if text.is_ascii() {
        small.push_str(text);
        small.make_ascii_lowercase();
    } else {
        small.extend(text.chars().flat_map(char::to_lowercase));
    }
}

/// The text in small letters.
fn small(text: &str) -> String {
    let mut small = String::new();
    lowercase(text, &mut small);
    small
}

impl Pattern {
    /// A pattern, unless there is nothing to search for.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = small(text.trim());
        (!text.is_empty()).then_some(Self { text })
    }

    /// Whether the pattern is in a message. `small` is memory that is used again for the next one.
    pub(crate) fn is_in(&self, message: &str, small: &mut String) -> bool {
        lowercase(message, small);
        small.contains(&self.text)
    }

    /// The part of a message around the first place where the pattern is, if it is there.
    #[must_use]
    pub fn excerpt(&self, message: &str) -> Option<String> {
        let at = small(message).find(&self.text)?;
        let mut length = 0;
        // Small letters may take more or fewer bytes.
        let before = message.chars().take_while(|char| {
            length += char.to_lowercase().map(char::len_utf8).sum::<usize>();
            length <= at
        });
        let before = before.count();
        let (start, around) = (before.saturating_sub(AROUND), AROUND + self.text.chars().count());
        let end = before.saturating_add(around);
        let mut chars = message.chars().skip(start);
        let mut excerpt = String::new();
        if start > 0 {
            excerpt.push('…');
        }
        excerpt.extend(chars.by_ref().take(end - start));
        if chars.next().is_some() {
            excerpt.push('…');
        }
        Some(excerpt)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn excerpt(pattern: &str, message: &str) -> Option<String> {
        Pattern::new(pattern).unwrap().excerpt(message)
    }

    #[test]
    fn a_text_is_found_in_any_case() {
        for (pattern, message) in [
            ("HARBOUR", "The harbour"),
            ("harbour", "The Harbour"),
            (" 항구 ", "오늘 항구에서"),
            ("ÉCOLE", "l'école"),
            ("straße", "Straße"),
            ("x", "İİİ x"),
        ] {
            assert_eq!(excerpt(pattern, message).as_deref(), Some(message), "{pattern}");
        }
        for (pattern, message) in [("harbor", "The harbour"), ("항구", "항 구"), ("x", "")] {
            assert_eq!(excerpt(pattern, message), None, "{pattern}");
        }
        assert!(Pattern::new(" \n").is_none());
    }

    #[test]
    fn an_excerpt_has_some_characters_on_each_side() {
        let (before, after) = ("가".repeat(AROUND + 1), "나".repeat(AROUND + 1));
        let found = excerpt("배", &format!("{before}배{after}")).unwrap();
        let (near, rest) = ("가".repeat(AROUND), "나".repeat(AROUND));
        assert_eq!(found, format!("…{near}배{rest}…"));
        let (before, after) = (&before[3..], &after[3..]);
        let whole = format!("{before}배{after}");
        assert_eq!(excerpt("배", &whole), Some(whole));
    }

    proptest! {
        #[test]
        fn what_is_in_a_message_is_found(before: String, text in ".{0,20}", after: String) {
            let Some(pattern) = Pattern::new(&text) else { return Ok(()) };
            let message = format!("{before}{text}{after}");
            let found = pattern.excerpt(&message);
            prop_assert!(small(&found.unwrap()).contains(&pattern.text));
            prop_assert!(pattern.is_in(&message, &mut before.clone()));
        }

        #[test]
        fn there_is_an_excerpt_of_what_has_the_pattern(text in "[aAİiKk\u{307}ß가]{1,2}", message in "[aAİiKk\u{307}ß가 ]{0,8}") {
            let pattern = Pattern::new(&text).unwrap();
            let is_in = pattern.is_in(&message, &mut String::new());
            prop_assert_eq!(pattern.excerpt(&message).is_some(), is_in);
        }
    }
}
