//! Settings: one TOML file for each daemon. A key that it does not know is an error. Secrets are in files of their own, so
//! `Debug` is safe to log. Paths are below the root.

use std::path::PathBuf;

use serde::Deserialize;

pub mod auth;
pub mod compute;
pub mod gateway;
pub mod relay;
pub mod router;

/// Where the certificate authority of a deployment's machines is, unless another file is named.
pub const CA: &str = "etc/maru/confidential/ca.crt";

/// The certificate of a listener, PEM.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// The certificate and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl ServerTls {
    /// `etc/maru/confidential/NAME.crt` and `NAME.key`.
    fn named(name: &str) -> Self {
        let file = |kind| format!("etc/maru/confidential/{name}.{kind}").into();
        Self { certificate: file("crt"), key: file("key") }
    }
}

/// A server that is asked: over TLS, or as `http://` on this machine's loopback alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// Its base URL. Default: none; it must be named.
    pub url: String,
    /// The authority that its certificate must be of, PEM; no other is trusted. Default: [`CA`].
    pub ca: PathBuf,
    /// Name that its certificate must be for. Default: the host of the URL.
    pub server_name: Option<String>,
}

impl Default for Upstream {
    fn default() -> Self {
        Self { url: String::new(), ca: CA.into(), server_name: None }
    }
}
