use proptest::prelude::*;

use super::*;
use crate::{
    client::{Handshake, Step},
    frame::decode,
};

fn keys() -> (NodePrivate, NodePrivate) {
    (NodePrivate::from_bytes([1; 32]), NodePrivate::from_bytes([2; 32]))
}

/// Gives the relay's greeting to a client and returns what it sends.
fn greet(client: &mut Handshake, relay: &NodePublic) -> Vec<u8> {
    let greeting = greeting(relay).unwrap();
    let Step::Send(answer) =
        client.handle_frame(&decode(&greeting).unwrap().unwrap().0, [3; NONCE_LEN]).unwrap()
    else {
        panic!("the client answers the relay's key");
    };
    answer
}

#[test]
fn both_sides_prove_their_keys() {
    let (node, relay) = keys();
    let mut client = Handshake::new(node.clone(), ClientInfo::default());
    let limits = ServerInfo { bytes_per_second: 1000, bytes_burst: 10, ..ServerInfo::default() };

    let hello = greet(&mut client, &relay.public());
    let accepted =
        handle_client_info(&relay, &decode(&hello).unwrap().unwrap().0, &limits, [4; NONCE_LEN])
            .unwrap();
    assert_eq!((accepted.key, accepted.info), (node.public(), ClientInfo::default()));

    assert_eq!(client.handle_frame(&Frame::KeepAlive, [0; NONCE_LEN]), Ok(Step::Wait));
    let done = client.handle_frame(&decode(&accepted.answer).unwrap().unwrap().0, [0; NONCE_LEN]);
    assert_eq!(done, Ok(Step::Done { server: relay.public(), info: limits }));
}

#[test]
fn a_client_cannot_name_another_nodes_key() {
    let (node, relay) = keys();
    let hello = greet(&mut Handshake::new(node, ClientInfo::default()), &relay.public());
    let Frame::ClientInfo { sealed, .. } = decode(&hello).unwrap().unwrap().0 else {
        panic!("a ClientInfo")
    };

    for key in [NodePrivate::from_bytes([9; 32]).public(), NodePublic::default()] {
        let forged = Frame::ClientInfo { key, sealed };
        assert_eq!(
            handle_client_info(&relay, &forged, &ServerInfo::default(), [0; NONCE_LEN]),
            Err(HandshakeError::Key)
        );
    }
}

#[test]
fn a_key_that_everyone_has_is_nobodys() {
    let (node, relay) = keys();
    // What a box for the zero key is sealed with is known to all.
    let zero = NodePublic::default();
    let sealed = handshake::seal(&node, &zero, [0; NONCE_LEN], &ClientInfo::default()).unwrap();
    let forged = Frame::ClientInfo { key: zero, sealed: &sealed };

    assert_eq!(
        handle_client_info(&relay, &forged, &ServerInfo::default(), [0; NONCE_LEN]),
        Err(HandshakeError::Key)
    );
    let mut client = Handshake::new(node, ClientInfo::default());
    let shown = Frame::ServerKey { key: zero };
    let unexpected = Err(HandshakeError::Unexpected { kind: shown.kind() });
    assert_eq!(client.handle_frame(&shown, [0; NONCE_LEN]), unexpected);
}

#[test]
fn a_relay_shows_its_key_once() {
    let (node, relay) = keys();
    let mut client = Handshake::new(node, ClientInfo::default());
    let _ = greet(&mut client, &relay.public());

    let other = Frame::ServerKey { key: NodePrivate::from_bytes([9; 32]).public() };
    let unexpected = Err(HandshakeError::Unexpected { kind: other.kind() });
    assert_eq!(client.handle_frame(&other, [0; NONCE_LEN]), unexpected);
}

#[test]
fn a_relay_without_its_key_is_noticed() {
    let (node, relay) = keys();
    let mut client = Handshake::new(node.clone(), ClientInfo::default());
    let _ = greet(&mut client, &relay.public());
    let other = NodePrivate::from_bytes([5; 32]);
    let sealed =
        handshake::seal(&other, &node.public(), [0; NONCE_LEN], &ServerInfo::default()).unwrap();

    assert_eq!(
        client.handle_frame(&Frame::ServerInfo { sealed: &sealed }, [0; NONCE_LEN]),
        Err(HandshakeError::Key)
    );
}

#[test]
fn another_version_is_named() {
    let (node, relay) = keys();
    let old = ClientInfo { version: 1, ..ClientInfo::default() };
    let hello = greet(&mut Handshake::new(node, old), &relay.public());

    let answer = handle_client_info(
        &relay,
        &decode(&hello).unwrap().unwrap().0,
        &ServerInfo::default(),
        [0; NONCE_LEN],
    );

    assert_eq!(answer, Err(HandshakeError::Version { version: 1 }));

    let (node, relay) = keys();
    let old = ServerInfo { version: 3, ..ServerInfo::default() };
    let mut client = Handshake::new(node.clone(), ClientInfo::default());
    let _ = greet(&mut client, &relay.public());
    let sealed = handshake::seal(&relay, &node.public(), [0; NONCE_LEN], &old).unwrap();
    assert_eq!(
        client.handle_frame(&Frame::ServerInfo { sealed: &sealed }, [0; NONCE_LEN]),
        Err(HandshakeError::Version { version: 3 })
    );
}

#[test]
fn what_stock_clients_say_of_themselves_is_read() {
    let go: ClientInfo = serde_json::from_str(r#"{"version":2,"CanAckPings":true}"#).unwrap();
    let rust: ClientInfo = serde_json::from_str(
        r#"{"meshKey":"none","version":2,"CanAckPings":false,"IsProber":false}"#,
    )
    .unwrap();

    assert!(go.can_ack_pings && !rust.can_ack_pings);
    assert_eq!(serde_json::to_string(&ServerInfo::default()).unwrap(), r#"{"version":2}"#);
}

proptest! {
    /// Any box is refused by both sides, at any point.
    #[test]
    fn any_box_is_refused(key in any::<[u8; 32]>(), sealed in prop::collection::vec(any::<u8>(), 0..120)) {
        let (node, relay) = keys();
        let forged = Frame::ClientInfo { key: NodePublic::from_bytes(key), sealed: &sealed };
        prop_assert!(handle_client_info(&relay, &forged, &ServerInfo::default(), [0; NONCE_LEN]).is_err());

        let mut client = Handshake::new(node, ClientInfo::default());
        let frame = Frame::ServerInfo { sealed: &sealed };
        prop_assert!(client.handle_frame(&frame, [0; NONCE_LEN]).is_err(), "before the greeting");
        let _ = greet(&mut client, &relay.public());
        prop_assert_eq!(client.handle_frame(&frame, [0; NONCE_LEN]), Err(HandshakeError::Key));
    }
}
