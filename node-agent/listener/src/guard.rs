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
//! A name may have rules of its own ([`Guard::site`]), for a service whose clients show a secret of their own with each request.
//!
//! For a local connection, whose destination is unknown, `Host` is `localhost`, a loopback address or one of the names.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::http::{HeaderMap, Method, Request, Uri, header, uri::Authority};
use chassis::browser;
use endpoint::{Content, Declaration};
use mesh_identity::Header;

use crate::{
    body_type,
    refusal::Refusal,
    site::{Site, canonical, check_fetch_site},
};

/// Refuses requests of websites.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    names: Vec<String>,
    /// Paths, with those below them, that refuse browsers.
    closed: Vec<String>,
    /// Origins as browsers write them, and the paths below which they are accepted.
    listed: (Vec<String>, Vec<String>),
    uploads: Vec<Upload>,
    sites: Vec<Site>,
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

    /// Accepts these origins below these paths, such as `/v1`; `/` stands for itself alone. They are compared with the header byte by byte.
    #[must_use]
    pub fn list_origins(
        mut self,
        origins: impl IntoIterator<Item = impl Into<String>>,
        below: &[&str],
    ) -> Self {
        let origins = origins.into_iter().map(Into::into).collect();
        self.listed = (origins, below.iter().map(|path| (*path).to_owned()).collect());
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

    /// Accepts the site's name in `Host`, too. For requests to it the site's rules hold, and no other.
    #[must_use]
    pub fn site(mut self, site: Site) -> Self {
        self.names.push(site.name().to_owned());
        self.sites.push(site);
        self
    }

    /// The timeout of a request's body, where a site has one of its own.
    pub(crate) fn body_timeout(&self, headers: &HeaderMap) -> Option<Duration> {
        self.sites.iter().find(|site| site.is_called(headers))?.own_body_timeout()
    }

    /// Checks a request on a connection with this header: over TLS, `Host` must be the name that TLS was begun for, so that
    /// what a browser knows of one name's certificate never leads to another name (RFC 9110, section 7.4).
    ///
    /// # Errors
    ///
    /// The rule that the request breaks.
    pub fn check_mesh<B>(&self, request: &Request<B>, header: &Header) -> Result<(), Refusal> {
        self.check(request, header.destination)?;
        let Some(authority) = &header.authority else { return Ok(()) };
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.and_then(|host| host.parse::<Authority>().ok());
        let is_same = host.is_some_and(|host| canonical(host.host()) == canonical(authority));
        if is_same { Ok(()) } else { Err(Refusal::Host) }
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
        let host = self.check_host(request.headers(), request.uri(), to)?;
        if let Some(site) = self.sites.iter().find(|site| site.is(&host)) {
            return site.check(request, &host);
        }
        self.check_origin(request)?;
        self.check_body(request.method(), request.uri().path(), request.headers())
    }

    fn check_host(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
        to: Destination,
    ) -> Result<Authority, Refusal> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Refusal::Host);
        };
        let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        let host = host.filter(|host| self.is_own(host, to)).ok_or(Refusal::Host)?;
        // A request line that names another service of ours, too, is refused: rules are chosen by the name.
        let is_same = |uri: &Authority| canonical(uri.host()) == canonical(host.host());
        let own = uri.authority().is_none_or(|uri| self.is_own(uri, to) && is_same(uri));
        if own { Ok(host) } else { Err(Refusal::Host) }
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
        if !body_type::is_required(method, headers) {
            return Ok(());
        }
        let upload = self.uploads.iter().find(|upload| upload.is(method, path));
        let (media, refusal) = match upload {
            Some(upload) => (upload.media, Refusal::MediaType),
            None => (body_type::JSON, Refusal::ContentType),
        };
        if body_type::is_one_of(headers, media) { Ok(()) } else { Err(refusal) }
    }

    fn is_closed(&self, path: &str) -> bool {
        let below = |closed: &String| path.strip_prefix(closed.as_str());
        self.closed.iter().filter_map(below).any(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn is_listed(&self, path: &str, origin: &[u8]) -> bool {
        let (origins, below) = &self.listed;
        let is_below = |of: &String| match of.as_str() {
            "/" => path == "/",
            of => path.strip_prefix(of).is_some_and(|rest| rest.starts_with('/')),
        };
        below.iter().any(is_below) && origins.iter().any(|listed| listed.as_bytes() == origin)
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

#[cfg(test)]
mod tests;
