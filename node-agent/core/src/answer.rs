//! The head of an HTTP answer of a service that has no pages.
//!
//! ```text
//! bytes of the service ──judge──▶ more is needed
//!                          ├────▶ a head, written anew, and the connection's last: what follows it is passed on
//!                          └────▶ refused: the connection is cut
//! ```
//!
//! A page that comes from a service's name is a script with that name's origin in a member's browser. Whoever took over a
//! service that has none must not be able to serve one, so the agent reads each head before the browser does. It writes the
//! head anew from what it read, so that no browser reads it differently, and with `Connection: close`: the length of the
//! body is then the client's affair, since no second answer follows.

use std::io::Write as _;

use common::media;

/// Longest head, in bytes.
pub const HEAD_MAX: usize = 8 << 10;
/// Most fields of a head.
const FIELDS_MAX: usize = 64;

/// Fields that are left out: those that are said anew, and those of connections that go on or lead elsewhere.
const LEFT_OUT: [&str; 7] = [
    "connection",
    "content-security-policy",
    "keep-alive",
    "proxy-connection",
    "refresh",
    "upgrade",
    "x-content-type-options",
];

/// What is said in their place: no further answer, no guessing of types (Fetch, section 3.6), and no script if all else
/// fails (CSP, `sandbox`).
const SAID: &str = "connection: close\r\nx-content-type-options: nosniff\r\n\
                    content-security-policy: default-src 'none'; sandbox\r\n\r\n";

/// A head that may be passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What is sent in its place.
    pub bytes: Vec<u8>,
    /// How many of the bytes received it was.
    pub len: usize,
    /// Whether the answer's body follows, and nothing else; `100 Continue` is followed by another head.
    pub last: bool,
}

/// Why an answer is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not HTTP/1.1.
    #[error("it is not HTTP/1.1")]
    NotHttp,
    /// Its head has no end within [`HEAD_MAX`].
    #[error("its head is too long")]
    TooLong,
    /// It is neither an answer nor an error: a redirection, a page that a browser has already, or another protocol.
    #[error("its status is {0}")]
    Status(u16),
    /// It has none of the types that are no page, or several.
    #[error("it could be a web page")]
    Type,
}

/// Judges the first head of what was received; `None` until it is whole.
///
/// # Errors
///
/// [`Refusal`]; then nothing that was received may be passed on.
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

/// Whether it has one type, of those that are no page.
fn is_of_a_type(fields: &[httparse::Header<'_>]) -> bool {
    let mut types = values(fields, "content-type");
    types.next().is_some_and(media::is_no_page) && types.next().is_none()
}

/// Whether it has neither a body nor a type for one.
fn is_empty(status: u16, fields: &[httparse::Header<'_>]) -> bool {
    let mut lengths = values(fields, "content-length");
    let is_zero = lengths.next() == Some(b"0") && lengths.next().is_none();
    let is_chunked = values(fields, "transfer-encoding").next().is_some();
    let is_typed = values(fields, "content-type").next().is_some();
    !is_typed && !is_chunked && (is_zero || status == 204)
}

/// The head as it is sent.
fn written(status: u16, fields: &[httparse::Header<'_>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    // A vector takes whatever is written.
    let _ = write!(bytes, "HTTP/1.1 {status} \r\n");
    let is_left_out = |name: &str| LEFT_OUT.iter().any(|it| it.eq_ignore_ascii_case(name));
    for field in fields.iter().filter(|field| !is_left_out(field.name)) {
        for part in [field.name.as_bytes(), b": ", field.value, b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(SAID.as_bytes());
    bytes
}

#[cfg(test)]
mod tests;
