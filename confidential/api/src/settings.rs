//! Settings: one TOML file for each daemon. Unknown keys are errors. Secrets are in separate files, so `Debug` is safe to
//! log. Paths are below the root.

use std::path::PathBuf;

use serde::Deserialize;

/// Declares settings: a struct whose keys have defaults, and an unknown key is an error.
macro_rules! settings {
    ($(#[doc = $doc:literal])* $name:ident {
        $($(#[doc = $field_doc:literal])* $field:ident: $kind:ty = $default:expr,)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[doc = $field_doc])* pub $field: $kind,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

pub mod auth;
pub mod compute;
pub mod gateway;
pub mod relay;
pub mod router;

/// The default path of the deployment's certificate authority.
pub const CA: &str = "etc/maru/confidential/ca.crt";

/// The certificate of a listener, PEM.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// The certificate chain without the root.
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

settings! {
    /// An upstream server, with TLS or, only on loopback, `http://`.
    Upstream {
        /// Its base URL. Default: none; required.
        url: String = String::new(),
        /// The only certificate authority that is trusted, PEM. Default: [`CA`].
        ca: PathBuf = CA.into(),
        /// The name in its certificate. Default: the host of the URL.
        server_name: Option<String> = None,
    }
}
