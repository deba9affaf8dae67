//! A public certificate for one of this node's names.
//!
//! The coordinator, or whoever is in its place, may send any chain: it is used only if it is for this node's own key, for the
//! name, and valid now. Whether apps trust it is theirs to judge; the private key never leaves this machine.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use chassis::pem::Validity;
use messages::Message;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::{
    client::verify_server_name,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use serde::{Deserialize, Serialize};

/// Most certificates of a chain.
const CHAIN_MAX: usize = 8;

/// Why a chain is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// No key or signing request can be made.
    #[error("no key can be made")]
    Make(#[from] rcgen::Error),
    /// It is not a chain in PEM.
    #[error("the coordinator's answer holds no certificates")]
    Broken,
    /// It is for another key.
    #[error("the certificate is not for this node's key")]
    Key(#[source] rustls::Error),
    /// It is for another name.
    #[error("the certificate is for another name")]
    Name(#[source] rustls::Error),
    /// It is not valid now.
    #[error("the certificate is not valid now, by this machine's clock")]
    Time,
}

/// A new key for a name, and its signing request in PEM.
pub(crate) fn request(host: &str) -> Result<(KeyPair, String), CertificateError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key)?.pem()?;
    Ok((key, request))
}

/// A certificate with its key, as it is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredCertificate {
    /// The name.
    pub(crate) host: String,
    /// The chain, in PEM.
    pub(crate) chain: String,
    /// The private key, in PEM.
    pub(crate) key: String,
}

/// Does not show the key.
impl fmt::Debug for StoredCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredCertificate").field("host", &self.host).finish_non_exhaustive()
    }
}

impl StoredCertificate {
    /// Checks that it can be used at `now`.
    pub(crate) fn check(&self, now: SystemTime) -> Result<PublicCertificate, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes()).take(CHAIN_MAX);
        let chain: Vec<_> =
            chain.collect::<Result<_, _>>().map_err(|_| CertificateError::Broken)?;
        let first = chain.first().ok_or(CertificateError::Broken)?;
        let life = Validity::of(first).ok_or(CertificateError::Broken)?;
        let name = ServerName::try_from(&*self.host).map_err(|_| CertificateError::Broken)?;
        let parsed = ParsedCertificate::try_from(first).map_err(CertificateError::Name)?;
        verify_server_name(&parsed, &name).map_err(CertificateError::Name)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes());
        let key = key.map_err(|_| CertificateError::Broken)?;
        let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
        let certified = Arc::new(certified.map_err(CertificateError::Key)?);
        let at = |millis| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        let at =
            |millis: i64| u64::try_from(millis).ok().and_then(at).ok_or(CertificateError::Broken);
        let (begins, ends) = (at(life.begins)?, at(life.ends)?);
        let certificate = PublicCertificate { certified, begins, ends };
        if certificate.is_valid(now) { Ok(certificate) } else { Err(CertificateError::Time) }
    }
}

/// A certificate that was checked.
#[derive(Clone, Debug)]
pub(crate) struct PublicCertificate {
    pub(crate) certified: Arc<CertifiedKey>,
    begins: SystemTime,
    pub(crate) ends: SystemTime,
}

impl PublicCertificate {
    /// Whether it is valid at `now`.
    pub(crate) fn is_valid(&self, now: SystemTime) -> bool {
        self.begins <= now && now < self.ends
    }

    /// How long it is valid in all.
    pub(crate) fn lifetime(&self) -> Duration {
        self.ends.duration_since(self.begins).unwrap_or_default()
    }

    /// How long until it should be replaced: when two thirds of its lifetime are over.
    pub(crate) fn due_in(&self, now: SystemTime) -> Duration {
        let due = self.begins + self.lifetime() / 3 * 2;
        due.duration_since(now).unwrap_or_default()
    }
}

/// How a name's public certificate stands, for the local API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CertificateState {
    /// When the one in use ends.
    pub(crate) ends: Option<SystemTime>,
    /// Why there is none, or no newer one.
    pub(crate) problem: Option<Message>,
}

#[cfg(test)]
pub(crate) mod tests;
