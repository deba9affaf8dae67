use proptest::prelude::*;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, SanType, SignatureAlgorithm,
};

use super::*;

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params
}

fn made(params: &CertificateParams, key: &'static SignatureAlgorithm) -> Vec<u8> {
    let key = KeyPair::generate_for(key).unwrap();
    params.serialize_request(&key).unwrap().der().to_vec()
}

#[test]
fn what_is_not_for_one_name_and_a_key_of_ours_is_refused() {
    let name = "rooms.home.example.org";
    let ours = |params: &CertificateParams| made(params, &PKCS_ECDSA_P256_SHA256);
    let read = |der: &[u8]| SigningRequest::decode(der).map(|request| request.name);
    assert_eq!(read(&ours(&params(&[name]))).as_deref(), Ok(name), "the control");

    let mut subject = params(&[name]);
    subject.distinguished_name.push(DnType::CommonName, "bank.example");
    let mut usage = params(&[name]);
    usage.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let mut address = params(&[]);
    address.subject_alt_names = vec![SanType::IpAddress([192, 0, 2, 1].into())];
    for (refused, why) in [
        (ours(&params(&[name, "bank.example"])), RequestError::Name),
        (ours(&params(&[])), RequestError::Name),
        (ours(&address), RequestError::Name),
        (ours(&subject), RequestError::Name),
        (ours(&usage), RequestError::Name),
        (made(&params(&[name]), &PKCS_ECDSA_P384_SHA384), RequestError::Key),
        (ours(&params(&["a".repeat(1100).as_str(), name])), RequestError::Broken),
        ([ours(&params(&[name])), vec![0]].concat(), RequestError::Broken),
        (b"-----BEGIN".to_vec(), RequestError::Broken),
        (Vec::new(), RequestError::Broken),
    ] {
        assert_eq!(read(&refused), Err(why), "{refused:02x?}");
    }
}

proptest! {
    /// Whatever the name, it is read as it was written.
    #[test]
    fn a_name_is_read_back(name in "[a-z0-9][a-z0-9-]{0,40}(\\.[a-z0-9]{1,60}){1,3}") {
        let der = made(&params(&[&name]), &PKCS_ECDSA_P256_SHA256);
        prop_assert_eq!(SigningRequest::decode(&der).map(|request| request.name), Ok(name));
    }

    /// No bytes make the decoder panic, and a request that was changed anywhere is read as a name of its own or not at all.
    #[test]
    fn any_bytes_are_a_request_or_not(
        bytes in prop::collection::vec(any::<u8>(), 0..2 * MAX_LEN),
        (at, flip) in (any::<prop::sample::Index>(), 1..=u8::MAX),
    ) {
        let _ = SigningRequest::decode(&bytes);
        let mut changed = made(&params(&["rooms.home.example.org"]), &PKCS_ECDSA_P256_SHA256);
        let at = at.index(changed.len());
        changed[at] ^= flip;
        if let Ok(request) = SigningRequest::decode(&changed) {
            prop_assert_eq!(request.der, &changed);
        }
    }
}
