//! Field lines (RFC 9292, section 3.6).

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::limits::{MAX_FIELDS, Malformed};
use crate::varint;

/// Connection-specific fields, which are not part of a message (RFC 9113, section 8.2.2).
const OF_A_CONNECTION: [HeaderName; 4] =
    [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE];

/// More of them, for which the `http` crate has no constant.
const OF_A_CONNECTION_TOO: [&str; 2] = ["keep-alive", "proxy-connection"];

fn of_a_connection(name: &HeaderName) -> bool {
    OF_A_CONNECTION.contains(name) || OF_A_CONNECTION_TOO.contains(&name.as_str())
}

/// Writes a length and a text.
pub(super) fn text(text: &[u8], into: &mut Vec<u8>) {
    varint::write_len(text.len(), into);
    into.extend_from_slice(text);
}

/// Writes field lines without the connection-specific ones.
pub(super) fn write(headers: &HeaderMap, into: &mut Vec<u8>) {
    for (name, value) in headers.iter().filter(|(name, _)| !of_a_connection(name)) {
        text(name.as_str().as_bytes(), into);
        text(value.as_bytes(), into);
    }
}

/// Checks and appends a field line.
pub(super) fn append(headers: &mut HeaderMap, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
    let name = HeaderName::from_lowercase(name).map_err(|_| Malformed)?;
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if of_a_connection(&name)
        || headers.len() >= MAX_FIELDS
        || blank(value.first())
        || blank(value.last())
    {
        return Err(Malformed);
    }
    let mut value = HeaderValue::from_bytes(value).map_err(|_| Malformed)?;
    value.set_sensitive(true);
    headers.append(name, value);
    Ok(())
}

/// The length of the content according to the fields.
pub(super) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut claims = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(claim) = claims.next() else { return Ok(None) };
    if claims.next().is_some() || !claim.as_bytes().iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    let length = claim.to_str().ok().and_then(|claim| claim.parse().ok());
    length.map(Some).ok_or(Malformed)
}
