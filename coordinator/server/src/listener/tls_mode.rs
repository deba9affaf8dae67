//! How the public port uses TLS, from `[tls]` and `[proxy]` of the settings.

use std::{collections::BTreeSet, path::PathBuf};

use axum::http::Uri;
use coordinator_api::{
    invitation::ServerUrl,
    settings::{Acme, Settings},
};
use coordinator_core::forwarded::Network;

/// Last labels of names that no authority certifies (RFC 6761, RFC 7686, RFC 8375, and ICANN's `internal`).
const PRIVATE: [&str; 8] =
    ["arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test"];

/// How the public port uses TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TlsMode {
    /// Plain HTTP.
    Plain,
    /// Plain HTTP, behind a reverse proxy in one of these networks.
    Proxied(Vec<Network>),
    /// HTTPS with a certificate for `host` from two files.
    Files { certificate: PathBuf, key: PathBuf, host: String },
    /// HTTPS with a certificate for `host` by ACME, and certificates for these names of the mesh.
    Acme { acme: Acme, host: String, mesh_names: BTreeSet<String> },
}

impl TlsMode {
    /// Reads `[tls]` and `[proxy]`, and checks the relay's settings against them; the error is a sentence that names the key.
    pub(crate) fn of(settings: &Settings) -> Result<Self, String> {
        let entry = Self::read(settings)?;
        match entry {
            Self::Plain | Self::Proxied(_) if settings.relay.embedded => Err(
                "embedded under [relay] needs [tls], since devices connect to the relay with TLS: add [tls], or remove embedded \
                 and run the relay on a port of its own, also behind a reverse proxy"
                    .to_owned(),
            ),
            Self::Plain | Self::Proxied(_) | Self::Files { .. } | Self::Acme { .. } => Ok(entry),
        }
    }

    fn read(settings: &Settings) -> Result<Self, String> {
        let tls = match (&settings.tls, &settings.proxy) {
            (None, None) => return Ok(Self::Plain),
            (Some(tls), None) => tls,
            (None, Some(proxy)) => return proxied(&proxy.trusted),
            (Some(_), Some(_)) => {
                return Err(
                    "[tls] and [proxy] exclude each other: remove [tls] if a reverse proxy terminates HTTPS, else [proxy]"
                        .to_owned(),
                );
            }
        };
        let url = settings.server_url.as_deref().and_then(|url| ServerUrl::parse(url).ok());
        let Some(url) = url.filter(|url| !url.is_plain()) else {
            return Err("[tls] needs server_url = \"https://NAME\", with the name in the certificate, and the port if \
                        it is not 443"
                .to_owned());
        };
        if let Some(acme) = &tls.acme {
            if tls.certificate.is_some() || tls.key.is_some() {
                return Err("[tls] has both a certificate and [tls.acme]: take out certificate and key, or [tls.acme]"
                    .to_owned());
            }
            return asked(acme, url.host(), &settings.network);
        }
        match (&tls.certificate, &tls.key) {
            (Some(certificate), Some(key)) => Ok(Self::Files {
                certificate: certificate.clone(),
                key: key.clone(),
                host: url.host().to_owned(),
            }),
            (None, None) => {
                Err("[tls] has no certificate: set certificate and key, or add [tls.acme]"
                    .to_owned())
            }
            (Some(_), None) => Err("[tls] has a certificate without its key: set key".to_owned()),
            (None, Some(_)) => {
                Err("[tls] has a key without its certificate: set certificate".to_owned())
            }
        }
    }
}

fn asked(acme: &Acme, host: &str, network: &str) -> Result<TlsMode, String> {
    let is_name = host.parse::<std::net::IpAddr>().is_err() && host.contains('.');
    if !is_name {
        return Err(format!(
            "[tls.acme] needs a public name in server_url, not {host}: set server_url = \"https://NAME\""
        ));
    }
    if !acme.directory.starts_with("https://") {
        return Err(format!(
            "[tls.acme] directory = {:?} does not begin with https://",
            acme.directory
        ));
    }
    if acme.directory.parse::<Uri>().is_err() {
        return Err(format!("[tls.acme] directory = {:?} is not a URL", acme.directory));
    }
    match &acme.contact {
        Some(contact) if !contact.starts_with("mailto:") => Err(format!(
            "[tls.acme] contact = {contact:?} is not of the form \"mailto:you@example.org\""
        )),
        Some(_) | None => {
            let mesh_names = mesh_names(acme, host, network)?;
            Ok(TlsMode::Acme { acme: acme.clone(), host: host.to_owned(), mesh_names })
        }
    }
}

/// The names of the mesh that get certificates.
fn mesh_names(acme: &Acme, host: &str, network: &str) -> Result<BTreeSet<String>, String> {
    if !acme.mesh_names {
        return Ok(BTreeSet::new());
    }
    let top = network.rsplit('.').next().unwrap_or_default();
    if PRIVATE.contains(&top) {
        return Err(format!(
            "[tls.acme] mesh_names = true needs a network below a public domain of your own, not {network}: a network keeps its \
             name, so remove mesh_names, or set up another network"
        ));
    }
    if host == network || host.ends_with(&format!(".{network}")) {
        return Err(format!(
            "[tls.acme] mesh_names = true needs a server_url outside {network}, whose names devices resolve in the mesh: set \
             another name"
        ));
    }
    let names = services::https_names().into_iter();
    Ok(names.map(|label| format!("{label}.{network}")).collect())
}

fn proxied(trusted: &[String]) -> Result<TlsMode, String> {
    if trusted.is_empty() {
        return Err("[proxy] trusts nobody: set trusted = [\"127.0.0.1\"], with the address of the reverse proxy"
            .to_owned());
    }
    let read = |text: &String| {
        text.parse().map_err(|_| {
            format!("[proxy] trusted: {text:?} is neither an address, such as 127.0.0.1, nor a network, such as 10.0.0.0/8")
        })
    };
    trusted.iter().map(read).collect::<Result<_, _>>().map(TlsMode::Proxied)
}

#[cfg(test)]
mod tests {
    use coordinator_api::settings::{Proxy, Tls};

    use super::*;

    fn entry(
        url: &str,
        tls: Option<[Option<&str>; 2]>,
        trusted: Option<&[&str]>,
    ) -> Result<TlsMode, String> {
        let path = |text: Option<&str>| text.map(PathBuf::from);
        let tls = tls.map(|[certificate, key]| Tls {
            certificate: path(certificate),
            key: path(key),
            ..Tls::default()
        });
        let proxy =
            trusted.map(|all| Proxy { trusted: all.iter().map(|&text| text.to_owned()).collect() });
        TlsMode::of(&Settings {
            server_url: Some(url.to_owned()),
            tls,
            proxy,
            ..Settings::default()
        })
    }

    #[test]
    fn an_authority_is_asked_for_a_name_alone() {
        let acme = |url: &str, acme: Acme, certificate: Option<&str>| {
            let certificate = certificate.map(PathBuf::from);
            let tls = Some(Tls { acme: Some(acme), certificate, key: None });
            TlsMode::of(&Settings { server_url: Some(url.to_owned()), tls, ..Settings::default() })
        };
        let contact = |text: &str| Acme { contact: Some(text.to_owned()), ..Acme::default() };
        let directory = |text: &str| Acme { directory: text.to_owned(), ..Acme::default() };
        let name = "https://maru.example.org";
        assert!(acme(name, contact("mailto:a@example.org"), None).is_ok());
        for (refused, named) in [
            (acme("https://192.0.2.1", Acme::default(), None), "public name"),
            (acme("https://home", Acme::default(), None), "public name"),
            (acme(name, contact("a@example.org"), None), "contact = "),
            (acme(name, directory("http://a"), None), "directory = "),
            (acme(name, Acme::default(), Some("cert.pem")), "take out certificate"),
        ] {
            let error = refused.unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn names_of_the_mesh_are_certified_below_a_public_domain_alone() {
        let of = |network: &str, url: &str, mesh_names: bool| {
            let acme = Acme { mesh_names, ..Acme::default() };
            let tls = Some(Tls { acme: Some(acme), ..Tls::default() });
            let (network, server_url) = (network.to_owned(), Some(url.to_owned()));
            TlsMode::of(&Settings { server_url, tls, network, ..Settings::default() })
        };
        let names = |network: &str, mesh_names| {
            let mode = of(network, "https://maru.example.org", mesh_names).unwrap();
            let TlsMode::Acme { mesh_names, .. } = mode else { panic!("{mode:?}") };
            mesh_names.into_iter().collect::<Vec<_>>()
        };
        let certified = ["chat", "rooms"].map(|label| format!("{label}.home.example.org"));
        assert_eq!(names("home.example.org", true), certified);
        assert!(names("home.example.org", false).is_empty());
        assert!(names("maru.home.arpa", false).is_empty());
        for (network, url, named) in [
            ("maru.home.arpa", "https://maru.example.org", "not maru.home.arpa"),
            ("home.internal", "https://maru.example.org", "not home.internal"),
            ("home.example.org", "https://maru.home.example.org", "server_url outside"),
            ("home.example.org", "https://home.example.org", "server_url outside"),
        ] {
            let error = of(network, url, true).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn the_coordinators_own_relay_needs_its_own_tls() {
        let of = |tls: Option<Tls>, proxy: Option<Proxy>| {
            let mut settings = Settings { tls, proxy, ..Settings::default() };
            settings.server_url = Some("https://maru.example.org".to_owned());
            settings.relay.embedded = true;
            TlsMode::of(&settings)
        };
        let acme = Tls { acme: Some(Acme::default()), ..Tls::default() };
        let proxy = Proxy { trusted: vec!["::1".to_owned()] };
        assert!(of(Some(acme), None).is_ok());
        for refused in [of(None, None), of(None, Some(proxy))] {
            assert!(refused.unwrap_err().contains("embedded under [relay] needs [tls]"));
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused_by_key() {
        let both = Some([Some("cert.pem"), Some("key.pem")]);
        let https = "https://maru.example.org";
        assert_eq!(entry("http://a", None, None), Ok(TlsMode::Plain));
        assert!(matches!(
            entry(https, both, None),
            Ok(TlsMode::Files { host, .. }) if host == "maru.example.org"
        ));
        assert!(matches!(
            entry(https, None, Some(&["::1", "10.0.0.0/8"])),
            Ok(TlsMode::Proxied(_))
        ));
        for (refused, named) in [
            (entry("http://a", both, None), "server_url"),
            (entry(https, both, Some(&["::1"])), "exclude each other"),
            (entry(https, Some([None, None]), None), "certificate and key"),
            (entry(https, Some([Some("a"), None]), None), "set key"),
            (entry(https, Some([None, Some("a")]), None), "set certificate"),
            (entry(https, None, Some(&[])), "trusts nobody"),
            (entry(https, None, Some(&["nginx"])), "\"nginx\" is neither an address"),
            (entry(https, None, Some(&["10.0.0.0/99"])), "10.0.0.0/99"),
        ] {
            let error = refused.unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
