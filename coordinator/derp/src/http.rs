//! HTTP before the relay protocol: requests to relay or to measure latency, and the response to the former.
//!
//! Requests have no bodies. A connection stays open after a measurement, since clients measure twice on one.

use endpoint::{Declaration, Raw};

/// Longest head, in bytes.
pub const HEAD_MAX: usize = 8 * 1024;
/// Limit of headers in a head.
const HEADERS_MAX: usize = 64;

/// The purpose of an endpoint.
#[derive(Clone, Copy)]
enum Purpose {
    Relay,
    Measure,
    Captivity,
}

endpoint::declare! {
    /// Every endpoint of a relay. HEAD is answered wherever GET is.
    ENDPOINTS for Anyone;

    /// Starts the relay protocol, for the Go client.
    RELAY: GET "/derp" => Raw;
    /// Starts the relay protocol, for `tailscale` 0.6.
    RELAY_BY_POST: POST "/derp" => Raw;
    /// Answers at once, for measuring latency.
    PROBE: GET "/derp/probe" => Raw;
    /// The same, under its older name.
    LATENCY_CHECK: GET "/derp/latency-check" => Raw;
    /// Answers a captive portal check.
    CAPTIVITY: GET "/generate_204" => Raw;
}

/// The purpose of each endpoint.
const PURPOSES: [(&Declaration, Purpose); 5] = [
    (&RELAY.declaration, Purpose::Relay),
    (&RELAY_BY_POST.declaration, Purpose::Relay),
    (&PROBE.declaration, Purpose::Measure),
    (&LATENCY_CHECK.declaration, Purpose::Measure),
    (&CAPTIVITY.declaration, Purpose::Captivity),
];

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Starts the relay protocol.
    Derp {
        /// Whether the HTTP response is omitted: the relay's first frame follows the request.
        is_fast: bool,
    },
    /// Measures latency; the response is empty.
    Probe,
    /// Captive portal check; the response is 204.
    Generate204 {
        /// The challenge to repeat.
        challenge: Option<String>,
    },
    /// Another request; the response is 404.
    Other,
}

/// An invalid head. Close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// It is not HTTP, too long, or has a body.
    #[error("invalid HTTP for a relay")]
    Malformed,
    /// The response is not an upgrade.
    #[error("the server is not a relay: it answered the upgrade with HTTP status {0}")]
    Status(u16),
}

/// Whether a connection with these first bytes requests the relay.
#[must_use]
pub fn is_for_relay(first: &[u8]) -> bool {
    let line = first.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let mut words = line.split(' ');
    matches!((words.next(), words.next()), (Some(method), Some(target)) if purpose(method, target).is_some())
}

/// The purpose of the endpoint with this method and target.
fn purpose(method: &str, target: &str) -> Option<Purpose> {
    let path = target.split('?').next().unwrap_or_default();
    let path = path
        .strip_prefix("https://")
        .and_then(|rest| rest.find('/').map(|at| &rest[at..]))
        .unwrap_or(path);
    let method = if method == "HEAD" { "GET" } else { method };
    let is_it = |declared: &Declaration| declared.method.name() == method && declared.path == path;
    PURPOSES.iter().find(|(declared, _)| is_it(declared)).map(|(_, purpose)| *purpose)
}

/// The length of a complete head.
fn complete(
    status: Result<httparse::Status<usize>, httparse::Error>,
    bytes: &[u8],
) -> Result<Option<usize>, HttpError> {
    match status {
        Ok(httparse::Status::Complete(len)) => Ok(Some(len)),
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_MAX => Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => Err(HttpError::Malformed),
    }
}

/// Parses a request's head; returns the request and the length of the head. `None`: more bytes are needed.
///
/// # Errors
///
/// [`HttpError::Malformed`].
pub fn parse_request(bytes: &[u8]) -> Result<Option<(Request, usize)>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let Some(len) = complete(request.parse(bytes), bytes)? else { return Ok(None) };
    let header = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok()).map(str::trim)
    };
    if header("transfer-encoding").is_some()
        || header("content-length").is_some_and(|len| len != "0")
    {
        return Err(HttpError::Malformed);
    }
    let asked = match purpose(request.method.unwrap_or_default(), request.path.unwrap_or_default())
    {
        Some(Purpose::Relay)
            if header("upgrade").is_some_and(|kind| kind.eq_ignore_ascii_case("derp")) =>
        {
            Request::Derp { is_fast: header("derp-fast-start") == Some("1") }
        }
        Some(Purpose::Measure) => Request::Probe,
        Some(Purpose::Captivity) => {
            let plain = |text: &&str| {
                let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
                (1..=64).contains(&text.len()) && text.bytes().all(good)
            };
            Request::Generate204 {
                challenge: header("x-tailscale-challenge").filter(plain).map(str::to_owned),
            }
        }
        Some(Purpose::Relay) | None => Request::Other,
    };
    Ok(Some((asked, len)))
}

/// Parses the head of the response to an upgrade; returns its length. `None`: more bytes are needed.
///
/// # Errors
///
/// [`HttpError::Status`] if the upgrade was refused; [`HttpError::Malformed`].
pub fn parse_answer(bytes: &[u8]) -> Result<Option<usize>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    let Some(len) = complete(answer.parse(bytes), bytes)? else { return Ok(None) };
    match answer.code {
        Some(101) => Ok(Some(len)),
        Some(status) => Err(HttpError::Status(status)),
        None => Err(HttpError::Malformed),
    }
}

#[cfg(test)]
mod tests;
