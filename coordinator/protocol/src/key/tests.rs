use proptest::prelude::*;

use super::*;

proptest! {
    /// Keys are read as they are written, in text and in JSON, and by their own kind only.
    #[test]
    fn keys_are_read_as_written(bytes in any::<[u8; KEY_LEN]>()) {
        let key = NodePublic::from_bytes(bytes);
        let text = key.to_string();

        prop_assert_eq!(text.len(), "nodekey:".len() + 64);
        prop_assert_eq!(text.parse(), Ok(key));
        prop_assert_eq!(serde_json::from_str::<NodePublic>(&serde_json::to_string(&key).unwrap()).unwrap(), key);
        prop_assert!(text.parse::<MachinePublic>().is_err());
        prop_assert!(text.parse::<DiscoPublic>().is_err());

        let private = NodePrivate::from_bytes(bytes);
        prop_assert_eq!(private.to_text().parse(), Ok(private.clone()));
        prop_assert_eq!(serde_json::from_str::<NodePrivate>(&serde_json::to_string(&private).unwrap()).unwrap(), private);
    }

    /// Any text is read or refused, and what is read is what was written but for the case of digits.
    #[test]
    fn any_text_is_read_or_refused(text in prop_oneof![any::<String>(), "(mkey:|privkey:)[0-9a-fA-F]{62,66}"]) {
        if let Ok(key) = text.parse::<MachinePublic>() {
            prop_assert_eq!(key.to_string(), text.to_lowercase());
        }
        if let Ok(key) = text.parse::<MachinePrivate>() {
            prop_assert_eq!(key.public(), key.to_text().parse::<MachinePrivate>().unwrap().public());
        }
        let _ = serde_json::from_slice::<NodePublic>(text.as_bytes());
    }
}

#[test]
fn the_public_half_is_that_of_rfc_7748() {
    // RFC 7748, section 6.1: Alice's keys.
    let mut bytes = [0; KEY_LEN];
    hex::decode_to_slice(
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        &mut bytes,
    )
    .unwrap();

    let public = MachinePrivate::from_bytes(bytes).public();

    assert_eq!(
        public.to_string(),
        "mkey:8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    );
}

#[test]
fn new_keys_differ_and_debug_hides_private_ones() {
    let (first, second) = (NodePrivate::generate().unwrap(), NodePrivate::generate().unwrap());

    assert_ne!(first, second);
    assert_eq!(format!("{first:?}"), "NodePrivate([redacted])");
}

#[test]
fn errors_say_what_is_wrong() {
    assert_eq!(
        "nodekey:00".parse::<MachinePublic>().unwrap_err().to_string(),
        "key does not start with `mkey:`"
    );
    assert_eq!("mkey:0".parse::<MachinePublic>().unwrap_err(), KeyError::Digits);
    assert!(NodePublic::default().is_zero());
}
