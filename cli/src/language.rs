//! The language that messages are read in.

/// A language that Maru speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// English.
    English,
    /// Korean.
    Korean,
}

impl Language {
    /// The language that the environment asks for.
    pub(crate) fn current() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    /// The language that `LC_ALL`, `LC_MESSAGES` or `LANG` ask for, in this order.
    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let asked = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .find_map(|name| variable(name).filter(|value| !value.is_empty()));
        if asked.is_some_and(|value| value.starts_with("ko")) {
            Self::Korean
        } else {
            Self::English
        }
    }

    /// The text of this language.
    pub(crate) fn pick<T>(self, english: T, korean: T) -> T {
        match self {
            Self::English => english,
            Self::Korean => korean,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Language;

    fn with(pairs: &'static [(&str, &str)]) -> Language {
        Language::of(|name| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned()))
    }

    #[test]
    fn korean_is_spoken_where_it_is_asked_for() {
        assert_eq!(with(&[("LANG", "ko_KR.UTF-8")]), Language::Korean);
        assert_eq!(with(&[("LANG", "ko_KR.UTF-8"), ("LC_ALL", "C")]), Language::English);
        assert_eq!(with(&[("LANG", "ko"), ("LC_ALL", "")]), Language::Korean);
        assert_eq!(with(&[]), Language::English);
    }
}
