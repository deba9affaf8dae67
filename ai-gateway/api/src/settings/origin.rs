//! The origin of a web page.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error as _};

/// Longest origin: a scheme, a DNS name and a port.
const MAX: usize = 300;
/// Default ports, which browsers omit.
const DEFAULTS: [(&str, &str); 2] = [("http", "80"), ("https", "443")];

/// The origin of a page, exactly as a browser writes it into the header `Origin` (RFC 6454, section 6.2): scheme, host,
/// and a port unless it is the scheme's default. `null`, which any page can send, and patterns are invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// The text is not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an origin: write it as browsers do, in lower case and without a path, such as \"https://webui.example\" or \"http://localhost:3000\""
)]
pub struct InvalidOrigin(String);

impl Origin {
    /// As a browser writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let valid = text.len() <= MAX
            && text
                .split_once("://")
                .is_some_and(|(scheme, rest)| is_scheme(scheme) && is_host_and_port(scheme, rest));
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidOrigin(text.to_owned())) }
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

fn is_scheme(scheme: &str) -> bool {
    let is_own =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    scheme.starts_with(|first: char| first.is_ascii_lowercase()) && scheme.bytes().all(is_own)
}

fn is_host_and_port(scheme: &str, text: &str) -> bool {
    // The colons of an IPv6 address stand between brackets.
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    };
    is_host(host) && port.is_none_or(|port| is_port(port) && !DEFAULTS.contains(&(scheme, port)))
}

fn is_host(host: &str) -> bool {
    if let Some(inside) = host.strip_prefix('[') {
        let address =
            inside.strip_suffix(']').and_then(|text| text.parse::<std::net::Ipv6Addr>().ok());
        return address.is_some_and(|address| host == format!("[{address}]"));
    }
    let is_own =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    !host.is_empty() && host.bytes().all(is_own)
}

/// Without leading zeros.
fn is_port(port: &str) -> bool {
    port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_writes_and_nothing_like_it() {
        for good in [
            "https://webui.example",
            "http://localhost:3000",
            "http://127.0.0.1:8080",
            "http://[::1]:3000",
            "https://[fd7a:115c:a1e0::5]",
            "chrome-extension://abcdefghijklmnop",
            "app://obsidian.md",
        ] {
            assert_eq!(good.parse::<Origin>().unwrap().as_str(), good);
        }
        for wrong in [
            "",
            "null",
            "*",
            "https://*",
            "https://*.example",
            "webui.example",
            "https://webui.example/",
            "https://WebUI.example",
            "HTTPS://webui.example",
            "https://webui.example:443",
            "http://webui.example:80",
            "http://webui.example:080",
            "http://webui.example:0",
            "http://webui.example:99999",
            "http://webui.example:",
            "http://me@webui.example",
            "http://webui.example?x",
            "http://[::0001]:3000",
            "http://::1",
            "file://",
            "http:// webui.example",
        ] {
            let error = wrong.parse::<Origin>().unwrap_err().to_string();
            assert!(error.contains("is not an origin"), "{wrong}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_pattern_or_holds_more_than_an_origin(text in "[a-z]{1,5}://\\PC{0,20}|\\PC{0,30}") {
            if text.parse::<Origin>().is_ok() {
                let (_, rest) = text.split_once("://").unwrap();
                prop_assert!(!rest.contains(['/', '*', '@', '?', '#', ' ', '\\']), "{}", text);
                prop_assert_eq!(text.to_ascii_lowercase(), text);
            }
        }
    }
}
