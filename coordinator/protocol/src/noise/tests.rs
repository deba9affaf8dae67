use proptest::prelude::*;

use super::{header::TYPE_RECORD, *};

fn keys() -> (MachinePrivate, MachinePrivate) {
    (MachinePrivate::from_bytes([3; 32]), MachinePrivate::from_bytes([4; 32]))
}

#[test]
fn a_handshake_joins_client_and_coordinator() {
    let (client, server) = keys();
    let (initiator, init) = Initiator::new(&client, &server.public(), 130).unwrap();
    assert_eq!(init[..5], [0, 130, 1, 0, 96]);

    let accepted = respond(&server, &init).unwrap();
    assert_eq!(accepted.machine, client.public());
    assert_eq!(accepted.version, 130);
    assert_eq!(accepted.response[..3], [2, 0, 48]);
    let mut near = initiator.finish(&accepted.response).unwrap();
    let mut far = accepted.transport;

    let mut frame = Vec::new();
    near.seal(b"to the coordinator", &mut frame).unwrap();
    assert_eq!(far.open(&frame).unwrap(), b"to the coordinator");
    frame.clear();
    far.seal(b"to the client", &mut frame).unwrap();
    assert_eq!(near.open(&frame).unwrap(), b"to the client");
}

#[test]
fn a_coordinator_with_another_key_cannot_answer() {
    let (client, server) = keys();
    let other = MachinePrivate::from_bytes([5; 32]);
    let (_, init) = Initiator::new(&client, &server.public(), 130).unwrap();

    assert_eq!(respond(&other, &init).unwrap_err(), NoiseError::Handshake);
}

#[test]
fn a_response_from_another_handshake_is_refused() {
    let (client, server) = keys();
    let (initiator, _) = Initiator::new(&client, &server.public(), 130).unwrap();
    let (_, init) = Initiator::new(&client, &server.public(), 130).unwrap();
    let accepted = respond(&server, &init).unwrap();

    assert_eq!(initiator.finish(&accepted.response).unwrap_err(), NoiseError::Handshake);
}

#[test]
fn the_version_is_bound_into_the_handshake() {
    let (client, server) = keys();
    let (_, mut init) = Initiator::new(&client, &server.public(), 130).unwrap();
    init[1] = 113;

    assert_eq!(respond(&server, &init).unwrap_err(), NoiseError::Handshake);
}

#[test]
fn a_machine_key_that_needs_no_private_key_is_refused() {
    let (_, server) = keys();
    let honest = MachinePrivate::from_bytes([3; 32]);
    let shared = x25519_dalek::x25519(*honest.as_bytes(), *server.public().as_bytes());

    let accepted =
        respond(&server, &init_by_hand(&server.public(), honest.public().as_bytes(), &shared))
            .unwrap();
    assert_eq!(accepted.machine, honest.public());
    let zero_point = init_by_hand(&server.public(), &[0; 32], &[0; 32]);
    assert_eq!(respond(&server, &zero_point).unwrap_err(), NoiseError::Handshake);
}

/// The frame with which a coordinator refuses a handshake.
fn refusal(hint: &str) -> Vec<u8> {
    let [high, low] = u16::try_from(hint.len()).unwrap().to_be_bytes();
    [&[3, high, low], hint.as_bytes()].concat()
}

#[test]
fn a_refusal_is_passed_on_in_the_coordinators_words() {
    let (client, server) = keys();
    let (initiator, _) = Initiator::new(&client, &server.public(), 130).unwrap();
    let frame = refusal("come\nback later");

    assert_eq!(Initiator::response_len([frame[0], frame[1], frame[2]]), Ok(frame.len()));
    assert_eq!(
        initiator.finish(&frame).unwrap_err(),
        NoiseError::Refused("come back later".to_owned())
    );
}

#[test]
fn a_response_of_another_length_is_not_waited_for() {
    let len = |kind, len: u16| {
        let [high, low] = len.to_be_bytes();
        Initiator::response_len([kind, high, low])
    };
    assert_eq!(len(TYPE_RESPONSE, 48), Ok(RESPONSE_LEN));
    for wrong in [0, 47, 49, u16::MAX] {
        assert_eq!(len(TYPE_RESPONSE, wrong), Err(NoiseError::Malformed));
    }
    assert!(len(TYPE_ERROR, 4096 - 3).is_ok());
    assert_eq!(len(TYPE_ERROR, 4096 - 2), Err(NoiseError::Malformed));
    assert_eq!(len(TYPE_RECORD, 48), Err(NoiseError::Malformed));
}

proptest! {
    /// One changed bit in either message ends the handshake.
    #[test]
    fn a_changed_bit_ends_the_handshake(at in any::<prop::sample::Index>(), bit in 0..8_u8, in_response in any::<bool>()) {
        let (client, server) = keys();
        let (initiator, mut init) = Initiator::new(&client, &server.public(), 130).unwrap();
        let mask = 1 << bit;

        if in_response {
            let mut accepted = respond(&server, &init).unwrap();
            let at = at.index(RESPONSE_LEN);
            // X25519 ignores the top bit of a point, but the transcript does not.
            accepted.response[at] ^= mask;
            prop_assert!(initiator.finish(&accepted.response).is_err());
        } else {
            init[at.index(INIT_LEN)] ^= mask;
            prop_assert!(respond(&server, &init).is_err());
        }
    }

    /// Any bytes are refused without a panic, on both sides.
    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), header in any::<[u8; 3]>()) {
        let (client, server) = keys();
        let (initiator, _) = Initiator::new(&client, &server.public(), 130).unwrap();

        prop_assert!(respond(&server, &bytes).is_err());
        prop_assert!(initiator.finish(&bytes).is_err());
        if let Ok(len) = Initiator::response_len(header) {
            prop_assert!(len <= MAX_FRAME_LEN);
        }
    }

    /// Any payload of the right size and type is refused too.
    #[test]
    fn any_payload_is_refused(payload in prop::collection::vec(any::<u8>(), 96), version in any::<u16>()) {
        let (client, server) = keys();
        let mut init = version.to_be_bytes().to_vec();
        init.extend_from_slice(&[1, 0, 96]);
        init.extend_from_slice(&payload);
        prop_assert_eq!(respond(&server, &init).unwrap_err(), NoiseError::Handshake);

        let (initiator, _) = Initiator::new(&client, &server.public(), version).unwrap();
        let mut response = vec![2, 0, 48];
        response.extend_from_slice(&payload[..48]);
        prop_assert_eq!(initiator.finish(&response).unwrap_err(), NoiseError::Handshake);
    }
}

/// Runs the initiator's half of `IK` by hand, with any static key and the secret it is said to share.
fn init_by_hand(
    server: &MachinePublic,
    public_key: &[u8; 32],
    shared_static: &[u8; 32],
) -> Vec<u8> {
    use snow::resolvers::{CryptoResolver, DefaultResolver};

    let resolver = DefaultResolver;
    let params: snow::params::NoiseParams = PROTOCOL.parse().unwrap();
    let mut hasher = resolver.resolve_hash(&params.hash).unwrap();
    let mut cipher = resolver.resolve_cipher(&params.cipher).unwrap();
    let ephemeral = MachinePrivate::from_bytes([9; 32]);
    let public = ephemeral.public();

    let mut hash = digest(&mut *hasher, &[PROTOCOL.as_bytes()]);
    let mut chain = hash;
    hash = digest(&mut *hasher, &[&hash, prologue(130).as_bytes()]);
    hash = digest(&mut *hasher, &[&hash, server.as_bytes()]);
    hash = digest(&mut *hasher, &[&hash, public.as_bytes()]);
    let shared = x25519_dalek::x25519(*ephemeral.as_bytes(), *server.as_bytes());
    let key = mix(&mut *hasher, &mut chain, &shared);
    cipher.set(&key);
    let mut sealed = [0; 48];
    cipher.encrypt(0, &hash, public_key, &mut sealed);
    hash = digest(&mut *hasher, &[&hash, &sealed]);
    let key = mix(&mut *hasher, &mut chain, shared_static);
    cipher.set(&key);
    let mut tag = [0; 16];
    cipher.encrypt(0, &hash, &[], &mut tag);

    [&[0, 130, 1, 0, 96][..], public.as_bytes(), &sealed, &tag].concat()
}

fn digest(hasher: &mut dyn snow::types::Hash, parts: &[&[u8]]) -> [u8; 32] {
    let mut out = [0; 32];
    hasher.reset();
    parts.iter().for_each(|part| hasher.input(part));
    hasher.result(&mut out);
    out
}

fn mix(hasher: &mut dyn snow::types::Hash, chain: &mut [u8; 32], input: &[u8; 32]) -> [u8; 32] {
    let (mut next, mut key) = ([0; 64], [0; 64]);
    hasher.hkdf(chain, input, 2, &mut next, &mut key, &mut []);
    chain.copy_from_slice(&next[..32]);
    key[..32].try_into().unwrap()
}
