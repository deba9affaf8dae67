//! The relay's certificate and keys: self-signed, pinned by the DERP map, and kept in a directory of the relay's own.
//!
//! The relay makes them. The coordinator reads the certificate, never a key: it runs under another user, who cannot.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use chassis::durable::Access;
use control_protocol::key::NodePrivate;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};

use crate::{
    files::{self, FileError, Paths},
    random,
};

/// How often a certificate is looked for that is not there yet.
const LOOK: Duration = Duration::from_millis(50);
/// Longest certificate that is read, in bytes.
const CERTIFICATE_MAX: u64 = 64 * 1024;

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
    /// There is a certificate without its key.
    #[error(
        "{} has no key beside it; restore the key from a backup, or remove the certificate, and devices learn another \
         when the coordinator starts again",
        .0.display()
    )]
    NoKey(PathBuf),
    /// The relay has not made it in time.
    #[error(
        "the relay has not left its certificate at {}; start `maru-coordinator relay` too and see what it says, or \
         name a relay map with `derp_map_file` in coordinator.toml",
        .0.display()
    )]
    Missing(PathBuf),
}

/// Where the certificate for a host lies, and its key. Clients also check that the certificate names the host, so each
/// host has files of its own.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(paths: &Paths, host: &str) -> Self {
        let file = |what: &str| paths.relay().join(format!("{what}-{}.pem", file_name(host)));
        Self { certificate: file("certificate"), key: file("key") }
    }
}

/// Reads the certificate for `host` and the keys, or makes them; for the relay alone.
pub(super) fn load_or_create(paths: &Paths, host: &str) -> Result<Identity, CertificateError> {
    files::make_dir(&paths.relay(), 0o755)?;
    let files = Files::of(paths, host);
    let broken = |path: &Path, what| FileError::Content { path: path.to_owned(), what };
    let failed = |source| CertificateError::Make { host: host.to_owned(), source };
    if files.certificate.exists() && !files.key.exists() {
        return Err(CertificateError::NoKey(files.certificate));
    }
    // The key comes first, so that a certificate is never without.
    let pem = files::read_or_create(&files.key, Access::SECRET, || {
        KeyPair::generate().map(|key| key.serialize_pem().into_bytes()).map_err(failed)
    })?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| broken(&files.key, "a private key in PEM"))?;
    let pem = files::read_or_create(&files.certificate, Access::READABLE, || {
        let pair = KeyPair::try_from(&key).map_err(failed)?;
        make(host, &pair).map(String::into_bytes).map_err(failed)
    })?;
    let certificate = parse(&files.certificate, &pem)?;
    let derp = derp_key(&paths.relay().join("derp.key"))?;
    Ok(Identity { certificate, key, derp })
}

/// Reads the key by which clients know the relay, or makes it.
pub(super) fn derp_key(path: &Path) -> Result<NodePrivate, FileError> {
    let content = files::read_or_create(path, Access::SECRET, || {
        Ok::<_, FileError>(NodePrivate::from_bytes(random::bytes()).to_text().as_bytes().to_vec())
    })?;
    let text = std::str::from_utf8(&content).ok().map(str::trim);
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| FileError::Content { path: path.to_owned(), what: "a DERP key" })
}

/// What the DERP map says of the certificate for `host`: clients take this one and no other. For the coordinator, which
/// waits until the relay has made it, but not longer than `patience`.
pub(crate) async fn pin(
    paths: &Paths,
    host: &str,
    patience: Duration,
) -> Result<String, CertificateError> {
    let path = Files::of(paths, host).certificate;
    let until = Instant::now() + patience;
    let mut waited = false;
    loop {
        match files::read_of_another(&path, CERTIFICATE_MAX) {
            Ok(pem) => return Ok(pin_of(&parse(&path, &pem)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(FileError::Io { path, source }.into()),
        }
        if Instant::now() >= until {
            return Err(CertificateError::Missing(path));
        }
        if !std::mem::replace(&mut waited, true) {
            tracing::info!(path = %path.display(), "waiting for the relay's certificate");
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn parse(path: &Path, pem: &[u8]) -> Result<CertificateDer<'static>, FileError> {
    let what = "a certificate in PEM";
    CertificateDer::from_pem_slice(pem)
        .map_err(|_| FileError::Content { path: path.to_owned(), what })
}

fn pin_of(certificate: &CertificateDer<'_>) -> String {
    format!("sha256-raw:{}", hex::encode(Sha256::digest(certificate)))
}

fn make(host: &str, key: &KeyPair) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "Maru relay");
    Ok(params.self_signed(key)?.pem())
}

fn file_name(host: &str) -> String {
    let safe = |character: char| {
        if character.is_ascii_alphanumeric() || ".-".contains(character) { character } else { '_' }
    };
    host.chars().take(100).map(safe).collect()
}

#[cfg(test)]
mod tests;
