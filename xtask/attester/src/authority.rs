//! A root like AWS's, and chains below it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

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

/// A private root.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// What can be wrong in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The certificate that signs the leaf may sign nothing.
    IntermediateIsNoAuthority,
    /// The leaf was made for TLS servers.
    LeafIsForTls,
}

/// Certificates down to the key that signs documents.
pub struct Chain {
    /// Root first, as in a document's `cabundle`: DER.
    pub bundle: Vec<Vec<u8>>,
    /// The leaf: DER.
    pub certificate: Vec<u8>,
    /// The leaf's key.
    pub key: Signer,
    /// The same: PKCS #8, DER.
    pub key_pkcs8: Vec<u8>,
}

impl Authority {
    /// Makes a root that holds for 30 years from 2020 on.
    ///
    /// # Errors
    ///
    /// Fails if no key can be made.
    pub fn generate() -> Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        let params = root();
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// The one whose key and certificate were written before.
    ///
    /// # Errors
    ///
    /// Fails if they are none.
    pub fn from_pem(key: &str, certificate: &str) -> Result<Self> {
        let key = KeyPair::from_pem(key).context("the root's key cannot be read")?;
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes());
        let certificate = certificate.context("the root's certificate cannot be read")?;
        Ok(Self { certificate, issuer: Issuer::new(root(), key) })
    }

    /// The root's certificate: DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The root's certificate: PEM (RFC 7468).
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        let text = STANDARD.encode(&self.certificate);
        let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
        let body: String = lines.map(|line| format!("{line}\n")).collect();
        format!("-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
    }

    /// The root's key: PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A chain of root, one intermediate and a leaf for this module.
    ///
    /// # Errors
    ///
    /// Fails if a key or certificate cannot be made.
    pub fn chain(&self, module_id: &str, leaf: Lifetime) -> Result<Chain> {
        self.faulty_chain(module_id, leaf, Fault::None)
    }

    /// The same, with something wrong in it.
    ///
    /// # Errors
    ///
    /// As [`Self::chain`].
    pub fn faulty_chain(&self, module_id: &str, lifetime: Lifetime, fault: Fault) -> Result<Chain> {
        let mut params = authority("maru test intermediate");
        [params.not_before, params.not_after] = [2020, 2050].map(|year| date_time_ymd(year, 1, 1));
        if fault == Fault::IntermediateIsNoAuthority {
            params.is_ca = IsCa::ExplicitNoCa;
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        let intermediate = params.signed_by(&key, &self.issuer)?;
        let issuer = Issuer::new(params, key);

        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        let mut params = named(&format!("{module_id}.lab"));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if fault == Fault::LeafIsForTls {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }
        lifetime.set(&mut params);
        let leaf = params.signed_by(&key, &issuer)?;
        Ok(Chain {
            bundle: vec![self.certificate().to_vec(), intermediate.der().to_vec()],
            certificate: leaf.der().to_vec(),
            key: Signer::from_pkcs8(key.serialized_der())?,
            key_pkcs8: key.serialize_der(),
        })
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn root() -> CertificateParams {
    let mut params = authority("maru test root");
    [params.not_before, params.not_after] = [2020, 2050].map(|year| date_time_ymd(year, 1, 1));
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}
