//! The languages, and which one is meant.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this process speaks Korean to people.
static KOREAN: AtomicBool = AtomicBool::new(false);

/// A language that Maru speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Korean.
    Korean,
}

impl Language {
    /// The language of this process: English, unless [`Language::make_current`] was called. Daemons log in English.
    #[must_use]
    pub fn current() -> Self {
        if KOREAN.load(Ordering::Relaxed) { Self::Korean } else { Self::English }
    }

    /// Makes it the language of this process.
    pub fn make_current(self) {
        KOREAN.store(self == Self::Korean, Ordering::Relaxed);
    }

    /// The language that `LC_ALL`, `LC_MESSAGES` or `LANG` names, in this order.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let names = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter();
        let mut values = names.filter_map(|name| variable(name).filter(|value| !value.is_empty()));
        if values.next().is_some_and(|value| value.starts_with("ko")) {
            Self::Korean
        } else {
            Self::English
        }
    }

    /// The language that an `Accept-Language` header prefers (RFC 9110, section 12.5.4; browsers write the languages in the
    /// order of their weights).
    #[must_use]
    pub fn accepted(header: &str) -> Self {
        let languages = header.split(',').map(|range| {
            range.trim_start().split(['-', ';']).next().unwrap_or_default().to_ascii_lowercase()
        });
        match languages.into_iter().find(|language| language == "en" || language == "ko") {
            Some(language) if language == "ko" => Self::Korean,
            Some(_) | None => Self::English,
        }
    }

    /// The other language.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::English => Self::Korean,
            Self::Korean => Self::English,
        }
    }

    /// Its tag (BCP 47).
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Language::{self, English, Korean};

    fn with(pairs: &'static [(&str, &str)]) -> Language {
        let value = |name: &str| pairs.iter().find(|pair| pair.0 == name);
        Language::of_environment(|name| value(name).map(|pair| pair.1.to_owned()))
    }

    #[test]
    fn the_environment_names_the_language() {
        assert_eq!(with(&[("LANG", "ko_KR.UTF-8")]), Korean);
        assert_eq!(with(&[("LANG", "ko_KR.UTF-8"), ("LC_ALL", "C")]), English);
        assert_eq!(with(&[("LANG", "ko"), ("LC_ALL", "")]), Korean);
        assert_eq!(with(&[]), English);
    }

    #[test]
    fn the_language_that_the_browser_prefers_is_chosen() {
        for korean in ["ko-KR,ko;q=0.9,en;q=0.8", "fr, KO;q=0.5"] {
            assert_eq!(Language::accepted(korean), Korean, "{korean}");
        }
        for english in ["en-US,en;q=0.9,ko;q=0.8", "", "kok,en"] {
            assert_eq!(Language::accepted(english), English, "{english}");
        }
    }
}
