//! The body of an HTTP error: a problem document (RFC 9457).
//!
//! Each surface names its own kinds; their words are in its protocol's page in `docs/protocols`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The media type of a [`Problem`].
pub const CONTENT_TYPE: &str = "application/problem+json";

/// What the type of every problem of Maru begins with.
pub const URN: &str = "urn:maru:problem:";

/// A problem document (RFC 9457, section 3.1). Members that are missing, or that are not known here, are no error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// [`URN`] and the kind, in one word.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: String,
    /// One sentence for people that names the problem.
    #[serde(default)]
    pub title: String,
    /// The HTTP status; 0 if the document names none.
    #[serde(default)]
    pub status: u16,
    /// What to do, or where exactly it went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Problem {
    /// Makes a problem of `kind`, the word after [`URN`].
    pub fn new(kind: &str, status: u16, title: impl Into<String>) -> Self {
        Self { kind: format!("{URN}{kind}"), title: title.into(), status, detail: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// The word after [`URN`], or all of the type if it is not ours.
    #[must_use]
    pub fn word(&self) -> &str {
        self.kind.strip_prefix(URN).unwrap_or(&self.kind)
    }

    /// Whether the problem is of this kind of ours.
    #[must_use]
    pub fn is(&self, kind: &str) -> bool {
        self.kind.strip_prefix(URN) == Some(kind)
    }
}

/// The title, and the detail if it says more. Both are whatever was received: who shows them takes control characters out.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Some(detail) if *detail != self.title => write!(f, "{}: {detail}", self.title),
            Some(_) | None => f.write_str(&self.title),
        }
    }
}

/// The type of a document that names none (RFC 9457, section 4.2.1).
fn about_blank() -> String {
    "about:blank".to_owned()
}

#[cfg(test)]
mod tests;
