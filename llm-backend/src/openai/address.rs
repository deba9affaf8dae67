//! Where a backend is: the base URLs that the settings may name.

use std::{net::IpAddr, path::PathBuf};

use common::mesh;

/// A usable base URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// `unix:///path/to.sock`.
    Unix(PathBuf),
    /// `http://host:port`, on this machine or in the mesh.
    Http {
        /// Without a trailing slash or `/v1`.
        base: String,
        /// For the name `localhost`, which is never looked up.
        port: u16,
    },
}

impl Address {
    /// Reads a base URL; the error says what is wrong and what to write.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("unix://") {
            return match path {
                _ if !path.starts_with('/') => Err("write unix:///absolute/path.sock"),
                // sockaddr_un holds 108 bytes with the final zero (unix(7)).
                _ if path.len() > 107 => {
                    Err("the socket's path is longer than the 107 bytes that Linux takes")
                }
                _ => Ok(Self::Unix(PathBuf::from(path))),
            };
        }
        let url = reqwest::Url::parse(text)
            .map_err(|_| "write unix:///path.sock or http://127.0.0.1:port")?;
        if url.scheme() != "http" {
            return Err(
                "only unix:// and http:// backends are known; put TLS in front as a UNIX socket",
            );
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("take the user and password out of it");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("take what follows ? or # out of it");
        }
        if !url.host_str().is_some_and(is_private) {
            return Err(
                "prompts would leave this machine unencrypted; use a UNIX socket, 127.0.0.1 or a mesh address",
            );
        }
        let port = url.port_or_known_default().unwrap_or(80);
        let base = url.as_str().trim_end_matches('/');
        let base = base.strip_suffix("/v1").unwrap_or(base).trim_end_matches('/').to_owned();
        Ok(Self::Http { base, port })
    }
}

/// Whether plain HTTP to this host stays on the machine or inside WireGuard.
fn is_private(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback() || mesh::contains(ip),
        Err(_) => host == "localhost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_ways_to_write_an_address_are_understood() {
        assert_eq!(
            Address::parse("unix:///run/llm.sock"),
            Ok(Address::Unix("/run/llm.sock".into()))
        );
        for text in [
            "http://127.0.0.1:8080",
            "http://127.0.0.1:8080/",
            "http://127.0.0.1:8080/v1",
            "http://127.0.0.1:8080/v1/",
        ] {
            let expected = Address::Http { base: "http://127.0.0.1:8080".to_owned(), port: 8080 };
            assert_eq!(Address::parse(text), Ok(expected), "{text}");
        }
        for text in [
            "http://localhost:1",
            "http://[::1]:1",
            "http://100.64.0.9:1",
            "http://[fd7a:115c:a1e0::9]:1",
        ] {
            assert!(Address::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_would_leak_or_fail_later_is_refused_now() {
        for text in [
            "",
            "unix://",
            "unix://relative.sock",
            "llm.sock",
            "https://127.0.0.1",
            "http://192.168.0.2:8080",
            "http://100.128.0.1",
            "http://example.org",
            "http://me:secret@127.0.0.1",
            "http://127.0.0.1/?key=1",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        assert!(Address::parse(&format!("unix:///{}", "x".repeat(107))).is_err());
    }
}
