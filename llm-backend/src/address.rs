//! Base URLs of backends.

use std::{net::IpAddr, path::PathBuf};

use common::mesh;
use http::{Uri, uri::Scheme};

/// A usable base URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// `unix:///path/to.sock`.
    Unix(PathBuf),
    /// `http://host:port` on this machine or in the mesh, or `https://host:port` anywhere.
    Tcp {
        /// Name or address; an IPv6 address without its brackets.
        host: String,
        /// The scheme's default if the URL has none.
        port: u16,
        /// Prefix of all paths, without a trailing slash or `/v1`; usually empty.
        prefix: String,
        /// Whether the connection uses TLS.
        tls: bool,
    },
}

impl Address {
    /// Reads a base URL; the error says what is wrong and what to write.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("unix://") {
            return match path {
                _ if !path.starts_with('/') => Err("write unix:///absolute/path.sock"),
                // sockaddr_un holds 108 bytes with the final zero (unix(7)).
                _ if path.len() > 107 => {
                    Err("the socket's path is longer than the 107 bytes that Linux allows")
                }
                _ => Ok(Self::Unix(PathBuf::from(path))),
            };
        }
        let url: Uri = text.parse().map_err(|_| WRITE)?;
        let tls = match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(_) | None => return Err(WRITE),
        };
        let authority = url.authority().ok_or(WRITE)?;
        if authority.as_str().contains('@') {
            return Err("remove the user and password from it");
        }
        // `Uri` drops a fragment silently.
        if url.query().is_some() || text.contains('#') {
            return Err("remove what follows ? or # from it");
        }
        if !tls && !is_private(authority.host()) {
            return Err(
                "prompts would leave this machine unencrypted; use a UNIX socket, 127.0.0.1, a mesh address or https://",
            );
        }
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str() != authority.host() => return Err(WRITE),
            None if tls => 443,
            None => 80,
        };
        let prefix = url.path().trim_end_matches('/');
        let prefix = prefix.strip_suffix("/v1").unwrap_or(prefix).trim_end_matches('/').to_owned();
        Ok(Self::Tcp { host: bare(authority.host()).to_owned(), port, prefix, tls })
    }

    /// Value of the `Host` header.
    pub(crate) fn host(&self) -> String {
        match self {
            Self::Unix(_) => "localhost".to_owned(),
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
        }
    }
}

const WRITE: &str = "write unix:///path.sock, http://127.0.0.1:port or https://host:port";

/// Whether plain HTTP to this host stays on the machine or inside WireGuard.
fn is_private(host: &str) -> bool {
    match bare(host).parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback() || mesh::contains(ip),
        Err(_) => host == "localhost",
    }
}

/// An address without the brackets that a URL puts around it.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16, prefix: &str, tls: bool) -> Address {
        Address::Tcp { host: host.to_owned(), port, prefix: prefix.to_owned(), tls }
    }

    #[test]
    fn common_spellings_of_an_address_are_accepted() {
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
            assert_eq!(Address::parse(text), Ok(tcp("127.0.0.1", 8080, "", false)), "{text}");
        }
        for (text, expected) in [
            ("https://gpu.maru.home.arpa", tcp("gpu.maru.home.arpa", 443, "", true)),
            ("https://gpu:8443/api/v1", tcp("gpu", 8443, "/api", true)),
            ("HTTPS://[::1]:1/v1", tcp("::1", 1, "", true)),
            ("http://localhost", tcp("localhost", 80, "", false)),
        ] {
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
    fn addresses_that_would_leak_or_fail_later_are_refused() {
        for text in [
            "",
            "unix://",
            "unix://relative.sock",
            "llm.sock",
            "ftp://127.0.0.1",
            "https://me@gpu",
            "https://gpu:",
            "https://gpu:99999",
            "https://gpu/#top",
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
