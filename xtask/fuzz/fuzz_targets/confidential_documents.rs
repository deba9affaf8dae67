//! Signed documents of the confidential chain, and the seeds of its keys.
#![no_main]

use common::wire::Fixed;
use confidential_api::{
    bundle::Bundle,
    certificate::Certificate,
    config::Config,
    policy::Policy,
    seeds,
    signed::{Document, Signed},
};
use ed25519_dalek::{Signer as _, SigningKey};
use libfuzzer_sys::fuzz_target;

/// A time at which the documents of the corpus are valid, in milliseconds since 1970.
const NOW: u64 = 1_795_000_000_000;

/// Text is a document or an error; unsigned documents are refused, and decoding is the inverse of encoding.
fn document<T: Document + PartialEq>(text: &str) {
    let identity = SigningKey::from_bytes(&[1; 32]);
    let public = Fixed(identity.verifying_key().to_bytes());
    if let Ok(signed) = Signed::<T>::parse(text.as_bytes()) {
        assert!(Signed::<T>::parse(signed.to_json().as_bytes()).is_ok_and(|again| again == signed));
        assert!(signed.verify(&public, NOW).is_err(), "an unsigned document was accepted");
    }
    // As it would be signed by who may, however strange.
    let message = [b"maru-confidential/1 ", T::KIND.as_bytes(), &[0], text.as_bytes()].concat();
    let signature = Fixed(identity.sign(&message).to_bytes());
    if T::SIGNED_BY.is_none() {
        let signed = Signed::<T>::from_parts(text.to_owned(), signature, None);
        if let Ok(read) = signed.verify(&public, NOW) {
            assert!(read.check().is_ok());
            let again = Signed::sign(&read, &identity, None).unwrap();
            assert!(again.verify(&public, NOW).unwrap() == read);
        }
    }
    fuzz::json::<T>(text.as_bytes());
}

fuzz_target!(|text: &str| {
    document::<Certificate>(text);
    document::<Policy>(text);
    document::<Bundle>(text);
    document::<Config>(text);
    drop(Signed::<Certificate>::from_header(text));
    if let Ok(seeds) = seeds::parse(text) {
        for (place, seed) in seeds.iter().enumerate() {
            assert!(seed.seed.len() >= seeds::SEED_MIN && seed.active_from < seed.active_until);
            assert!(seeds[..place].iter().all(|other| other.key_id != seed.key_id));
        }
        assert!(!seeds.is_empty() && seeds.len() <= 16);
    }
});
