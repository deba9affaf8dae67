//! Refuses requests that a website makes a member's browser send (CSRF, DNS rebinding).
//!
//! Identity comes from the network position, so a page that a member visits must not act in the member's name:
//!
//! * `Host` must name this service, which defeats DNS rebinding.
//! * `Origin`, which scripts, event streams, WebSockets and forms send, must be listed. The service's own origin is not: it
//!   serves no page, and a hostile network could have served one under its name before the agent was up.
//! * A body has the type `application/json`, or one that its endpoint declares ([`Guard::declare`]), but never the type
//!   of an HTML form: a page cannot send others without a preflight (Fetch, section 4.8), which succeeds only for listed
//!   origins.
//! * Paths that manage credentials accept no request of a browser ([`Guard::close_to_browsers`]).
//!
//! For a local connection, whose destination is unknown, `Host` is `localhost`, a loopback address or one of the names.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Method, Request, StatusCode, Uri, header, uri::Authority};
use axum::response::{IntoResponse, Response};
use chassis::{browser, problem::ErrorResponse};
use endpoint::{Content, Declaration};

/// The content type of a body for which no other is declared.
const JSON: &[&str] = &["application/json"];
/// Content types that a page may send without a preflight (Fetch, section 2.2.2).
const FORMS: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];

/// Refuses requests of websites.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    names: Vec<String>,
    /// Paths, with those below them, that refuse browsers.
    closed: Vec<String>,
    /// Origins as browsers write them, and the paths below which they are accepted.
    listed: (Vec<String>, Vec<String>),
    uploads: Vec<Upload>,
}

/// An endpoint whose requests carry other bodies than JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Upload {
    method: &'static str,
    path: &'static str,
    media: &'static [&'static str],
}

/// Where a request was sent to.
#[derive(Clone, Copy, Debug)]
enum Destination {
    /// A mesh address.
    Mesh(SocketAddr),
    /// This machine, by one of its programs.
    Local,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `Host` is missing, repeated, or another name.
    #[error("this service does not answer to that Host")]
    Host,
    /// `Origin` or Fetch Metadata of a website.
    #[error("requests from websites are refused")]
    Origin,
    /// The body has no content type, or another one than JSON.
    #[error("a body must be sent as application/json")]
    ContentType,
    /// The body has no content type, or one that its endpoint does not declare.
    #[error("this endpoint does not accept a body of that content type")]
    MediaType,
}

impl Guard {
    /// Accepts these names in `Host`, besides the mesh address that was called.
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self {
            names: names.into_iter().map(|name| canonical(name.as_ref())).collect(),
            ..Self::default()
        }
    }

    /// Refuses requests of browsers, whatever their origin, at and below `path`, which manages credentials.
    #[must_use]
    pub fn close_to_browsers(mut self, path: &str) -> Self {
        self.closed.push(path.to_owned());
        self
    }

    /// Accepts these origins below these paths, such as `/v1`. They are compared with the header byte by byte.
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

    /// Accepts the bodies that these endpoints declare; all others are JSON.
    #[must_use]
    pub fn declare(mut self, endpoints: &[Declaration]) -> Self {
        self.uploads.extend(endpoints.iter().filter_map(|it| match it.request {
            Content::Bytes { media, .. } => {
                Some(Upload { method: it.method.name(), path: it.path, media })
            }
            Content::Empty
            | Content::Json(_)
            | Content::Query(_)
            | Content::Events
            | Content::WebSocket
            | Content::Raw => None,
        }));
        self
    }

    /// Checks a request to `destination`.
    ///
    /// # Errors
    ///
    /// The rule that the request breaks.
    pub fn check<B>(&self, request: &Request<B>, destination: SocketAddr) -> Result<(), Refusal> {
        self.judge(request, Destination::Mesh(destination))
    }

    /// Checks a request of a program of this machine.
    ///
    /// # Errors
    ///
    /// The rule that the request breaks.
    pub fn check_local<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        self.judge(request, Destination::Local)
    }

    fn judge<B>(&self, request: &Request<B>, to: Destination) -> Result<(), Refusal> {
        self.check_host(request.headers(), request.uri(), to)?;
        self.check_origin(request)?;
        self.check_body(request.method(), request.uri().path(), request.headers())
    }

    fn check_host(&self, headers: &HeaderMap, uri: &Uri, to: Destination) -> Result<(), Refusal> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Refusal::Host);
        };
        let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        let own = host.is_some_and(|host| self.is_own(&host, to))
            && uri.authority().is_none_or(|uri| self.is_own(uri, to));
        if own { Ok(()) } else { Err(Refusal::Host) }
    }

    /// Whether this is one of our names or the called address, with the called port if that is known.
    fn is_own(&self, authority: &Authority, to: Destination) -> bool {
        if authority.as_str().contains('@') {
            return false;
        }
        let port_fits = match (authority.port(), to) {
            (Some(port), Destination::Mesh(to)) => port.as_u16() == to.port(),
            (Some(_), Destination::Local) => true,
            (None, Destination::Mesh(_) | Destination::Local) => !authority.as_str().ends_with(':'),
        };
        port_fits && self.is_own_name(authority.host(), to)
    }

    fn is_own_name(&self, host: &str, to: Destination) -> bool {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_listed = || self.names.contains(&canonical(host));
        match (bare.parse::<IpAddr>(), to) {
            (Ok(address), Destination::Mesh(to)) => {
                address.to_canonical() == to.ip().to_canonical()
            }
            // Another address of a container's host must be listed.
            (Ok(address), Destination::Local) => {
                address.to_canonical().is_loopback() || is_listed()
            }
            (Err(_), Destination::Mesh(_)) => is_listed(),
            (Err(_), Destination::Local) => canonical(host) == "localhost" || is_listed(),
        }
    }

    fn check_origin<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let (path, headers) = (request.uri().path(), request.headers());
        if self.is_closed(path) && browser::sent(headers) {
            return Err(Refusal::Origin);
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => check_fetch_site(request.method(), headers),
            (Some(origin), None) if self.is_listed(path, origin.as_bytes()) => Ok(()),
            (Some(_), _) => Err(Refusal::Origin),
        }
    }

    /// Methods that write must declare a type even when empty; the others only if they have a body.
    fn check_body(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Refusal> {
        let writes = [Method::POST, Method::PUT, Method::PATCH].contains(method);
        let empty = headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0")
            && !headers.contains_key(header::TRANSFER_ENCODING);
        if !writes && empty {
            return Ok(());
        }
        let upload = self.uploads.iter().find(|upload| upload.is(method, path));
        let (media, refusal) = match upload {
            Some(upload) => (upload.media, Refusal::MediaType),
            None => (JSON, Refusal::ContentType),
        };
        if has_type(headers, media) { Ok(()) } else { Err(refusal) }
    }

    fn is_closed(&self, path: &str) -> bool {
        let below = |closed: &String| path.strip_prefix(closed.as_str());
        self.closed.iter().filter_map(below).any(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn is_listed(&self, path: &str, origin: &[u8]) -> bool {
        let (origins, below) = &self.listed;
        below.iter().any(|prefix| path.starts_with(prefix))
            && origins.iter().any(|listed| listed.as_bytes() == origin)
    }
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::ContentType | Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    /// The kind of problem: the word after `urn:maru:problem:`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Origin => "origin",
            Self::ContentType | Self::MediaType => "content-type",
        }
    }

    /// What the client can do.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Host => "Use the service's own name or its mesh address.",
            Self::Origin => {
                "Use an app that is not a website, or ask the admin to list this origin."
            }
            Self::ContentType => "Send JSON with the header Content-Type: application/json.",
            Self::MediaType => "Name the type of the body in the header Content-Type.",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = ErrorResponse::new(self.status(), self.kind(), self.to_string());
        problem.detail(self.detail()).into_response()
    }
}

/// Lower case, without the trailing dot.
fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Checks Fetch Metadata of a request without `Origin`: only navigation to a typed address or a link is accepted.
fn check_fetch_site(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    let value = |name: &str| headers.get(name).map(|value| value.as_bytes());
    match value("sec-fetch-site") {
        None | Some(b"none") => Ok(()),
        Some(_) if *method == Method::GET && value("sec-fetch-mode") == Some(b"navigate") => Ok(()),
        Some(_) => Err(Refusal::Origin),
    }
}

impl Upload {
    fn is(&self, method: &Method, path: &str) -> bool {
        let (mut own, mut steps) = (self.path.split('/'), path.split('/'));
        let fits = own.by_ref().all(|own| {
            // `{*rest}` takes all that follows.
            if own.starts_with("{*") {
                return steps.by_ref().last().is_some();
            }
            steps
                .next()
                .is_some_and(|step| own == step || (own.starts_with('{') && !step.is_empty()))
        });
        [method.as_str(), "ANY"].contains(&self.method) && fits && steps.next().is_none()
    }
}

/// Whether a request names one content type, which is one of these and not a form's.
fn has_type(headers: &HeaderMap, media: &[&str]) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is = |known: &&str| known.eq_ignore_ascii_case(essence);
    media.iter().any(is) && !FORMS.iter().any(is)
}

#[cfg(test)]
mod tests;
