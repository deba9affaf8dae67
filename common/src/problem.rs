//! The body of an HTTP error: a problem document (RFC 9457).
//!
//! Each surface has kinds of its own; its page in `docs/protocols` lists them.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::foreign;

/// The media type of a [`Problem`].
pub const CONTENT_TYPE: &str = "application/problem+json";

/// What the type of every problem of Maru begins with.
pub const URN: &str = "urn:maru:problem:";

/// Longest document that [`Problem::received`] reads, in bytes.
pub const MAX: usize = 16 << 10;
/// Longest type, title or detail that [`Problem::received`] keeps, in characters.
pub const TEXT_MAX: usize = 300;
/// Most arguments of a message that [`Problem::received`] keeps.
pub const ARGUMENTS_MAX: usize = 8;

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
    /// An extension (section 3.2): the id of the message that says the same in other languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// An extension: the arguments of that message.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, String>,
}

impl Problem {
    /// Makes a problem of `kind`, the word after [`URN`].
    pub fn new(kind: &str, status: u16, title: impl Into<String>) -> Self {
        Self {
            kind: format!("{URN}{kind}"),
            title: title.into(),
            status,
            detail: None,
            message: None,
            arguments: BTreeMap::new(),
        }
    }

    /// Reads the body of another machine's answer. `content_type` is the value of its `Content-Type`.
    ///
    /// What is returned may be logged and shown: each text is one line of at most [`TEXT_MAX`] characters, and the
    /// characters that [steer](foreign::steers) a terminal are replaced. A member of another type than RFC 9457 gives it
    /// is ignored (section 3.1); of a member that is there twice the last counts.
    ///
    /// `None` if the answer is no problem document, its body is no JSON object, or longer than [`MAX`].
    #[must_use]
    pub fn received(content_type: &[u8], body: &[u8]) -> Option<Self> {
        if !is_problem(content_type) || body.len() > MAX {
            return None;
        }
        let members: Map<String, Value> = serde_json::from_slice(body).ok()?;
        let text = |name| Some(foreign::short(members.get(name)?.as_str()?, TEXT_MAX));
        let status = members.get("status").and_then(Value::as_u64);
        Some(Self {
            kind: text("type").unwrap_or_else(about_blank),
            title: text("title").unwrap_or_default(),
            status: status.and_then(|status| status.try_into().ok()).unwrap_or_default(),
            detail: text("detail"),
            message: text("message"),
            arguments: arguments(members.get("arguments")),
        })
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

/// The arguments of a message that are texts, [`ARGUMENTS_MAX`] at most.
fn arguments(member: Option<&Value>) -> BTreeMap<String, String> {
    let members = member.and_then(Value::as_object).into_iter().flatten();
    let short = |text| foreign::short(text, TEXT_MAX);
    let texts = members.filter_map(|(name, value)| Some((short(name), short(value.as_str()?))));
    texts.take(ARGUMENTS_MAX).collect()
}

/// Whether this value of `Content-Type` is that of a problem document, with parameters or without.
#[must_use]
pub fn is_problem(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(CONTENT_TYPE.as_bytes())
}

/// The title, and the detail if it says more. Both are as they were decoded: only [`Problem::received`] takes control
/// characters out.
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
