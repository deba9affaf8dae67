//! What the pages have in common: their frame, their languages, and what a browser may do with them.
//!
//! A page is fixed text; of what comes from outside, nothing but the configured address and a code is put into it. It
//! loads nothing, is framed by nobody, and its one script is named by its hash.

use std::{fmt::Write as _, sync::LazyLock};

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("style.css");

static STYLE_HASH: LazyLock<String> = LazyLock::new(|| hash(STYLE));

/// A text in both languages, as HTML.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    pub(super) english: &'static str,
    pub(super) korean: &'static str,
}

/// A script, and what names it to the browser.
pub(super) struct Script {
    source: &'static str,
    hash: LazyLock<String>,
}

/// A page.
pub(super) struct Page<'a> {
    pub(super) status: StatusCode,
    /// What it says.
    pub(super) text: Text,
    /// The coordinator's address, which is written in the place of each `{{address}}`.
    pub(super) address: &'a str,
    /// A device's code, in the place of each `{{code}}`.
    pub(super) code: &'a str,
    /// The one script that runs in it.
    pub(super) script: Option<&'static Script>,
    /// Whether its form may be sent, to where the page comes from.
    pub(super) has_form: bool,
}

impl Script {
    /// A script that names its hash itself when it is first needed.
    pub(super) const fn new(source: &'static str, hash: fn() -> String) -> Self {
        Self { source, hash: LazyLock::new(hash) }
    }
}

/// What a policy names a script or a style by (CSP Level 3, section 2.3.1).
pub(super) fn hash(source: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(source)))
}

impl Page<'_> {
    /// The answer to a browser with these headers: the language that it prefers comes first, the other behind a button.
    pub(super) fn response(&self, headers: &HeaderMap) -> Response {
        let (first, second) = match prefers_korean(headers) {
            true => (("ko", self.text.korean), ("en", "English", self.text.english)),
            false => (("en", self.text.english), ("ko", "한국어", self.text.korean)),
        };
        let script = self.script.map(|script| format!("<script>{}</script>", script.source));
        let html = format!(
            "<!doctype html>\n<html lang=\"{}\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>Maru</title>\n\
             <style>{STYLE}</style>\n<main>\n{}</main>\n\
             <details class=\"other\" lang=\"{}\"><summary>{}</summary>\n{}</details>\n{}</html>\n",
            first.0,
            self.filled(first.1),
            second.0,
            second.1,
            self.filled(second.2),
            script.unwrap_or_default(),
        );
        let headers = [
            (header::CACHE_CONTROL, "no-store".to_owned()),
            (header::CONTENT_SECURITY_POLICY, self.policy()),
            (header::REFERRER_POLICY, "no-referrer".to_owned()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
            (header::VARY, "accept-language".to_owned()),
        ];
        (self.status, headers, Html(html)).into_response()
    }

    fn filled(&self, text: &str) -> String {
        text.replace("{{address}}", &escaped(self.address)).replace("{{code}}", &escaped(self.code))
    }

    /// Nothing is loaded, nothing is sent but the form, nobody frames it.
    fn policy(&self) -> String {
        let mut policy = format!(
            "default-src 'none'; style-src {}; base-uri 'none'; frame-ancestors 'none'; form-action {}",
            *STYLE_HASH,
            if self.has_form { "'self'" } else { "'none'" }
        );
        if let Some(script) = self.script {
            let _ = write!(policy, "; script-src {}", *script.hash);
        }
        policy
    }
}

/// Text that stands for itself in HTML, attributes included.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, character| {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
        escaped
    })
}

/// Whether Korean comes before English in what the browser accepts (RFC 9110, section 12.5.4; browsers write the
/// languages in the order of their weights).
fn prefers_korean(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let mut ranges = accepted.unwrap_or_default().split(',').map(str::trim_start);
    let first = ranges.find_map(|range| {
        let language = range.split(['-', ';']).next().unwrap_or_default().to_ascii_lowercase();
        ["en", "ko"].iter().position(|known| *known == language)
    });
    first == Some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_cannot_be_markup() {
        assert_eq!(
            escaped("<a href=\"x\">'&'</a>"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;"
        );
        assert_eq!(escaped("https://home.example:8443"), "https://home.example:8443");
    }

    #[test]
    fn the_language_that_the_browser_prefers_comes_first() {
        let prefers = |accepted: &str| {
            let value = accepted.parse().unwrap();
            prefers_korean(&HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, value)]))
        };
        assert!(prefers("ko-KR,ko;q=0.9,en;q=0.8") && prefers("fr, KO;q=0.5"));
        assert!(!prefers("en-US,en;q=0.9,ko;q=0.8") && !prefers("") && !prefers("kok,en"));
        assert!(!prefers_korean(&HeaderMap::new()));
    }
}
