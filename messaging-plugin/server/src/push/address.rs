//! The addresses that a pusher names: they lead to this server, which is the push gateway and the UnifiedPush server.

use url::Url;

use super::topics;

/// The path of the push gateway (specification, push gateway API, "Push Gateway API").
pub(crate) const GATEWAY: &str = "/_matrix/push/v1/notify";

/// The topic of a push key, which is the address that ntfy gave to the app: `https://rooms.<network>/upAAAA?up=1`.
#[must_use]
pub(crate) fn topic(key: &str, network: &str) -> Option<String> {
    let url = own(key, network)?;
    let topic = url.path().strip_prefix('/')?;
    topics::is_topic(topic).then(|| topic.to_owned())
}

/// Whether this is the address of this server's push gateway.
#[must_use]
pub(crate) fn is_gateway(url: &str, network: &str) -> bool {
    own(url, network).is_some_and(|url| url.path() == GATEWAY)
}

/// An address at this server.
fn own(url: &str, network: &str) -> Option<Url> {
    let host = format!("{}.{network}", services::ROOMS);
    let is_own = |url: &Url| {
        matches!(url.scheme(), "https" | "http")
            && url.host_str() == Some(&*host)
            && url.username().is_empty()
            && url.password().is_none()
    };
    Url::parse(url).ok().filter(is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_server_are_taken() {
        let network = "maru.test";
        for key in ["https://rooms.maru.test/upAb-1_?up=1", "http://rooms.maru.test:8001/upAb-1_"] {
            assert_eq!(topic(key, network).as_deref(), Some("upAb-1_"), "{key}");
        }
        for key in [
            "https://ntfy.sh/upAAAA?up=1",
            "https://rooms.maru.test.example.org/upAAAA",
            "https://rooms.maru.test@example.org/upAAAA",
            "https://kim:x@rooms.maru.test/upAAAA",
            "https://rooms.maru.test/upAAAA/x",
            "https://rooms.maru.test/_matrix",
            "https://rooms.maru.test/",
            "ftp://rooms.maru.test/upAAAA",
            "upAAAA",
            "",
        ] {
            assert_eq!(topic(key, network), None, "{key}");
        }
        assert!(is_gateway("https://rooms.maru.test/_matrix/push/v1/notify", network));
        for url in [
            "https://matrix.gateway.unifiedpush.org/_matrix/push/v1/notify",
            "https://rooms.maru.test/_matrix/push/v1/notify/x",
            "https://rooms.maru.test/",
        ] {
            assert!(!is_gateway(url, network), "{url}");
        }
    }
}
