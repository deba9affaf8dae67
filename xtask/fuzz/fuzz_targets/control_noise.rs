//! The Noise channel on both sides, with real keys: what was changed on its way is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

use std::sync::LazyLock;

use control_protocol::{
    key::{MachinePrivate, MachinePublic, NodePublic},
    noise::{self, Accepted, HEADER_LEN, Initiator, Transport, early},
};
use control_stream::{client, server::Handshake};
use fuzz::Input;

static CLIENT: LazyLock<MachinePrivate> = LazyLock::new(|| MachinePrivate::generate().unwrap());
static SERVER: LazyLock<MachinePrivate> = LazyLock::new(|| MachinePrivate::generate().unwrap());

/// Arbitrary bytes authenticate neither a client nor the coordinator.
fn strangers(bytes: &[u8]) {
    assert!(noise::respond(&SERVER, bytes).is_err());
    assert!(Handshake::from_header(bytes, &SERVER).is_err());
    if let Ok(Some(len)) = client::parse_head(bytes) {
        assert!(len <= bytes.len());
    }
    if let Some(header) = bytes.first_chunk() {
        drop(early::payload_len(*header));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = (text.parse::<NodePublic>(), text.parse::<MachinePublic>());
    }
}

/// A handshake whose messages may be changed; the channel, if both sides got through.
fn handshake(input: &mut Input<'_>) -> Option<(Transport, Transport)> {
    let (initiator, init) = Initiator::new(&CLIENT, &SERVER.public(), 130).unwrap();
    let mut received = init.to_vec();
    fuzz::edit(&mut received, input.bytes());
    let accepted = noise::respond(&SERVER, &received);
    assert_eq!(accepted.is_ok(), received == init);
    let Accepted { response, transport, machine, version } = accepted.ok()?;
    assert_eq!((machine, version), (CLIENT.public(), 130));
    let mut received = response.to_vec();
    fuzz::edit(&mut received, input.bytes());
    if let Some(header) = received.first_chunk() {
        drop(Initiator::response_len(*header));
    }
    let finished = initiator.finish(&received);
    assert_eq!(finished.is_ok(), received == response);
    Some((finished.ok()?, transport))
}

/// Records on a wire that changes, leaves out, repeats: those opened are the first ones sent.
fn records(input: &mut Input<'_>, mut from: Transport, mut to: Transport) {
    let sent: Vec<&[u8]> = (0..input.below(6)).map(|_| input.bytes()).collect();
    let mut wire = Vec::new();
    sent.iter().for_each(|record| from.seal(record, &mut wire).unwrap());
    let before = wire.clone();
    fuzz::edit(&mut wire, input.rest());
    let mut opened = 0;
    let mut rest = wire.as_slice();
    while let Some(header) = rest.first_chunk::<HEADER_LEN>() {
        let Ok(len) = noise::frame_len(*header) else { break };
        let Some((frame, more)) = rest.split_at_checked(len) else { break };
        rest = more;
        let Ok(text) = to.open(frame) else {
            assert!(to.open(frame).is_err(), "a broken channel goes on");
            break;
        };
        assert_eq!(Some(&text.as_slice()), sent.get(opened));
        opened += 1;
    }
    assert!(opened == sent.len() || wire != before);
}

fuzz_target!(|bytes: &[u8]| {
    strangers(bytes);
    let mut input = Input::new(bytes);
    if let Some((client, server)) = handshake(&mut input) {
        if input.byte() & 1 == 0 {
            records(&mut input, client, server);
        } else {
            records(&mut input, server, client);
        }
    }
});
