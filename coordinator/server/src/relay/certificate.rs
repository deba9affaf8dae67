//! The relay's certificate and DERP key: self-signed, and pinned by the DERP map.

use std::{fmt, path::Path};

use control_protocol::key::NodePrivate;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};

use crate::{
    files::{self, FileError, Paths},
    random,
};

/// Certificate, its key, and the key by which clients know the relay.
pub(crate) struct Identity {
    /// What TLS clients are shown.
    pub(super) certificate: CertificateDer<'static>,
    /// Its key.
    pub(super) key: PrivateKeyDer<'static>,
    /// The relay's key in the DERP protocol.
    pub(super) derp: NodePrivate,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity([redacted])")
    }
}

/// The relay's certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// It cannot be made for this host.
    #[error(
        "cannot make a certificate for the relay's host {host:?}; set `host` under [relay] in coordinator.toml"
    )]
    Make {
        /// The host.
        host: String,
        /// Why not.
        source: rcgen::Error,
    },
}

/// Reads the certificate for `host` and the DERP key, or makes them. Whoever comes first, the coordinator and the
/// relay find the same.
///
/// Clients also check that the certificate names the host, so each host has a file of its own.
pub(crate) fn load_or_create(paths: &Paths, host: &str) -> Result<Identity, CertificateError> {
    let dir = paths.relay();
    files::private_dir(&paths.state())?;
    files::private_dir(&dir)?;
    let pem =
        make(host).map_err(|source| CertificateError::Make { host: host.to_owned(), source })?;
    let path = dir.join(file_name(host));
    let content = files::read_or_create(&path, || pem.into_bytes())?;
    let broken = |path: &Path, what| FileError::Content { path: path.to_owned(), what };
    let certificate = CertificateDer::from_pem_slice(&content)
        .map_err(|_| broken(&path, "a certificate in PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(&content)
        .map_err(|_| broken(&path, "a private key in PEM"))?;
    let path = dir.join("derp.key");
    let content = files::read_or_create(&path, || {
        NodePrivate::from_bytes(random::bytes()).to_text().as_bytes().to_vec()
    })?;
    let text = std::str::from_utf8(&content).ok().map(str::trim);
    let derp =
        text.and_then(|text| text.parse().ok()).ok_or_else(|| broken(&path, "a DERP key"))?;
    Ok(Identity { certificate, key, derp })
}

/// Certificate and key in one text, so that they appear together.
fn make(host: &str) -> Result<String, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "Maru relay");
    let certificate = params.self_signed(&key)?;
    Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
}

fn file_name(host: &str) -> String {
    let safe = |character: char| {
        if character.is_ascii_alphanumeric() || ".-".contains(character) { character } else { '_' }
    };
    format!("cert-{}.pem", host.chars().take(100).map(safe).collect::<String>())
}

impl Identity {
    /// What the DERP map says of the certificate: clients take this one and no other.
    pub(crate) fn pin(&self) -> String {
        format!("sha256-raw:{}", hex::encode(Sha256::digest(&self.certificate)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coordinator_and_the_relay_find_the_same_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path());

        let (first, second) = (
            load_or_create(&paths, "10.0.0.1").unwrap(),
            load_or_create(&paths, "10.0.0.1").unwrap(),
        );
        let other = load_or_create(&paths, "relay.example.org").unwrap();

        assert_eq!(first.pin(), second.pin());
        assert_eq!(first.pin().len(), "sha256-raw:".len() + 64);
        assert_eq!(first.derp, second.derp);
        assert_ne!(first.pin(), other.pin());
        assert_eq!(format!("{first:?}"), "Identity([redacted])");
    }

    #[test]
    fn a_host_is_no_path() {
        assert_eq!(file_name("../../etc/x"), "cert-.._.._etc_x.pem");
        assert_eq!(file_name("fd00::1"), "cert-fd00__1.pem");
    }
}
