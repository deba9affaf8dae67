//! What websites may request of a name of a service.

use std::time::Duration;

use axum::http::{HeaderMap, Method, Request, header, uri::Authority};
use chassis::browser;

use crate::{body_type, refusal::Refusal};

/// What websites may request at a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Website {
    /// Nothing, no more than any browser.
    #[default]
    Nothing,
    /// Everything, from any origin. So nothing there may act by the identity of the connection alone. A body is JSON, or of
    /// any type beside an access token in `Authorization`, which a page cannot send without a preflight.
    Everything,
    /// As [`Self::Everything`], and forms, too: an endpoint that judges a secret in the form (RFC 6749, section 3.2).
    Forms,
    /// A page of the service's own, which a browser opens. Its form comes from that page alone.
    Page,
}

/// A name of a service with rules of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// In lower case, without a trailing dot.
    name: String,
    /// A rule holds for its path and for those below, as far as no longer path has another.
    rules: &'static [(&'static str, Website)],
    body: Option<Duration>,
}

impl Site {
    /// A name with these rules, each for its path and those below, as far as no longer path has another. Where none holds, it is
    /// [`Website::Nothing`].
    #[must_use]
    pub fn new(name: &str, rules: &'static [(&'static str, Website)]) -> Self {
        Self { name: canonical(name), rules, body: None }
    }

    /// Sets a timeout of requests' bodies in place of the server's.
    #[must_use]
    pub fn body_timeout(self, timeout: Duration) -> Self {
        Self { body: Some(timeout), ..self }
    }

    /// The timeout of bodies, if it has one of its own.
    pub(crate) fn own_body_timeout(&self) -> Option<Duration> {
        self.body
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a request that names this host is for it.
    #[must_use]
    pub fn is(&self, host: &Authority) -> bool {
        self.name == canonical(host.host())
    }

    /// Whether a request with these headers is for it.
    #[must_use]
    pub fn is_called(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        host.and_then(|host| host.parse().ok()).is_some_and(|host| self.is(&host))
    }

    /// The rule for a path.
    #[must_use]
    pub fn rule(&self, path: &str) -> Website {
        let holds = |(at, _): &&(&str, Website)| {
            path.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let longest = self.rules.iter().filter(holds).max_by_key(|(at, _)| at.len());
        longest.map(|(_, rule)| *rule).unwrap_or_default()
    }

    /// Checks a request to this name, which came as `host`.
    pub(crate) fn check<B>(&self, request: &Request<B>, host: &Authority) -> Result<(), Refusal> {
        let (method, headers) = (request.method(), request.headers());
        let rule = self.rule(request.uri().path());
        match rule {
            Website::Nothing if browser::sent(headers) => return Err(Refusal::Origin),
            Website::Page => check_page(method, headers, host)?,
            Website::Nothing | Website::Everything | Website::Forms => {}
        }
        if !body_type::is_required(method, headers) {
            return Ok(());
        }
        let shows_token = headers.contains_key(header::AUTHORIZATION);
        let fits = match rule {
            Website::Everything if shows_token => true,
            Website::Forms if shows_token || body_type::is_form(headers) => true,
            Website::Page => body_type::is_form(headers),
            Website::Nothing | Website::Everything | Website::Forms => {
                body_type::is_one_of(headers, body_type::JSON)
            }
        };
        let refusal = if rule == Website::Page { Refusal::MediaType } else { Refusal::ContentType };
        if fits { Ok(()) } else { Err(refusal) }
    }
}

/// A host's name in lower case, without the trailing dot.
pub(crate) fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// A page is opened by navigation, and only the page itself may send its form.
fn check_page(method: &Method, headers: &HeaderMap, host: &Authority) -> Result<(), Refusal> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) if [Method::GET, Method::HEAD].contains(method) => {
            check_fetch_site(method, headers)
        }
        (Some(origin), None) if is_own_origin(origin.as_bytes(), host) => {
            let site = headers.get("sec-fetch-site");
            let is_own = site.is_none_or(|site| site == "same-origin");
            if is_own { Ok(()) } else { Err(Refusal::Origin) }
        }
        (None | Some(_), _) => Err(Refusal::Origin),
    }
}

/// Whether a page of this origin came from the name and port that are called now.
fn is_own_origin(origin: &[u8], host: &Authority) -> bool {
    let own = |scheme: &str| format!("{scheme}://{host}").to_ascii_lowercase();
    [own("http"), own("https")].iter().any(|own| own.as_bytes() == origin)
}

/// Checks Fetch Metadata of a request without `Origin`: only navigation to a typed address or a link is accepted.
pub(crate) fn check_fetch_site(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    let value = |name: &str| headers.get(name).map(|value| value.as_bytes());
    match value("sec-fetch-site") {
        None | Some(b"none") => Ok(()),
        Some(_) if *method == Method::GET && value("sec-fetch-mode") == Some(b"navigate") => Ok(()),
        Some(_) => Err(Refusal::Origin),
    }
}

#[cfg(test)]
mod tests;
