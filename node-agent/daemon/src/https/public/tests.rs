use rcgen::{
    BasicConstraints, CertifiedIssuer, IsCa, PKCS_ECDSA_P256_SHA256, PublicKeyData,
    SignatureAlgorithm, date_time_ymd,
};
use rustls::pki_types::CertificateSigningRequestDer;

use super::*;

const HOST: &str = "rooms.home.example.org";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What a key on P-256 begins with in DER (RFC 5480, section 2), before its point.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 3, 1, 7, 3, 0x42, 0,
];
const POINT_LEN: usize = 65;

/// An authority that signs whatever it is asked.
pub(crate) struct PublicAuthority(CertifiedIssuer<'static, KeyPair>);

/// The key of a signing request.
struct RequestedKey(Vec<u8>);

impl PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl PublicAuthority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate, in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A chain for the key of a signing request: for this name, and from then on for 90 days.
    pub(crate) fn issue(&self, request: &str, host: &str, begins: SystemTime) -> String {
        let request = CertificateSigningRequestDer::from_pem_slice(request.as_bytes()).unwrap();
        let at = request.windows(P256.len()).position(|it| it == P256).unwrap() + P256.len();
        let key = RequestedKey(request[at..at + POINT_LEN].to_vec());
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let since_epoch = begins.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        params.not_before = date_time_ymd(1970, 1, 1) + since_epoch;
        params.not_after = params.not_before + 90 * DAY;
        params.signed_by(&key, &self.0).unwrap().pem() + &self.0.pem()
    }
}

#[test]
fn only_a_certificate_for_our_key_our_name_and_now_is_used() {
    let (authority, now) = (PublicAuthority::new(), SystemTime::now());
    let (key, ours) = request(HOST).unwrap();
    let (_, others) = request(HOST).unwrap();
    let check = |chain: String| {
        let key = key.serialize_pem();
        StoredCertificate { host: HOST.to_owned(), chain, key }.check(now)
    };
    let issue = |request: &str, host: &str, begins| check(authority.issue(request, host, begins));

    let used = issue(&ours, HOST, now - DAY).unwrap();
    assert_eq!(used.certified.cert.len(), 2);
    assert_eq!(used.lifetime(), 90 * DAY);
    assert!(used.due_in(now) > 58 * DAY && used.due_in(now) <= 59 * DAY);
    assert_eq!(used.due_in(now + 60 * DAY), Duration::ZERO);
    assert!(used.is_valid(now + 88 * DAY) && !used.is_valid(now + 90 * DAY));

    assert!(matches!(issue(&others, HOST, now - DAY), Err(CertificateError::Key(_))));
    let name = issue(&ours, "chat.home.example.org", now - DAY);
    assert!(matches!(name, Err(CertificateError::Name(_))), "{name:?}");
    for begins in [now + DAY, now - 91 * DAY] {
        assert!(matches!(issue(&ours, HOST, begins), Err(CertificateError::Time)));
    }
    for chain in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no PEM"] {
        let refused = check(chain.to_owned());
        assert!(matches!(refused, Err(CertificateError::Broken)), "{refused:?}");
    }
}

#[test]
fn no_key_is_shown() {
    let (key, _) = request(HOST).unwrap();
    let key = key.serialize_pem();
    let stored =
        StoredCertificate { host: HOST.to_owned(), chain: String::new(), key: key.clone() };
    let secret = key.lines().nth(1).unwrap();
    assert!(!format!("{stored:?}").contains(secret));
}
