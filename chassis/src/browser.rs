//! What a browser says of the page for which it asks.

use hyper::{HeaderMap, header};

/// Whether a browser sent a request for a page: it has an `Origin` (RFC 6454) or Fetch Metadata (`Sec-Fetch-*`; W3C,
/// section 2).
///
/// The latter goes to HTTPS and to loopback addresses alone, and a page's own origin is not named when it merely reads over
/// plain HTTP: so this finds what a page changes, anywhere, but not all that it reads. Some clients outside of browsers send
/// `Sec-Fetch-Mode` too (Node's `fetch`).
#[must_use]
pub fn sent(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN)
        || headers.keys().any(|name| name.as_str().starts_with("sec-fetch-"))
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn every_mark_of_a_page_is_seen_whatever_it_says() {
        let sent = |name: &'static str, value: &'static str| {
            let header = (HeaderName::from_static(name), HeaderValue::from_static(value));
            super::sent(&HeaderMap::from_iter([header]))
        };
        for origin in ["null", "", "http://chat.maru.internal", "https://evil.example"] {
            assert!(sent("origin", origin), "{origin}");
        }
        for name in ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "sec-fetch-user"] {
            assert!(sent(name, "same-origin") && sent(name, ""), "{name}");
        }
        for name in ["host", "user-agent", "authorization", "sec-ch-ua", "original"] {
            assert!(!sent(name, "x"), "{name}");
        }
        assert!(!super::sent(&HeaderMap::new()));
    }
}
