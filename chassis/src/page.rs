//! The frame of HTML pages: languages, and the content security policy.
//!
//! A page is a message of the catalogue, whose arguments are [`escaped`]. It loads nothing, cannot be framed, and its one
//! script is named by its hash.

use std::{fmt::Write as _, sync::LazyLock};

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use messages::{Language, Message, message};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("page.css");

static STYLE_HASH: LazyLock<String> = LazyLock::new(|| hash(STYLE));

/// A script, and what names it to the browser.
#[derive(Debug)]
pub struct Script {
    source: &'static str,
    hash: LazyLock<String>,
}

/// A page.
#[derive(Debug)]
pub struct Page {
    /// HTTP status.
    pub status: StatusCode,
    /// Its content, as HTML.
    pub text: Message,
    /// The one script that runs in it.
    pub script: Option<&'static Script>,
    /// Where its forms may be sent, and redirected, as source expressions (CSP Level 3, section 2.3.1); empty if it has
    /// none. Chrome applies them to redirects, too.
    pub forms: Vec<String>,
}

impl Script {
    /// A script with the function that computes its [`hash`].
    #[must_use]
    pub const fn new(source: &'static str, hash: fn() -> String) -> Self {
        Self { source, hash: LazyLock::new(hash) }
    }
}

/// The source expression of a script or style (CSP Level 3, section 2.3.1).
#[must_use]
pub fn hash(source: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(source)))
}

impl Page {
    /// A page without a script and a form.
    #[must_use]
    pub fn new(status: StatusCode, text: Message) -> Self {
        Self { status, text, script: None, forms: Vec::new() }
    }

    /// The answer to a browser with these headers: the language that it prefers comes first, the other behind a button.
    #[must_use]
    pub fn response(&self, headers: &HeaderMap) -> Response {
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
            (header::REFERRER_POLICY, self.referrer().to_owned()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
            (header::VARY, "accept-language".to_owned()),
        ];
        (self.status, headers, Html(html)).into_response()
    }

    /// Without a referrer, a browser says `Origin: null` with a form, too (Fetch, section 3.2).
    fn referrer(&self) -> &'static str {
        if self.forms.is_empty() { "no-referrer" } else { "same-origin" }
    }

    /// Nothing is loaded, nothing is sent but forms, nobody frames it.
    fn policy(&self) -> String {
        let mut policy = format!(
            "default-src 'none'; style-src {}; base-uri 'none'; frame-ancestors 'none'; form-action {}",
            *STYLE_HASH,
            if self.forms.is_empty() { "'none'".to_owned() } else { self.forms.join(" ") }
        );
        if let Some(script) = self.script {
            let _ = write!(policy, "; script-src {}", *script.hash);
        }
        policy
    }
}

/// The text as HTML, in attributes, too.
#[must_use]
pub fn escaped(text: &str) -> String {
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
    fn a_form_goes_to_the_named_places_and_names_its_origin() {
        let mut page = Page::new(StatusCode::OK, Message::from(""));
        assert!(page.policy().ends_with("form-action 'none'"));
        assert_eq!(page.referrer(), "no-referrer");
        page.forms = vec!["'self'".to_owned(), "element:".to_owned()];
        assert!(page.policy().ends_with("frame-ancestors 'none'; form-action 'self' element:"));
        assert_eq!(page.referrer(), "same-origin");
    }

    #[test]
    fn what_is_filled_in_cannot_be_markup() {
        assert_eq!(
            escaped("<a href=\"x\">'&'</a>"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;"
        );
        assert_eq!(escaped("https://home.example:8443"), "https://home.example:8443");
    }
}
