//! The root certificate of a network, checked before it is trusted.
//!
//! The home node says what it is. A hostile one could send an authority for every site, so only one that is constrained to the
//! network's domain, to no address and to servers is accepted, and nothing but its own bytes are installed.

use anyhow::{Context as _, anyhow};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use messages::message;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, GeneralSubtree},
    prelude::FromDer as _,
};

/// Characters in a line of PEM (RFC 7468, section 2).
const LINE: usize = 64;

/// A root certificate that can vouch for one network alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RootCertificate {
    network: String,
    der: Vec<u8>,
}

impl RootCertificate {
    /// Reads the one certificate of a text in PEM.
    ///
    /// # Errors
    ///
    /// It is none, or it could vouch for anything but names below `network`.
    pub(super) fn read(pem: &str, network: &str) -> anyhow::Result<Self> {
        let refused = || anyhow!(message!("trust-refused", network));
        let mut found = CertificateDer::pem_slice_iter(pem.as_bytes());
        let (Some(Ok(der)), None) = (found.next(), found.next()) else { return Err(refused()) };
        let (rest, parsed) = X509Certificate::from_der(&der).map_err(|_| refused())?;
        let fits = rest.is_empty() && is_constrained(&parsed, network).context(refused())?;
        if fits {
            Ok(Self { network: network.to_owned(), der: der.to_vec() })
        } else {
            Err(refused())
        }
    }

    /// A name for files and stores.
    pub(super) fn name(&self) -> String {
        format!("maru-{}", self.network)
    }

    /// The certificate alone, in PEM.
    pub(super) fn pem(&self) -> String {
        let text = STANDARD.encode(&self.der);
        let lines = text.as_bytes().chunks(LINE).map(String::from_utf8_lossy);
        let body: String = lines.map(|line| format!("{line}\n")).collect();
        format!("-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
    }

    /// The SHA-256 fingerprint, as browsers show it.
    pub(super) fn fingerprint(&self) -> String {
        let pairs: Vec<_> =
            Sha256::digest(&self.der).iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(":")
    }
}

/// Whether it is an authority for servers with names below this domain, and for nothing else.
fn is_constrained(parsed: &X509Certificate<'_>, network: &str) -> anyhow::Result<bool> {
    let is_authority = parsed.basic_constraints()?.is_some_and(|it| it.critical && it.value.ca);
    let for_servers = parsed.extended_key_usage()?.is_some_and(|usage| {
        let usage = usage.value;
        let others = usage.any
            || usage.client_auth
            || usage.code_signing
            || usage.email_protection
            || usage.time_stamping
            || usage.ocsp_signing
            || !usage.other.is_empty();
        usage.server_auth && !others
    });
    let Some(constraints) = parsed.name_constraints()?.filter(|it| it.critical) else {
        return Ok(false);
    };
    let permitted = constraints.value.permitted_subtrees.as_deref().unwrap_or_default();
    let excluded = constraints.value.excluded_subtrees.as_deref().unwrap_or_default();
    let own_alone = matches!(permitted, [GeneralSubtree { base: GeneralName::DNSName(name) }]
        if name.eq_ignore_ascii_case(network));
    // An address and its mask, of all zeroes: every address.
    let excludes = |len: usize| {
        let all = vec![0; len];
        excluded.iter().any(|tree| matches!(tree.base, GeneralName::IPAddress(it) if it == all))
    };
    Ok(is_authority && for_servers && own_alone && excludes(8) && excludes(32))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use rcgen::{
        BasicConstraints, CertificateParams, CidrSubnet, ExtendedKeyUsagePurpose as Usage,
        GeneralSubtree as Tree, IsCa, KeyPair, NameConstraints,
    };

    use super::*;

    const NETWORK: &str = "maru.home.arpa";

    /// As the agent makes it, but for one change.
    fn made(change: impl Fn(&mut CertificateParams)) -> String {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.extended_key_usages = vec![Usage::ServerAuth];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![Tree::DnsName(NETWORK.to_owned())],
            excluded_subtrees: vec![
                Tree::IpAddress(CidrSubnet::from_addr_prefix(Ipv4Addr::UNSPECIFIED.into(), 0)),
                Tree::IpAddress(CidrSubnet::from_addr_prefix(Ipv6Addr::UNSPECIFIED.into(), 0)),
            ],
        });
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    fn names(change: impl Fn(&mut NameConstraints)) -> String {
        made(|params| change(params.name_constraints.as_mut().unwrap()))
    }

    #[test]
    fn only_an_authority_for_the_network_alone_is_read() {
        let good = made(|_| {});
        let read = RootCertificate::read(&good, NETWORK).unwrap();
        assert_eq!(RootCertificate::read(&read.pem(), NETWORK).unwrap(), read);
        assert_eq!(read.name(), "maru-maru.home.arpa");
        assert_eq!(read.fingerprint().len(), 32 * 3 - 1);

        for (what, pem) in [
            ("for every site", made(|params| params.name_constraints = None)),
            (
                "another network",
                names(|it| {
                    it.permitted_subtrees = vec![Tree::DnsName("example.org".to_owned())];
                }),
            ),
            (
                "everything above it",
                names(|it| {
                    it.permitted_subtrees = vec![Tree::DnsName("home.arpa".to_owned())];
                }),
            ),
            (
                "one more site",
                names(|it| {
                    it.permitted_subtrees.push(Tree::DnsName("example.org".to_owned()));
                }),
            ),
            ("no permitted name at all", names(|it| it.permitted_subtrees.clear())),
            ("addresses", names(|it| it.excluded_subtrees.clear())),
            ("IPv6 addresses", names(|it| it.excluded_subtrees.truncate(1))),
            ("mail, too", made(|params| params.extended_key_usages.push(Usage::EmailProtection))),
            ("any purpose", made(|params| params.extended_key_usages.clear())),
            ("no authority", made(|params| params.is_ca = IsCa::ExplicitNoCa)),
            ("two certificates", format!("{good}{good}")),
            ("none", String::new()),
            ("broken", good.replace("MII", "AAA")),
        ] {
            let error = RootCertificate::read(&pem, NETWORK).unwrap_err().to_string();
            assert!(error.contains(NETWORK), "{what}: {error}");
        }
        let commented = format!("$(reboot)\n{good}tail");
        assert!(!RootCertificate::read(&commented, NETWORK).unwrap().pem().contains("reboot"));
    }
}
