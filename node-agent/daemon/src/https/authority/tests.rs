use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    pki_types::{ServerName, UnixTime},
};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn authority() -> Authority {
    Authority::create(&"maru.home.arpa".parse().unwrap()).unwrap()
}

/// Whether a client that trusts this root takes a leaf for a name at a time.
fn verdict(
    authority: &Authority,
    leaf: &Leaf,
    name: &str,
    at: SystemTime,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.root.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
    let chain = &leaf.certified.cert;
    let name = ServerName::try_from(name).unwrap();
    let at = UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).unwrap());
    let verifier = verifier.build().unwrap();
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], at).map(drop)
}

#[test]
fn its_certificates_are_good_for_names_of_the_network_and_for_nothing_else() {
    let (authority, now) = (authority(), SystemTime::now());
    let judge = |name: &str| verdict(&authority, &authority.issue(name, now).unwrap(), name, now);

    assert_eq!(judge("rooms.maru.home.arpa"), Ok(()));
    // Whoever steals the intermediate's key can sign these, and no client takes them.
    for other in ["evil.example", "rooms.xmaru.home.arpa", "home.arpa", "100.64.0.1", "::1"] {
        let error = judge(other).unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains("NameConstraintViolation"), "{other}: {text}");
    }
}

#[test]
fn only_the_intermediates_key_is_kept() {
    let authority = authority();
    let stored = serde_json::to_string(&authority).unwrap();

    assert_eq!(stored.matches("PRIVATE KEY-----").count(), 2, "begin and end of one key");
    let key = KeyPair::from_pem(&authority.key).unwrap();
    let holds = |pem: &str| {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        der.windows(key.public_key_raw().len()).any(|part| part == key.public_key_raw())
    };
    assert!(holds(&authority.intermediate) && !holds(&authority.root));
    assert!(!format!("{authority:?}").contains("PRIVATE KEY"));
    assert_eq!(serde_json::from_str::<Authority>(&stored).unwrap(), authority);
}

#[test]
fn two_networks_of_one_name_have_authorities_of_different_names() {
    let [one, other] = [authority(), authority()];
    let leaf = one.issue("rooms.maru.home.arpa", SystemTime::now()).unwrap();
    let error = verdict(&other, &leaf, "rooms.maru.home.arpa", SystemTime::now());
    assert!(format!("{error:?}").contains("UnknownIssuer"), "{error:?}");
}

#[test]
fn a_leaf_lasts_thirty_days_and_is_due_well_before() {
    let (authority, now) = (authority(), SystemTime::now());
    let name = "rooms.maru.home.arpa";
    let leaf = authority.issue(name, now).unwrap();
    let judge = |at| verdict(&authority, &leaf, name, at).is_ok();

    assert!(judge(now - BACKDATED + DAY / 24) && judge(now + 28 * DAY));
    assert!(!judge(now - 2 * DAY) && !judge(now + 30 * DAY));
    assert!(!leaf.is_due(now) && !leaf.is_due(now + 18 * DAY));
    assert!(leaf.is_due(now + 20 * DAY));
    assert!(leaf.is_due(now - 2 * DAY), "the clock was ahead");
    let at_the_epoch = authority.issue(name, SystemTime::UNIX_EPOCH + DAY / 2);
    assert!(at_the_epoch.is_ok(), "a clock that was never set");
}
