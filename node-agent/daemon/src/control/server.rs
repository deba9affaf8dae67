//! A coordinator's address.

use crate::state::Membership;

/// A coordinator's address and the authorities for its certificate.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// `http://HOST:PORT` or `https://HOST:PORT`, as [`coordinator_api::invitation`] writes it; the port may be left out.
    pub url: &'a str,
    /// Authorities for `https://`, in PEM; `None` is those that this machine trusts.
    pub ca: Option<&'a str>,
}

impl<'a> Server<'a> {
    /// The coordinator of a membership.
    pub(crate) fn of(membership: &'a Membership) -> Self {
        Self { url: &membership.server_url, ca: membership.ca.as_deref() }
    }

    /// Host, and port if there is one.
    pub(super) fn authority(self) -> &'a str {
        self.url.split_once("://").map_or(self.url, |(_, authority)| authority)
    }

    pub(super) fn is_secure(self) -> bool {
        self.url.starts_with("https://")
    }
}
