//! Whether stock Tailscale apps, phones in particular, can use the coordinator's address.

use std::net::IpAddr;

use coordinator_api::invitation::ServerUrl;
use messages::{Message, message};

/// The port that phones use.
const HTTPS: u16 = 443;

/// Why stock apps cannot use an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HttpsGap {
    /// Plain HTTP: after a lost connection, an app tries port 443 next, where nothing listens (tailscale's
    /// `control/ts2021/client.go`).
    Plain,
    /// Plain HTTP at a private address, where apps keep the configured port.
    PlainInside,
    /// HTTPS at another port; phones need 443.
    Port(u16),
}

impl HttpsGap {
    /// Checks an address; `None` if it is HTTPS at port 443.
    pub(crate) fn of(server: &ServerUrl) -> Option<Self> {
        if !server.is_plain() {
            return (server.port() != HTTPS).then(|| Self::Port(server.port()));
        }
        Some(if is_inside(server.host()) { Self::PlainInside } else { Self::Plain })
    }

    /// Says what is missing.
    pub(crate) fn text(self) -> Message {
        match self {
            Self::Plain => message!("apps-plain"),
            Self::PlainInside => message!("apps-plain-inside"),
            Self::Port(port) => message!("apps-port", port),
        }
    }

    /// Says what to do.
    pub(crate) fn fix(self) -> Message {
        match self {
            Self::Plain | Self::PlainInside => message!("apps-set-tls"),
            Self::Port(_) => message!("apps-set-port"),
        }
    }
}

/// Whether apps consider the host local: a private or loopback address, or `localhost`.
fn is_inside(host: &str) -> bool {
    match host.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_private() || ip.is_loopback(),
        Ok(IpAddr::V6(ip)) => ip.is_unique_local() || ip.is_loopback(),
        Err(_) => host == "localhost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pitfall_12_an_address_is_judged_as_apps_do() {
        let gap = |url: &str| HttpsGap::of(&ServerUrl::parse(url).unwrap());

        assert_eq!(gap("https://maru.example.org"), None);
        assert_eq!(gap("https://maru.example.org:443"), None);
        assert_eq!(gap("https://maru.example.org:8443"), Some(HttpsGap::Port(8443)));
        for url in ["http://192.168.1.2:8443", "http://[fd00::1]:8443", "http://localhost"] {
            assert_eq!(gap(url), Some(HttpsGap::PlainInside), "{url}");
        }
        for url in ["http://203.0.113.7:8443", "http://home:8443", "http://[2001:db8::1]"] {
            assert_eq!(gap(url), Some(HttpsGap::Plain), "{url}");
        }
    }
}
