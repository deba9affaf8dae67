//! A deployment's policy as it is published, and a home's pin.
#![no_main]

use attestation::{EffectivePolicy, Pin};
use common::wire::Fixed;
use confidential_api::{policy::Policy, signed::Signed};
use ed25519_dalek::SigningKey;
use fuzz::Input;
use libfuzzer_sys::fuzz_target;

const GENUINE: &str = r#"{"version":1,"policy_id":"2026-11","epoch":3,"not_after":1798761600000,"simulated":true,
"anchors":[{"name":"lab","kind":"nitro","certificate":"AQID"},{"name":"tpm","kind":"tpm","key":"AQID"}],
"images":[{"name":"image","kind":"tpm","models":["model"],"pcrs":{"7":"0000000000000000000000000000000000000000000000000000000000000000"},"rek":"p-256"}]}"#;

fn sign(payload: &str) -> (Signed<Policy>, Pin) {
    use ed25519_dalek::Signer as _;
    let identity = SigningKey::from_bytes(&[5; 32]);
    let message = [b"maru-confidential/1 policy\0", payload.as_bytes()].concat();
    let signature = Fixed(identity.sign(&message).to_bytes());
    let pin = Pin {
        identity: Fixed(identity.verifying_key().to_bytes()),
        anchors: Vec::new(),
        images: None,
        min_epoch: 0,
    };
    (Signed::from_parts(payload.to_owned(), signature, None), pin)
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    match input.byte() % 3 {
        // Changed after it was signed.
        0 => {
            let (genuine, pin) = sign(GENUINE);
            let mut text = genuine.to_json().into_bytes();
            fuzz::edit(&mut text, input.rest());
            let Ok(signed) = Signed::<Policy>::parse(&text) else { return };
            let is_same = signed.payload == genuine.payload
                && signed.signature == genuine.signature
                && signed.certificate.is_none();
            assert_eq!(EffectivePolicy::new(pin, signed, None, 0).is_ok(), is_same);
        }
        // Signed, whatever it says.
        1 => {
            let mut text = GENUINE.as_bytes().to_vec();
            fuzz::edit(&mut text, input.rest());
            let Ok(text) = String::from_utf8(text) else { return };
            let (signed, pin) = sign(&text);
            let Ok(effective) = EffectivePolicy::new(pin.clone(), signed.clone(), None, 0) else {
                return;
            };
            let seen = effective.seen();
            let _ = effective.wider_than_pin();
            assert!(EffectivePolicy::new(pin, signed, Some(&seen), 0).is_ok(), "it follows itself");
        }
        _ => drop(fuzz::json::<Pin>(input.rest())),
    }
});
