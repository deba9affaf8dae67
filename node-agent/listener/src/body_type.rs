//! The content type of a request's body.

use axum::http::{HeaderMap, Method, header};

/// The content type of a body for which no other is declared.
pub(crate) const JSON: &[&str] = &["application/json"];
/// Content types that a page may send without a preflight (Fetch, section 2.2.2).
const FORMS: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];

/// Whether a request must name a type: one that writes, even if it is empty; another one only if it has a body.
pub(crate) fn is_required(method: &Method, headers: &HeaderMap) -> bool {
    let writes = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    let empty = headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0")
        && !headers.contains_key(header::TRANSFER_ENCODING);
    writes || !empty
}

/// Whether a request names one content type, which is one of these and not a form's.
pub(crate) fn is_one_of(headers: &HeaderMap, media: &[&str]) -> bool {
    let is = |essence: &str| !contains(&FORMS, essence) && contains(media, essence);
    essence(headers).is_some_and(is)
}

/// Whether a request names one content type, which is that of a form without files.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    essence(headers).is_some_and(|essence| contains(&FORMS[..1], essence))
}

fn contains(media: &[&str], essence: &str) -> bool {
    media.iter().any(|known| known.eq_ignore_ascii_case(essence))
}

/// The only content type, without its parameters.
fn essence(headers: &HeaderMap) -> Option<&str> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else { return None };
    value.to_str().ok()?.split(';').next().map(str::trim)
}
