//! The address of a node.

use axum::http::Uri;
use confidential_api::node::RoutingInfo;

use crate::http::upstream;

/// The address of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeAddress {
    /// Without a trailing slash.
    pub(crate) url: String,
    /// The URL of its health check.
    pub(crate) health: String,
}

impl NodeAddress {
    /// The address that a node sent: with TLS, and with the health check at the same host and port; `None` for others.
    pub(crate) fn of(info: &RoutingInfo) -> Option<Self> {
        let url = upstream::check(&info.url)?;
        upstream::check(&info.healthcheck_url)?;
        let origin = origin(&url)?;
        let place = Self { url, health: info.healthcheck_url.clone() };
        (origin == self::origin(&place.health)?).then_some(place)
    }

    /// The host that its certificate must be for.
    pub(crate) fn host(&self) -> String {
        upstream::host(&self.url).unwrap_or_default()
    }
}

/// Host and port of an `https://` URL.
fn origin(url: &str) -> Option<(String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let port = uri.port_u16().unwrap_or(443);
    (uri.scheme_str() == Some("https")).then_some((uri.host()?.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use confidential_api::evidence::EvidenceList;

    use super::*;

    fn place(url: &str, health: &str) -> Option<NodeAddress> {
        let (url, healthcheck_url) = (url.to_owned(), health.to_owned());
        let evidence = EvidenceList::default();
        NodeAddress::of(&RoutingInfo { url, healthcheck_url, tags: vec![], evidence })
    }

    #[test]
    fn a_node_is_at_one_host_and_port_over_tls() {
        for (url, health, host) in [
            ("https://node-1:8081/", "https://node-1:8081/_health", "node-1"),
            ("https://Node-1", "https://node-1:443/_health", "Node-1"),
            ("https://[2001:db8::1]:8081", "https://[2001:db8::1]:8081/", "2001:db8::1"),
        ] {
            assert_eq!(place(url, health).map(|it| it.host()).as_deref(), Some(host), "{url}");
        }
        let good = "https://node:8081/_health";
        for (url, health) in [
            ("http://127.0.0.1:22/", "http://127.0.0.1:22/"),
            ("http://node:8081", good),
            ("file:///etc/passwd", good),
            ("https://me@node:8081", good),
            ("https://node:8081", "http://127.0.0.1:8081/_health"),
            ("https://node:8081", "https://me@node:8081/"),
            ("https://node:8081", "https://other:8081/_health"),
            ("https://node:8081", "https://node:22/"),
            ("https://node", good),
            ("https://node:8081", ""),
        ] {
            assert_eq!(place(url, health), None, "{url} {health}");
        }
    }
}
