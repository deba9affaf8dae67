//! Error bodies (RFC 9457).

use serde::{Deserialize, Serialize};

/// Content type of an error body.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// What every [`Problem::kind`] of Maru begins with.
pub const URN: &str = "urn:maru:problem:";

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:maru:problem:<kind>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// One sentence for people.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What to do, or where exactly it went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Problem {
    /// Makes a problem of `kind`, the word after [`URN`].
    #[must_use]
    pub fn new(kind: &str, status: u16, title: String) -> Self {
        Self { kind: format!("{URN}{kind}"), title, status, detail: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn with_detail(mut self, detail: String) -> Self {
        self.detail = Some(detail);
        self
    }

    /// The word after [`URN`], or all of the type if it is not ours.
    #[must_use]
    pub fn word(&self) -> &str {
        self.kind.strip_prefix(URN).unwrap_or(&self.kind)
    }
}
