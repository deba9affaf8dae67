use proptest::prelude::*;

use super::*;
use crate::fixture::{self, bytes, key, shared};

fn config(key_id: u8, kem: Kem) -> KeyConfig {
    KeyConfig::new(key_id, key(kem, 1).public(), vec![Aead::Aes128Gcm]).unwrap()
}

#[test]
fn the_examples_of_the_rfc_are_read_and_written_the_same() {
    let examples = shared("ohttp-rfc-examples.json");
    for example in ["rfc9458_appendix_a", "chunked_draft08_example"] {
        let encoded = bytes(&examples[example]["key_config"]);
        let config = KeyConfig::decode(&encoded).unwrap();

        assert_eq!((config.key_id(), config.public().kem()), (1, Kem::X25519));
        assert_eq!(config.aeads(), [Aead::Aes128Gcm, Aead::ChaCha20Poly1305]);
        assert_eq!(config.encode(), encoded);
    }
}

#[test]
fn a_list_passes_over_what_it_does_not_know() {
    let known = [config(1, Kem::XWing), config(2, Kem::P256)];
    let mut list = KeyConfig::encode_list(&known[..1]);
    // X25519Kyber768Draft00, and a cipher that is not known here.
    list.extend([0, 5, 9, 0, 0x30, 0, 0]);
    let unknown = [&config(3, Kem::X25519).encode()[..], &[]].concat();
    let at = unknown.len();
    list.extend(u16::try_from(at).unwrap().to_be_bytes());
    list.extend([&unknown[..at - 1], &[9]].concat());
    list.extend(KeyConfig::encode_list(&known[1..]));

    assert_eq!(KeyConfig::decode_list(&list), Ok(known.to_vec()));
    assert_eq!(KeyConfig::decode_list(&[]), Ok(vec![]));
}

#[test]
fn a_list_that_is_cut_doubled_or_too_long_is_refused() {
    let list = KeyConfig::encode_list(&[config(1, Kem::X25519), config(2, Kem::P256)]);
    let ends = [0, 2 + 35 + 2 + 4 + 2 - 2, list.len()];
    for end in 0..list.len() {
        let whole = ends.contains(&end);
        assert_eq!(KeyConfig::decode_list(&list[..end]).is_ok(), whole, "{end}");
    }
    let twice = KeyConfig::encode_list(&[config(1, Kem::X25519), config(1, Kem::P256)]);
    assert_eq!(KeyConfig::decode_list(&twice), Err(InvalidKeyConfig::SameId));
    let many = [0, 3, 0, 0, 0].repeat(MAX_CONFIGS + 1);
    assert_eq!(KeyConfig::decode_list(&many), Err(InvalidKeyConfig::Malformed));
    assert_eq!(KeyConfig::decode_list(&many[5..]), Ok(vec![]));
}

#[test]
fn a_key_without_a_cipher_is_none() {
    assert_eq!(KeyConfig::new(1, key(Kem::X25519, 1).public(), vec![]), None);
    assert_eq!(KeyConfig::new(1, key(Kem::X25519, 1).public(), vec![Aead::Aes256Gcm]), None);
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_the_same_after_they_were_written(
        (cut, noise) in (0..60_usize, prop::collection::vec(any::<u8>(), 0..60)),
    ) {
        let list = fixture::pieces(&[], &KeyConfig::encode_list(&[config(1, Kem::X25519)])).concat();
        let bytes = [&list[..cut.min(list.len())], &noise].concat();
        if let Ok(configs) = KeyConfig::decode_list(&bytes) {
            let again = KeyConfig::decode_list(&KeyConfig::encode_list(&configs));
            prop_assert_eq!(again, Ok(configs));
        }
        let _ = KeyConfig::decode(&noise);
    }
}
