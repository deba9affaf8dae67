//! Headers that mark a request as a browser's.

use hyper::{HeaderMap, header};

/// Whether a page caused a request: it has an `Origin` (RFC 6454) or Fetch Metadata (`Sec-Fetch-*`; W3C, section 2).
///
/// Browsers send Fetch Metadata to HTTPS and loopback addresses only, and no `Origin` with a same-origin GET. So this finds
/// every write of a page, but not every read. Node's `fetch` sends `Sec-Fetch-Mode`, too.
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
        for origin in ["null", "", "http://chat.maru.home.arpa", "https://evil.example"] {
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
