//! Key configurations of a gateway, alone and in lists.
#![no_main]

use confidential_envelope::{
    Aead,
    ohttp::{
        KeyConfig, Request,
        key_config::{InvalidKeyConfig, MAX_CONFIGS},
    },
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = KeyConfig::decode(bytes) {
        let written = config.encode();
        assert!(written.len() <= bytes.len(), "unknown pairs are left out, and nothing is added");
        assert_eq!((bytes[0], written[0]), (config.key_id(), config.key_id()));
        assert_eq!(KeyConfig::decode(&written).as_ref(), Ok(&config));
        let ciphers = config.aeads();
        assert!(ciphers.first() == Some(&config.preferred()) && ciphers.len() <= 2);
        assert!(ciphers.iter().all(|it| Aead::from_id(it.id()) == Some(*it)));
        // A key may be one that takes no encapsulation, and is refused then.
        if let Ok(request) = Request::new(&config) {
            assert!(request.seal(&b"question".to_vec().into()).is_ok());
        }
        let twice = KeyConfig::encode_list(&[config.clone(), config.clone()]);
        assert_eq!(KeyConfig::decode_list(&twice), Err(InvalidKeyConfig::SameId));
        let once = KeyConfig::encode_list(std::slice::from_ref(&config));
        assert_eq!(KeyConfig::decode_list(&once), Ok(vec![config]));
    }
    if let Ok(list) = KeyConfig::decode_list(bytes) {
        assert!(list.len() <= MAX_CONFIGS);
        for (at, config) in list.iter().enumerate() {
            assert!(list[..at].iter().all(|other| other.key_id() != config.key_id()));
        }
        assert_eq!(KeyConfig::decode_list(&KeyConfig::encode_list(&list)), Ok(list));
    }
});
