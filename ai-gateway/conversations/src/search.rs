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

/// The text in small letters, each character for itself.
fn small(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_lowercase).collect()
}

impl Pattern {
    /// A pattern, unless there is nothing to search for.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = small(text.trim());
        (!text.is_empty()).then_some(Self { text })
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
            let found = pattern.excerpt(&format!("{before}{text}{after}"));
            prop_assert!(small(&found.unwrap()).contains(&pattern.text));
        }
    }
}
