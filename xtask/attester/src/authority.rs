//! A root like AWS's, and chains below it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, date_time_ymd,
};

use crate::Signer;

/// When a certificate's time begins and ends, in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// From this second on.
    pub not_before: u64,
    /// Up to this second.
    pub not_after: u64,
}

impl Lifetime {
    /// As long as Nitro's leaves: three hours, a few seconds before now included.
    #[must_use]
    pub const fn of_a_leaf(now: u64) -> Self {
        Self { not_before: now.saturating_sub(3), not_after: now + 3 * 60 * 60 }
    }

    fn set(self, params: &mut CertificateParams) {
        let epoch = date_time_ymd(1970, 1, 1);
        params.not_before = epoch + Duration::from_secs(self.not_before);
        params.not_after = epoch + Duration::from_secs(self.not_after);
    }
}

/// A root of somebody's own. Its key is no secret of anybody else's.
pub struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
}

/// Certificates down to the key that signs documents.
pub struct Chain {
    /// Root first, as in a document's `cabundle`: DER.
    pub bundle: Vec<Vec<u8>>,
    /// The leaf: DER.
    pub certificate: Vec<u8>,
    /// The leaf's key.
    pub key: Signer,
}

impl Authority {
    /// Makes a root that holds for 30 years from 2020 on.
    ///
    /// # Errors
    ///
    /// Fails if no key can be made.
    pub fn generate() -> Result<Self> {
        Self::from_key(KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?)
    }

    fn from_key(key: KeyPair) -> Result<Self> {
        let mut params = authority("maru test root");
        [params.not_before, params.not_after] = [2020, 2050].map(|year| date_time_ymd(year, 1, 1));
        Ok(Self { root: CertifiedIssuer::self_signed(params, key)? })
    }

    /// The one whose key and certificate were written before.
    ///
    /// # Errors
    ///
    /// Fails if they are none.
    pub fn from_pem(key: &str) -> Result<Self> {
        let key = KeyPair::from_pem(key).context("the root's key cannot be read")?;
        Self::from_key(key)
    }

    /// The root's certificate: DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        self.root.der()
    }

    /// The root's certificate: PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.root.pem()
    }

    /// The root's key: PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.root.key().serialize_pem()
    }

    /// A chain of root, one intermediate and a leaf for this module.
    ///
    /// # Errors
    ///
    /// Fails if a key or certificate cannot be made.
    pub fn chain(&self, module_id: &str, leaf: Lifetime) -> Result<Chain> {
        self.chain_of(module_id, leaf, true)
    }

    /// The same, by an intermediate that is no authority.
    ///
    /// # Errors
    ///
    /// As [`Self::chain`].
    pub fn chain_without_authority(&self, module_id: &str, leaf: Lifetime) -> Result<Chain> {
        self.chain_of(module_id, leaf, false)
    }

    fn chain_of(&self, module_id: &str, lifetime: Lifetime, is_authority: bool) -> Result<Chain> {
        let mut params = authority("maru test intermediate");
        [params.not_before, params.not_after] = [2020, 2050].map(|year| date_time_ymd(year, 1, 1));
        if !is_authority {
            params.is_ca = IsCa::ExplicitNoCa;
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        let intermediate = params.signed_by(&key, &self.root)?;
        let issuer = Issuer::new(params, key);

        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        let mut params = named(&format!("{module_id}.lab"));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        lifetime.set(&mut params);
        let leaf = params.signed_by(&key, &issuer)?;
        Ok(Chain {
            bundle: vec![self.certificate().to_vec(), intermediate.der().to_vec()],
            certificate: leaf.der().to_vec(),
            key: Signer::from_pkcs8(&key.serialize_der())?,
        })
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}
