//! Searches recordings, logs, files and memory for a secret, in every encoding that would reveal it.

use std::{collections::BTreeSet, fmt::Write as _};

use aho_corasick::AhoCorasick;
use anyhow::Result;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// How a program writes a byte or a unit of text, one by one.
type Write = fn(&mut String, u32) -> std::fmt::Result;

/// Bytes as URLs have them (RFC 3986 section 2.1).
const IN_URLS: [Write; 2] = [|to, it| write!(to, "%{it:02x}"), |to, it| write!(to, "%{it:02X}")];

/// Bytes, each by itself: in hex, of URLs, of debug output, as lists.
const BYTES: [Write; 8] = [
    |to, it| write!(to, "{it:02x}"),
    |to, it| write!(to, "{it:02X}"),
    |to, it| write!(to, "{it:02x}:"),
    IN_URLS[0],
    IN_URLS[1],
    |to, it| write!(to, "\\x{it:02x}"),
    |to, it| write!(to, "{it}, "),
    |to, it| write!(to, "{it},"),
];

/// UTF-16 units as JSON may escape them (RFC 8259 section 7).
const UNITS: [Write; 2] = [|to, it| write!(to, "\\u{it:04x}"), |to, it| write!(to, "\\u{it:04X}")];

/// A secret in the forms in which programs print, send or keep it: as it is, byte by byte, in base64 wherever in a longer
/// text it begins, and if it is text also in UTF-16, escaped for JSON, for a URL and for a debugger.
///
/// Not forms of it: what is encoded twice, compressed, or cut in pieces.
pub fn forms(secret: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::from([secret.to_vec()]);
    let units = |write: Write, units: &mut dyn Iterator<Item = u32>| {
        let mut text = String::new();
        units.for_each(|unit| write(&mut text, unit).unwrap_or_default());
        // What separates the last from the next need not follow it.
        text.trim_end_matches([',', ' ', ':']).as_bytes().to_vec()
    };
    for write in BYTES {
        forms.insert(units(write, &mut secret.iter().map(|byte| u32::from(*byte))));
    }
    forms.extend(base64(secret));
    // With quotation marks escaped, and without.
    let ascii = secret.escape_ascii().to_string();
    forms.insert(ascii.replace("\\\"", "\"").replace("\\'", "'").into_bytes());
    forms.insert(ascii.into_bytes());
    if let Ok(text) = str::from_utf8(secret) {
        for write in UNITS {
            forms.insert(units(write, &mut text.encode_utf16().map(u32::from)));
            forms.insert(ascii_json(text, write));
        }
        forms.insert(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
        forms.insert(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
        forms.insert(text.escape_debug().to_string().into_bytes());
        forms.insert(inside(&serde_json::Value::from(text).to_string()).as_bytes().to_vec());
        for write in IN_URLS {
            let is_kept = |it: char| it.is_ascii_alphanumeric() || "-._~".contains(it);
            let in_url = text.chars().map(|it| match is_kept(it) {
                true => it.to_string().into_bytes(),
                false => units(write, &mut it.to_string().bytes().map(u32::from)),
            });
            forms.insert(in_url.flatten().collect());
        }
    }
    forms
}

/// As JSON has a text whose writer escapes what is not ASCII.
fn ascii_json(text: &str, write: Write) -> Vec<u8> {
    let mut all = String::new();
    for character in inside(&serde_json::Value::from(text).to_string()).chars() {
        if character.is_ascii() {
            all.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            write(&mut all, u32::from(*unit)).unwrap_or_default();
        }
    }
    all.into_bytes()
}

/// What stands between the quotation marks.
fn inside(quoted: &str) -> &str {
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default()
}

/// In both alphabets (RFC 4648), after nought to two bytes more; what depends on the bytes before and after is left out.
fn base64(secret: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let after = move |before: usize| {
        let longer = [&vec![0; before], secret].concat();
        let own = (before * 4).div_ceil(3)..longer.len() * 4 / 3;
        [STANDARD_NO_PAD.encode(&longer), URL_SAFE_NO_PAD.encode(&longer)]
            .map(|encoded| encoded.as_bytes()[own.clone()].to_vec())
    };
    (0..3).flat_map(after)
}

/// Looks for many texts at once, in gigabytes.
#[derive(Clone, Debug)]
pub struct Search {
    automaton: AhoCorasick,
    longest: usize,
}

impl Search {
    /// For secrets, each in all of its [`forms`].
    ///
    /// # Errors
    ///
    /// They are too many, by megabytes.
    pub fn new(secrets: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<Self> {
        Self::as_they_are(secrets.into_iter().flat_map(|secret| forms(secret.as_ref())))
    }

    /// For texts as they are, in no other form.
    ///
    /// # Errors
    ///
    /// As of [`Search::new`].
    pub fn as_they_are(texts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<Self> {
        let texts: Vec<_> = texts.into_iter().collect();
        let longest = texts.iter().map(|text| text.as_ref().len()).max().unwrap_or_default();
        Ok(Self { automaton: AhoCorasick::new(texts)?, longest })
    }

    /// Whether one of them is in there.
    pub fn finds_in(&self, bytes: impl AsRef<[u8]>) -> bool {
        self.automaton.is_match(bytes.as_ref())
    }

    /// Of the longest of them, in bytes: by so much two pieces of what is searched must overlap.
    pub fn longest(&self) -> usize {
        self.longest
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "nothing to do but fail")]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// What others make of a secret that stands in a longer text, by Python's own encoders.
    const ENCODERS: &str = r#"
import base64, binascii, json, sys, urllib.parse
for before in range(4):
    raw = b'x' * before + SECRET.encode() + b'?~ after'
    text = raw.decode()
    for made in [
        raw, raw.hex(), raw.hex().upper(), raw.hex(':'), base64.b64encode(raw), base64.urlsafe_b64encode(raw),
        text.encode('utf-16-le'), text.encode('utf-16-be'), json.dumps(text), json.dumps(text, ensure_ascii=False),
        ''.join('\\u%04x' % unit for unit in memoryview(text.encode('utf-16')[2:]).cast('H')),
        urllib.parse.quote(text, safe=''), ''.join('%%%02x' % byte for byte in raw),
        json.dumps(list(raw)), json.dumps(list(raw), separators=(',', ':')), ascii(raw)[2:-1],
    ]:
        made = made.encode() if isinstance(made, str) else made
        print(binascii.hexlify(made).decode())
"#;

    #[test]
    fn the_search_finds_what_others_make_of_a_secret() {
        for secret in ["kumquat-5528-plain", "두유 \"말\" \\ 🦀-4417", "a/b?c=d&e+f~g"] {
            let quoted = serde_json::Value::from(secret).to_string();
            let program = format!("SECRET = {quoted}\n{ENCODERS}");
            let mut python = Command::new("python3");
            let out = python.args(["-c", &program]).stderr(Stdio::inherit()).output().unwrap();
            let (search, other) =
                (Search::new([secret]).unwrap(), Search::new(["kumquat-0000-other"]).unwrap());
            let lines: Vec<_> = str::from_utf8(&out.stdout).unwrap().lines().collect();
            assert_eq!(lines.len(), 4 * 16);
            for line in lines {
                let made = hex::decode(line).unwrap();
                assert!(search.finds_in(&made), "{secret}: {}", made.escape_ascii());
                assert!(!other.finds_in(&made));
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_have_forms_too() {
        let secret: Vec<u8> = (0xf0..=0xff).collect();
        let search = Search::new([&secret]).unwrap();
        for made in [format!("{secret:?}"), secret.escape_ascii().to_string(), hex::encode(&secret)]
        {
            assert!(search.finds_in(&made), "{made}");
        }
        assert!(search.longest() >= 16 * 5 - 2);
    }
}
