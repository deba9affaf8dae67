//! The frame of the pages: languages, and the content security policy.
//!
//! A page is a message of the catalogue, with the configured address or a code as its only argument, [`escaped`]. It loads
//! nothing, cannot be framed, and its one script is named by its hash.

use std::{fmt::Write as _, sync::LazyLock};

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use messages::{Language, Message, message};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("style.css");

static STYLE_HASH: LazyLock<String> = LazyLock::new(|| hash(STYLE));

/// A script, and what names it to the browser.
pub(super) struct Script {
    source: &'static str,
    hash: LazyLock<String>,
}

/// A page.
pub(super) struct Page {
    pub(super) status: StatusCode,
    /// Its content, as HTML.
    pub(super) text: Message,
    /// The one script that runs in it.
    pub(super) script: Option<&'static Script>,
    /// Whether it has a form, which is sent to its own origin.
    pub(super) has_form: bool,
}

impl Script {
    pub(super) const fn new(source: &'static str, hash: fn() -> String) -> Self {
        Self { source, hash: LazyLock::new(hash) }
    }
}

/// The source expression of a script or style (CSP Level 3, section 2.3.1).
pub(super) fn hash(source: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(source)))
}

impl Page {
    /// The answer to a browser with these headers: the language that it prefers comes first, the other behind a button.
    pub(super) fn response(&self, headers: &HeaderMap) -> Response {
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let language = Language::accepted(accepted.unwrap_or_default());
        let other = language.other();
        let script = self.script.map(|script| format!("<script>{}</script>", script.source));
        let html = format!(
            "<!doctype html>\n<html lang=\"{}\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>Maru</title>\n\
             <style>{STYLE}</style>\n<main>\n{}\n</main>\n\
             <details class=\"other\" lang=\"{}\"><summary>{}</summary>\n{}\n</details>\n{}</html>\n",
            language.tag(),
            self.text.text(language),
            other.tag(),
            message!("page-language").text(other),
            self.text.text(other),
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

/// The text as HTML, in attributes, too.
pub(super) fn escaped(text: &str) -> String {
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
}
