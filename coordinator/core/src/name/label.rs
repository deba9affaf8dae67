//! Derives a DNS label from a hostname.

use icu_normalizer::DecomposingNormalizerBorrowed;

/// Longest DNS label (RFC 1035, section 2.3.4).
pub(super) const LABEL_MAX: usize = 63;

/// Initial consonants, U+1100 to U+1112, by the Revised Romanization of Korean.
const INITIALS: [&str; 19] = [
    "g", "kk", "n", "d", "tt", "r", "m", "b", "pp", "s", "ss", "", "j", "jj", "ch", "k", "t", "p",
    "h",
];

/// Vowels, U+1161 to U+1175.
const VOWELS: [&str; 21] = [
    "a", "ae", "ya", "yae", "eo", "e", "yeo", "ye", "o", "wa", "wae", "oe", "yo", "u", "wo", "we",
    "wi", "yu", "eu", "ui", "i",
];

/// Final consonants, U+11A8 to U+11C2, as pronounced at the end of a word.
const FINALS: [&str; 27] = [
    "k", "k", "k", "n", "n", "n", "t", "l", "k", "m", "l", "l", "l", "p", "l", "m", "p", "p", "t",
    "t", "ng", "t", "t", "k", "t", "p", "t",
];

/// The label from the part before the first dot; `None` if no character is usable. Accents and apostrophes are removed,
/// Hangul is romanized, and other characters become `-`.
///
/// NFC and NFD give the same label, since the name is decomposed first (NFKD). Each syllable of Hangul is romanized
/// separately, without sound changes between syllables.
pub(super) fn of(hostname: &str) -> Option<String> {
    let first = hostname.split('.').next().unwrap_or_default();
    let mut label = String::new();
    for character in DecomposingNormalizerBorrowed::new_nfkd().normalize_iter(first.chars()) {
        match character {
            '\'' | '\u{2019}' | '\u{300}'..='\u{36f}' => {}
            'a'..='z' | 'A'..='Z' | '0'..='9' => label.push(character.to_ascii_lowercase()),
            _ => match romanised(character) {
                Some(letters) => label.push_str(letters),
                None if label.is_empty() || label.ends_with('-') => {}
                None => label.push('-'),
            },
        }
        if label.len() >= LABEL_MAX {
            break;
        }
    }
    label.truncate(LABEL_MAX);
    let label = label.trim_end_matches('-');
    (!label.is_empty()).then(|| label.to_owned())
}

/// Romanizes a part of a Hangul syllable.
fn romanised(part: char) -> Option<&'static str> {
    let tables = [(0x1100, &INITIALS[..]), (0x1161, &VOWELS[..]), (0x11a8, &FINALS[..])];
    tables.into_iter().find_map(|(first, letters)| {
        let index = u32::from(part).checked_sub(first)?;
        letters.get(usize::try_from(index).ok()?).copied()
    })
}
