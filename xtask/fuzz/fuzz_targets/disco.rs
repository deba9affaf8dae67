//! Disco: contents, sealed messages changed on their way, what the UDP socket's datagrams are, and messages of a peer that
//! has the keys, into the path machine.
#![no_main]

use libfuzzer_sys::fuzz_target;

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::LazyLock,
    time::{Duration, Instant},
};

use control_protocol::key::DiscoPrivate;
use fuzz::Input;
use node_agent_core::{
    disco::{self, Channel, Message},
    endpoint::is_usable,
    path::{PacketKind, PeerPath, Request, Source},
};
use wireguard_device::wire;

static CHANNELS: LazyLock<[Channel; 2]> = LazyLock::new(|| {
    let keys = [DiscoPrivate::from_bytes([7; 32]), DiscoPrivate::from_bytes([8; 32])];
    [Channel::new(&keys[0], &keys[1].public()), Channel::new(&keys[1], &keys[0].public())]
});

/// What is read is written as it is read; what is not from the peer is not opened, and each datagram is of one kind.
fn contents(bytes: &[u8]) {
    let [one, other] = &*CHANNELS;
    if let Some(message) = Message::decode(bytes) {
        assert_eq!(Message::decode(&message.encode()), Some(message.clone()));
        let mut datagram = one.seal(&message, [9; 24]);
        assert_eq!(wire::classify(&datagram), wire::Message::Disco);
        let before = datagram.clone();
        fuzz::edit(&mut datagram, bytes);
        let opened = other.open(&datagram);
        assert!(opened.is_none() || datagram[38..] == before[38..]);
    }
    assert_eq!(one.open(bytes), None);
    let is_disco = disco::sender(bytes).is_some();
    assert_eq!(wire::classify(bytes) == wire::Message::Disco, is_disco);
}

fn address(input: &mut Input<'_>) -> SocketAddr {
    let ip = match input.byte() {
        0 => [127, 0, 0, 1],
        1 => [100, 64, 0, input.byte()],
        2 => [224, 0, 0, 1],
        3 => [192, 168, 1, input.byte()],
        _ => [198, 51, 100, input.byte() % 32],
    };
    SocketAddr::from((ip, 41641))
}

/// Whatever a peer sends: only an address that answered a ping of ours is direct and used without the relay, few pings are sent,
/// and nothing to a forbidden one.
fn path(input: &mut Input<'_>) {
    let (mut path, mut now) = (PeerPath::new(true), Instant::now());
    let (mut waiting, mut proved) = (Vec::new(), HashSet::new());
    for number in 0..u32::from(input.byte()) {
        let before = waiting.len();
        let mut transaction = [0; 12];
        transaction[..4].copy_from_slice(&number.to_be_bytes());
        match input.byte() % 8 {
            0 => now += Duration::from_millis(u64::from(input.byte()) * 40),
            1 => path.handle_timeout(input.byte() % 4 != 0, now, &mut Vec::new()),
            2 => path.handle_sent_data(now),
            3 => {
                let content = [&[3, 0][..], input.bytes()].concat();
                if let Some(Message::CallMeMaybe(addresses)) = Message::decode(&content) {
                    path.handle_call_me_maybe(&addresses, now);
                }
            }
            4 => {
                let many = vec![address(input); 3];
                path.handle_call_me_maybe(&many, now);
            }
            5 => {
                path.handle_ping(Source::Udp(address(input)), transaction, now);
            }
            6 => {
                path.handle_received(Source::Udp(address(input)), PacketKind::Data, now);
            }
            _ => {
                let at = usize::from(input.byte());
                let (to, asked) = waiting.get(at).copied().unwrap_or((address(input), transaction));
                let from = if input.byte() & 1 == 0 { to } else { address(input) };
                if path.handle_pong(from, asked, now) {
                    assert_eq!(from, to);
                    proved.insert(to);
                }
            }
        }
        let mut count = 0_u8;
        while let Some(request) = path.poll_request() {
            if let Request::Ping(to) = request {
                assert!(is_usable(to), "{to} is pinged");
                count += 1;
                let mut asked = transaction;
                asked[4] = count;
                waiting.push((to, asked));
                path.handle_ping_sent(to, asked, now);
            }
        }
        assert!(waiting.len() - before <= 40);
        let route = path.route();
        let is_proved = |direct| proved.contains(&direct);
        assert!(route.relay || route.direct.is_some_and(is_proved));
        assert!(path.direct().is_none_or(is_proved));
        assert!(route.direct.is_none_or(is_usable));
    }
}

fuzz_target!(|bytes: &[u8]| {
    contents(bytes);
    path(&mut Input::new(bytes));
});
