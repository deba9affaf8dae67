//! The HTTP that comes before the frames: requests to relay or only to measure, and the answer to the first.
//!
//! A relay has the endpoints of [`ENDPOINTS`] and no others. Requests have no bodies here. A relay keeps a connection open after a measurement, since clients measure twice on one.

use endpoint::{Declaration, Raw};

/// Longest head that is read, in bytes.
pub const HEAD_MAX: usize = 8 * 1024;
/// Most headers of a head.
const HEADERS_MAX: usize = 64;

/// What an endpoint is for.
#[derive(Clone, Copy)]
enum Purpose {
    Relay,
    Measure,
    Captivity,
}

endpoint::declare! {
    /// Every endpoint of a relay. HEAD is answered wherever GET is.
    ENDPOINTS for Anyone;

    /// Relays, as the Go client asks for it.
    RELAY: GET "/derp" => Raw;
    /// Relays, as `tailscale` 0.6 asks for it.
    RELAY_BY_POST: POST "/derp" => Raw;
    /// Answers at once, so that the way to the relay can be measured.
    PROBE: GET "/derp/probe" => Raw;
    /// The same, by its older name.
    LATENCY_CHECK: GET "/derp/latency-check" => Raw;
    /// Answers what a captive portal would not.
    CAPTIVITY: GET "/generate_204" => Raw;
}

/// What each endpoint is for.
const PURPOSES: [(&Declaration, Purpose); 5] = [
    (&RELAY.declaration, Purpose::Relay),
    (&RELAY_BY_POST.declaration, Purpose::Relay),
    (&PROBE.declaration, Purpose::Measure),
    (&LATENCY_CHECK.declaration, Purpose::Measure),
    (&CAPTIVITY.declaration, Purpose::Captivity),
];

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// To relay.
    Derp {
        /// Whether the HTTP answer is left out: the relay's first frame follows the request at once.
        is_fast: bool,
    },
    /// An empty answer, to measure how long it takes.
    Probe,
    /// Status 204, which a captive portal in between would not give.
    Generate204 {
        /// The challenge to repeat.
        challenge: Option<String>,
    },
    /// Something else; the answer is 404.
    Other,
}

/// A head of no use; close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// It is not HTTP, too long, or has a body.
    #[error("not the HTTP that a relay speaks")]
    Malformed,
    /// The answer is not that of an upgrade.
    #[error("the server is no relay: it answered the upgrade with HTTP status {0}")]
    Status(u16),
}

/// Whether a connection that begins so is for a relay, where something else is served beside it.
#[must_use]
pub fn is_for_relay(first: &[u8]) -> bool {
    let line = first.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let mut words = line.split(' ');
    matches!((words.next(), words.next()), (Some(method), Some(target)) if purpose(method, target).is_some())
}

/// What the endpoint of this method is for, and the target of a request.
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

/// The length of a head, unless more of it is to come.
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

/// Reads a request's head: what it asks for, and how many bytes it takes. `None`: more are needed.
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

/// Reads the head of the answer to an upgrade: how many bytes it takes. `None`: more are needed.
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
