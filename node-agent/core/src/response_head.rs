//! Checks the head of an HTTP response of a service without pages.
//!
//! ```text
//! bytes of the service ──judge──▶ incomplete
//!                          ├────▶ a head, rewritten; the bytes after it are forwarded
//!                          └────▶ refused: the connection is cut
//! ```
//!
//! A web page from a service's name runs with that name's origin in a member's browser. A compromised service without pages
//! must not be able to serve one. So the agent parses each head and writes it anew, so that no browser parses it differently,
//! with `Connection: close`: no second response follows, so that the body's length does not matter here.

use std::io::Write as _;

use common::media;

/// Longest head, in bytes.
pub const HEAD_MAX: usize = 8 << 10;
/// Most fields of a head.
const FIELDS_MAX: usize = 64;

/// Fields that are dropped: those that [`ADDED`] replaces, and those for reused connections, redirections and upgrades.
const DROPPED: [&str; 7] = [
    "connection",
    "content-security-policy",
    "keep-alive",
    "proxy-connection",
    "refresh",
    "upgrade",
    "x-content-type-options",
];

/// Fields that are added: no further response, no sniffing of types (Fetch, section 3.6), and no scripts (CSP, `sandbox`).
const ADDED: &str = "connection: close\r\nx-content-type-options: nosniff\r\n\
                    content-security-policy: default-src 'none'; sandbox\r\n\r\n";

/// A head that may be forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The rewritten head.
    pub bytes: Vec<u8>,
    /// Length of the original head.
    pub len: usize,
    /// Whether the body follows; after `100 Continue` another head does.
    pub last: bool,
}

/// Why a response is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not HTTP/1.1.
    #[error("it is not HTTP/1.1")]
    NotHttp,
    /// Its head has no end within [`HEAD_MAX`].
    #[error("its head is too long")]
    TooLong,
    /// A redirection, `304 Not Modified`, or another protocol.
    #[error("its status is {0}")]
    Status(u16),
    /// Its type could be a web page's, or it has several.
    #[error("it could be a web page")]
    Type,
}

/// Checks the first head of the received bytes; `None` if it is incomplete.
///
/// # Errors
///
/// [`Refusal`]; none of the bytes may be forwarded then.
pub fn judge(received: &[u8]) -> Result<Option<Head>, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let whole = response.parse(received).map_err(|error| {
        let is_long = error == httparse::Error::TooManyHeaders;
        if is_long { Refusal::TooLong } else { Refusal::NotHttp }
    })?;
    let len = match whole {
        httparse::Status::Complete(len) if len <= HEAD_MAX => len,
        httparse::Status::Partial if received.len() < HEAD_MAX => return Ok(None),
        httparse::Status::Complete(_) | httparse::Status::Partial => return Err(Refusal::TooLong),
    };
    let (Some(1), Some(status)) = (response.version, response.code) else {
        return Err(Refusal::NotHttp);
    };
    match status {
        100 => {
            let bytes = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
            return Ok(Some(Head { bytes, len, last: false }));
        }
        200..300 | 400..600 => {}
        _ => return Err(Refusal::Status(status)),
    }
    if !(is_of_a_type(response.headers) || is_empty(status, response.headers)) {
        return Err(Refusal::Type);
    }
    Ok(Some(Head { bytes: written(status, response.headers), len, last: true }))
}

/// The values of a field.
fn values<'a>(fields: &'a [httparse::Header<'a>], name: &str) -> impl Iterator<Item = &'a [u8]> {
    let is = move |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(name);
    fields.iter().filter(is).map(|field| field.value)
}

/// Whether it has exactly one type, which is not a page's.
fn is_of_a_type(fields: &[httparse::Header<'_>]) -> bool {
    let mut types = values(fields, "content-type");
    types.next().is_some_and(media::is_no_page) && types.next().is_none()
}

/// Whether it has neither a body nor a content type.
fn is_empty(status: u16, fields: &[httparse::Header<'_>]) -> bool {
    let mut lengths = values(fields, "content-length");
    let is_zero = lengths.next() == Some(b"0") && lengths.next().is_none();
    let is_chunked = values(fields, "transfer-encoding").next().is_some();
    let is_typed = values(fields, "content-type").next().is_some();
    !is_typed && !is_chunked && (is_zero || status == 204)
}

/// The rewritten head.
fn written(status: u16, fields: &[httparse::Header<'_>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    // A vector takes whatever is written.
    let _ = write!(bytes, "HTTP/1.1 {status} \r\n");
    let is_dropped = |name: &str| DROPPED.iter().any(|it| it.eq_ignore_ascii_case(name));
    for field in fields.iter().filter(|field| !is_dropped(field.name)) {
        for part in [field.name.as_bytes(), b": ", field.value, b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(ADDED.as_bytes());
    bytes
}

#[cfg(test)]
mod tests;
