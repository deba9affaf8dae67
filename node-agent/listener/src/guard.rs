//! Keeps out requests that a website made a member's browser send.
//!
//! Identity comes from the network position, so a page that a member merely visits must not be
//! able to speak in the member's name. Three rules, each enough against one of its ways:
//!
//! * `Host` names this service: a page that rebinds its own name to our address fails.
//! * A foreign `Origin` is refused: scripts, event streams, web sockets and forms carry it.
//! * A body comes under `application/json` only, which a page cannot send without asking first
//!   (Fetch, section 4.8); that question is answered with yes only for origins that somebody listed.
//!
//! On a connection of this machine's own nobody tells which address was called: there the service
//! is `localhost`, a loopback address or one of its names.

use std::net::{IpAddr, SocketAddr};

use axum::http::{
    HeaderMap, Method, Request, StatusCode, Uri, header,
    uri::{Authority, Scheme},
};
use axum::response::{IntoResponse, Response};
use chassis::problem::ErrorResponse;

/// Decides whether a request may have come from a foreign website.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    names: Vec<String>,
    foreign: Vec<(String, String)>,
    /// Origins as browsers write them, and below which paths their pages may call.
    listed: (Vec<String>, Vec<String>),
}

/// Where a request was sent.
#[derive(Clone, Copy, Debug)]
enum Called {
    /// To this mesh address.
    Mesh(SocketAddr),
    /// To this machine, by one of its own programs.
    Here,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `Host` is missing, repeated, or names someone else.
    #[error("this service does not answer to that Host")]
    Host,
    /// `Origin` or `Sec-Fetch-Site` tells of another site.
    #[error("requests from other websites are refused")]
    Origin,
    /// The body is not declared as JSON.
    #[error("a body must be sent as application/json")]
    ContentType,
}

impl Guard {
    /// Answers to these names, besides the mesh address that was called.
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self {
            names: names.into_iter().map(|name| canonical(name.as_ref())).collect(),
            ..Self::default()
        }
    }

    /// Lets pages served by `name` (on the default ports) call `path`, and that path alone.
    #[must_use]
    pub fn allow_origin(mut self, path: &str, name: &str) -> Self {
        self.foreign.push((path.to_owned(), canonical(name)));
        self
    }

    /// Lets pages of these origins call what lies below these paths, such as `/v1`. An origin is what a browser writes
    /// into the header of that name, byte by byte.
    #[must_use]
    pub fn list_origins(
        mut self,
        origins: impl IntoIterator<Item = impl Into<String>>,
        below: &[&str],
    ) -> Self {
        let origins = origins.into_iter().map(Into::into).collect();
        self.listed = (origins, below.iter().map(|path| format!("{path}/")).collect());
        self
    }

    /// Judges a request that came to `destination`.
    ///
    /// # Errors
    ///
    /// The rule that the request breaks.
    pub fn check<B>(&self, request: &Request<B>, destination: SocketAddr) -> Result<(), Refusal> {
        self.judge(request, Called::Mesh(destination))
    }

    /// Judges a request of a program of this machine.
    ///
    /// # Errors
    ///
    /// The rule that the request breaks.
    pub fn check_local<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        self.judge(request, Called::Here)
    }

    fn judge<B>(&self, request: &Request<B>, to: Called) -> Result<(), Refusal> {
        let host = self.check_host(request.headers(), request.uri(), to)?;
        self.check_origin(request, &host, to)?;
        check_body(request.method(), request.headers())
    }

    fn check_host(&self, headers: &HeaderMap, uri: &Uri, to: Called) -> Result<Authority, Refusal> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Refusal::Host);
        };
        let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        let host = host.ok_or(Refusal::Host)?;
        if !self.is_own(&host, to) || uri.authority().is_some_and(|uri| !self.is_own(uri, to)) {
            return Err(Refusal::Host);
        }
        Ok(host)
    }

    /// Whether this is one of our names or the address called, at the port called if that is known.
    fn is_own(&self, authority: &Authority, to: Called) -> bool {
        if authority.as_str().contains('@') {
            return false;
        }
        let port_fits = match (authority.port(), to) {
            (Some(port), Called::Mesh(to)) => port.as_u16() == to.port(),
            (Some(_), Called::Here) => true,
            (None, Called::Mesh(_) | Called::Here) => !authority.as_str().ends_with(':'),
        };
        port_fits && self.is_own_name(authority.host(), to)
    }

    fn is_own_name(&self, host: &str, to: Called) -> bool {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_listed = || self.names.contains(&canonical(host));
        match (bare.parse::<IpAddr>(), to) {
            (Ok(address), Called::Mesh(to)) => address.to_canonical() == to.ip().to_canonical(),
            // By another address a container's host may be called, which the admin lists then.
            (Ok(address), Called::Here) => address.to_canonical().is_loopback() || is_listed(),
            (Err(_), Called::Mesh(_)) => is_listed(),
            (Err(_), Called::Here) => canonical(host) == "localhost" || is_listed(),
        }
    }

    fn check_origin<B>(
        &self,
        request: &Request<B>,
        host: &Authority,
        to: Called,
    ) -> Result<(), Refusal> {
        let mut origins = request.headers().get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => check_fetch_site(request.method(), request.headers()),
            (Some(origin), None) => {
                let origin = origin.to_str().map_err(|_| Refusal::Origin)?;
                let path = request.uri().path();
                if self.is_listed(path, origin) {
                    return Ok(());
                }
                let (name, port) = parse_origin(origin).ok_or(Refusal::Origin)?;
                let own = match to {
                    Called::Mesh(address) => {
                        port == address.port() && self.is_own_name(name.host(), to)
                    }
                    // Which port was called the Host alone tells.
                    Called::Here => origin == format!("http://{host}"),
                };
                if own || self.is_allowed(path, &name, port) {
                    Ok(())
                } else {
                    Err(Refusal::Origin)
                }
            }
            (Some(_), Some(_)) => Err(Refusal::Origin),
        }
    }

    fn is_listed(&self, path: &str, origin: &str) -> bool {
        let (origins, below) = &self.listed;
        below.iter().any(|prefix| path.starts_with(prefix))
            && origins.iter().any(|listed| listed == origin)
    }

    fn is_allowed(&self, path: &str, origin: &Authority, port: u16) -> bool {
        let name = canonical(origin.host());
        matches!(port, 80 | 443)
            && self.foreign.iter().any(|(at, allowed)| at == path && *allowed == name)
    }
}

impl Refusal {
    /// The HTTP status that tells it.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    /// The kind of problem: the word after `urn:maru:problem:`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Origin => "origin",
            Self::ContentType => "content-type",
        }
    }

    /// What the reader can do about it.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Host => "Use the service's own name or its mesh address.",
            Self::Origin => "Open the service's own page, or use an app that is not a website.",
            Self::ContentType => "Send JSON with the header Content-Type: application/json.",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = ErrorResponse::new(self.status(), self.kind(), self.to_string());
        problem.detail(self.detail()).into_response()
    }
}

/// Lower case, without the root's dot.
fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Host and port of a serialized origin (RFC 6454, section 6.2); `None` for `null` and the like.
fn parse_origin(origin: &str) -> Option<(Authority, u16)> {
    let uri: Uri = origin.parse().ok()?;
    let default = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => 80,
        Some(scheme) if *scheme == Scheme::HTTPS => 443,
        Some(_) | None => return None,
    };
    let authority = uri.authority()?.clone();
    if authority.as_str().contains('@') || uri.path() != "/" || uri.query().is_some() {
        return None;
    }
    let port = authority.port().map_or(default, |port| port.as_u16());
    Some((authority, port))
}

/// A request without `Origin` may still say that another site caused it (Fetch Metadata). A
/// person who follows a link may arrive; anything else may not.
fn check_fetch_site(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    let value = |name: &str| headers.get(name).map(|value| value.as_bytes());
    match value("sec-fetch-site") {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) if *method == Method::GET && value("sec-fetch-mode") == Some(b"navigate") => Ok(()),
        Some(_) => Err(Refusal::Origin),
    }
}

/// Methods that write must declare JSON even when empty; the others only if they have a body.
fn check_body(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    let writes = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    let empty = headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0")
        && !headers.contains_key(header::TRANSFER_ENCODING);
    if (!writes && empty) || is_json(headers) {
        return Ok(());
    }
    Err(Refusal::ContentType)
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests;
