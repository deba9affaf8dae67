//! The relay's self-signed certificate, which the DERP map pins, and its keys.
//!
//! The relay creates them in its own directory. The coordinator, which runs as another user, can read the certificate only.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use chassis::durable::{self, Access};
use control_protocol::key::NodePrivate;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};

use crate::{
    files::{self, FileError, Paths},
    random,
};

/// Interval of checks for a certificate that does not exist yet.
const LOOK: Duration = Duration::from_millis(50);
/// Longest certificate that is read, in bytes.
const CERTIFICATE_MAX: u64 = 64 * 1024;

/// The relay's certificate and keys.
pub(crate) struct Identity {
    /// The TLS certificate.
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
        "cannot make a certificate for the relay's host {0:?}; set `host` under [relay] in coordinator.toml"
    )]
    Make(String, #[source] rcgen::Error),
    /// The certificate exists without its key.
    #[error(
        "{} has no key beside it; restore the key from a backup, or remove the certificate and restart relay and \
         coordinator, which make another",
        .0.display()
    )]
    NoKey(PathBuf),
    /// The relay has not created it in time.
    #[error(
        "the relay has not created its certificate {}; check that `maru-coordinator relay` runs, or set `derp_map_file` \
         in coordinator.toml",
        .0.display()
    )]
    Missing(PathBuf),
}

/// Paths of the certificate for a host and of its key. Clients check the host in the certificate, so each host has its own.
struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
}

impl CertificateFiles {
    fn of(paths: &Paths, host: &str) -> Self {
        let file = |what: &str| paths.relay().join(format!("{what}-{}.pem", file_name(host)));
        Self { certificate: file("certificate"), key: file("key") }
    }
}

/// Reads the certificate for `host` and the keys, or creates them. Only the relay calls this.
pub(super) fn load_or_create(paths: &Paths, host: &str) -> Result<Identity, CertificateError> {
    files::make_dir(&paths.relay(), 0o755)?;
    let files = CertificateFiles::of(paths, host);
    let broken = |path: &Path, what| FileError::Content(path.to_owned(), what);
    let failed = |error| CertificateError::Make(host.to_owned(), error);
    if files.certificate.exists() && !files.key.exists() {
        return Err(CertificateError::NoKey(files.certificate));
    }
    // The key is created first, so that a certificate always has its key.
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

/// Reads the relay's key in the DERP protocol, or creates it.
pub(super) fn derp_key(path: &Path) -> Result<NodePrivate, FileError> {
    let content = files::read_or_create(path, Access::SECRET, || {
        Ok::<_, FileError>(NodePrivate::from_bytes(random::bytes()).to_text().as_bytes().to_vec())
    })?;
    let text = std::str::from_utf8(&content).ok().map(str::trim);
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| FileError::Content(path.to_owned(), "a DERP key"))
}

/// The pin of the certificate for `host` in the DERP map. Waits until the relay has created it, at most `patience`.
pub(crate) async fn pin(
    paths: &Paths,
    host: &str,
    patience: Duration,
) -> Result<String, CertificateError> {
    let path = CertificateFiles::of(paths, host).certificate;
    let until = Instant::now() + patience;
    let mut waited = false;
    loop {
        match durable::read_of_another(&path, CERTIFICATE_MAX) {
            Ok(pem) => return Ok(pin_of(&parse(&path, &pem)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(FileError::Io(path, source).into()),
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
    CertificateDer::from_pem_slice(pem)
        .map_err(|_| FileError::Content(path.to_owned(), "a certificate in PEM"))
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
