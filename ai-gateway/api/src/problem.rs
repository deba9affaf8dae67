//! Problem documents (RFC 9457) of the gateway's own surfaces.

use serde::{Deserialize, Serialize};

/// The media type of a [`Problem`].
pub const CONTENT_TYPE: &str = "application/problem+json";

/// What every problem type starts with.
pub const TYPE_PREFIX: &str = "urn:maru:problem:";

/// Kinds of problem; the type is [`TYPE_PREFIX`] and the kind.
pub mod kind {
    /// 400: the one answer to every sealed request that cannot be opened, whatever the reason.
    pub const SEALED: &str = "sealed";
    /// 400: the body is not the JSON of this endpoint.
    pub const BODY: &str = "body";
    /// 400: the body names a version that this gateway does not speak.
    pub const VERSION: &str = "version";
    /// 403: the device key is not bound to the calling node and its person; bind it at `POST /maru/v1/devices` on port
    /// 18789.
    pub const DEVICE: &str = "device";
    /// 403: the caller may not do this here.
    pub const FORBIDDEN: &str = "forbidden";
    /// 404: no such thing.
    pub const NOT_FOUND: &str = "not-found";
    /// 409: the device key is bound to another node.
    pub const DEVICE_BOUND: &str = "device-bound";
    /// 413: the body is larger than this endpoint takes.
    pub const TOO_LARGE: &str = "too-large";
    /// 415: JSON under another content type.
    pub const CONTENT_TYPE: &str = "content-type";
    /// 421: the Host is not a name of this service.
    pub const HOST: &str = "host";
    /// 403: the Origin is another site.
    pub const ORIGIN: &str = "origin";
    /// 429: too many requests from this person or address.
    pub const RATE: &str = "rate";
    /// 502: the next hop (the gateway behind telmeet) cannot be reached.
    pub const UNREACHABLE: &str = "unreachable";
    /// 503: a limit of this process is reached; the same request may succeed later.
    pub const BUSY: &str = "busy";
    /// 502 or, inside a sealed reply, an error event: no model answers.
    pub const MODEL: &str = "model";
}

/// A problem document (RFC 9457, section 3.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// [`TYPE_PREFIX`] and one of [`kind`].
    #[serde(rename = "type")]
    pub kind: String,
    /// One sentence that names the problem, the same each time.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What to do, if there is something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Problem {
    /// Makes a problem of one of the kinds in [`kind`].
    pub fn new(kind: &str, status: u16, title: impl Into<String>) -> Self {
        Self { kind: format!("{TYPE_PREFIX}{kind}"), title: title.into(), status, detail: None }
    }

    /// The problem with what to do about it.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// Whether the problem is of this kind.
    #[must_use]
    pub fn is(&self, kind: &str) -> bool {
        self.kind.strip_prefix(TYPE_PREFIX) == Some(kind)
    }
}
