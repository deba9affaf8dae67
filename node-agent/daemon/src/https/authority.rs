//! The network's own certificate authority, for names below the network's domain alone.
//!
//! ```text
//! root ──signs, then its key is destroyed──▶ intermediate ──signs──▶ leaf of a name, 30 days, only in memory
//! ```
//!
//! Both are constrained to the network's domain, to no address (RFC 5280, section 4.2.1.10) and to servers: whoever trusts the
//! root trusts it for no other site and no other purpose, also if the intermediate's key is stolen.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use node_agent_core::domain::Domain;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, date_time_ymd,
};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

/// How long a leaf is valid.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long before it is made a leaf is already valid, for devices whose clocks are slow.
const BACKDATED: Duration = Duration::from_secs(24 * 60 * 60);
/// A leaf is replaced when two thirds of its lifetime are over.
const RENEWED_AFTER: Duration = Duration::from_secs(20 * 24 * 60 * 60);
/// First and last year of root and intermediate. They are constants, so that a wrong clock at the first start does no harm.
const YEARS: [i32; 2] = [2026, 2046];
/// Bytes of the public key's hash in the root's name, which tells two authorities of networks with one name apart.
const NAME_HASH: usize = 4;

/// A certificate cannot be made, or a stored one cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthorityError {
    /// The certificate cannot be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// TLS refuses what was made.
    #[error("the authority in the agent's state is unusable")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The authority of one network, as it is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Authority {
    /// The domain that it is constrained to.
    pub(crate) network: Domain,
    /// The root's certificate, in PEM. Its key no longer exists.
    pub(crate) root: String,
    intermediate: String,
    /// The intermediate's key, in PEM.
    key: String,
}

/// Does not show the key.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("network", &self.network).finish_non_exhaustive()
    }
}

/// The certificate of a name, with its key.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// The chain without the root.
    pub(crate) certified: Arc<CertifiedKey>,
    made: SystemTime,
}

impl Leaf {
    /// Whether it should be replaced at `now`, also since the clock went back behind its begin.
    pub(crate) fn is_due(&self, now: SystemTime) -> bool {
        let begins = self.made - BACKDATED;
        now < begins || now >= begins + RENEWED_AFTER
    }
}

impl Authority {
    /// Makes an authority, and destroys the root's key.
    pub(crate) fn create(network: &Domain) -> Result<Self, AuthorityError> {
        let mut root_key = KeyPair::generate()?;
        let params = root_params(network, &root_key);
        let root = params.self_signed(&root_key)?;
        let key = KeyPair::generate()?;
        let issuer = Issuer::from_params(&params, &root_key);
        let intermediate = intermediate_params(network).signed_by(&key, &issuer)?;
        root_key.zeroize();
        Ok(Self {
            network: network.clone(),
            root: root.pem(),
            intermediate: intermediate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// Makes the certificate of a name below the domain, with a key that is never stored.
    pub(crate) fn issue(&self, host: &str, now: SystemTime) -> Result<Leaf, AuthorityError> {
        let issuer = Issuer::new(intermediate_params(&self.network), KeyPair::from_pem(&self.key)?);
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        params.distinguished_name = named(host.to_owned(), None);
        let begins = now - BACKDATED;
        let since_epoch = begins.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        params.not_before = date_time_ymd(1970, 1, 1) + since_epoch;
        params.not_after = params.not_before + LIFETIME;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &issuer)?;
        let unusable = |error: rustls::Error| AuthorityError::Unusable(error.into());
        let intermediate = CertificateDer::from_pem_slice(self.intermediate.as_bytes())
            .map_err(|error| AuthorityError::Unusable(error.into()))?;
        let chain = vec![leaf.der().clone(), intermediate];
        let private = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|error| AuthorityError::Unusable(error.into()))?;
        let certified = CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider());
        Ok(Leaf { certified: Arc::new(certified.map_err(unusable)?), made: now })
    }
}

fn root_params(network: &Domain, key: &KeyPair) -> CertificateParams {
    let hash = Sha256::digest(key.public_key_raw());
    let hash = hash[..NAME_HASH].iter().map(|byte| format!("{byte:02x}")).collect();
    let mut params = authority_params(network, 1);
    params.distinguished_name = named(format!("Maru {network}"), Some(hash));
    params
}

/// What the intermediate is made with, and what issuing needs of it again.
fn intermediate_params(network: &Domain) -> CertificateParams {
    let mut params = authority_params(network, 0);
    params.distinguished_name = named(format!("Maru {network} issuer"), None);
    params.use_authority_key_identifier_extension = true;
    params
}

/// An authority with at most `below` authorities below it.
fn authority_params(network: &Domain, below: u8) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    [params.not_before, params.not_after] = YEARS.map(|year| date_time_ymd(year, 1, 1));
    let every = [
        CidrSubnet::from_addr_prefix(Ipv4Addr::UNSPECIFIED.into(), 0),
        CidrSubnet::from_addr_prefix(Ipv6Addr::UNSPECIFIED.into(), 0),
    ];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(network.to_string())],
        excluded_subtrees: every.map(GeneralSubtree::IpAddress).into(),
    });
    params
}

fn named(common: String, unit: Option<String>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    if let Some(unit) = unit {
        name.push(DnType::OrganizationalUnitName, unit);
    }
    name
}

#[cfg(test)]
mod tests;
