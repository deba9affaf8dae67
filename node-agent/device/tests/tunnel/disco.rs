//! Paths by disco: two devices that have each other's disco key, and whoever else sends such messages.

use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use control_protocol::key::{DiscoPrivate, NodePublic};
use node_agent_core::disco::{Channel, Message};
use testkit::blocking::eventually;
use wireguard_device::Path;

use crate::pair::{Pair, Side, is_direct};

const PINGS: u16 = 100;

/// A socket on B's machine that knows B's secrets.
struct Impostor {
    socket: UdpSocket,
    channel: Channel,
    to: SocketAddr,
    nonce: u8,
}

impl Impostor {
    fn new(pair: &Pair, own: &DiscoPrivate) -> Self {
        let socket = pair.b.machine.in_network(|| UdpSocket::bind("192.168.77.2:0")).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let channel = Channel::new(own, &pair.a.discovery.public());
        Self { socket, channel, to: pair.a.under_v4, nonce: 0 }
    }

    /// A ping in the name of a node.
    fn ping(&mut self, transaction: u16, node: [u8; 32]) -> Vec<u8> {
        self.nonce = self.nonce.wrapping_add(1);
        let mut id = [7; 12];
        id[..2].copy_from_slice(&transaction.to_be_bytes());
        let ping = Message::Ping { transaction: id, node: NodePublic::from_bytes(node) };
        self.channel.seal(&ping, [self.nonce; 24])
    }

    fn send(&self, datagram: &[u8]) {
        self.socket.send_to(datagram, self.to).unwrap();
    }

    /// How many pongs, and how many pings, come until nothing more does.
    fn received(&self) -> (usize, usize) {
        let (mut pongs, mut pings, mut buffer) = (0, 0, [0; 2048]);
        while let Ok((len, from)) = self.socket.recv_from(&mut buffer) {
            assert_eq!(from, self.to);
            match self.channel.open(&buffer[..len]) {
                Some(Message::Pong { seen, .. }) => {
                    assert_eq!(seen, self.socket.local_addr().unwrap());
                    pongs += 1;
                }
                Some(Message::Ping { .. }) => pings += 1,
                other => panic!("{other:?}"),
            }
        }
        (pongs, pings)
    }
}

fn discovery_drops(side: &Side) -> u64 {
    side.device.drops()["discovery"]
}

#[test]
#[ignore = "needs: root"]
fn one_side_that_knows_an_address_is_enough_and_nothing_is_lost() {
    let pair = Pair::new("disco");
    pair.a.know_by_disco(&pair.b, vec![pair.b.under_v4]);
    pair.b.know_by_disco(&pair.a, vec![]);
    assert_eq!(pair.a.ping(pair.b.v4, PINGS), u32::from(PINGS));
    pair.wait_for(20, is_direct);
    assert_eq!(pair.a.path(), Path::Direct(pair.b.under_v4));
    assert_eq!(pair.b.path(), Path::Direct(pair.a.under_v4), "learnt from the ping alone");
}

/// Neither knows an address; each learns the other's from its call-me-maybe over the relay.
#[test]
#[ignore = "needs: root"]
fn a_call_me_maybe_over_the_relay_is_enough_and_a_broken_path_is_left_and_found_again() {
    let pair = Pair::new("call");
    pair.a.device.set_endpoints(vec![pair.a.under_v4]);
    pair.a.know_by_disco(&pair.b, vec![]);
    pair.b.know_by_disco(&pair.a, vec![]);
    assert_eq!(pair.a.ping(pair.b.v4, 5), 5);
    pair.wait_for(20, is_direct);

    pair.b.machine.sh("nft add table ip closed; nft 'add chain ip closed in { type filter hook input priority 0; }'; nft add rule ip closed in udp dport 41641 drop").unwrap();
    let answered = pair.a.ping(pair.b.v4, PINGS);
    assert!(answered >= u32::from(PINGS) - 35, "{answered} of {PINGS}: out for more than 3.5 s");
    pair.wait_for(20, |path| path == Path::Relay);
    pair.b.machine.sh("nft flush ruleset").unwrap();
    pair.a.device.handle_network_change();
    assert_eq!(pair.a.ping(pair.b.v4, 30), 30);
    pair.wait_for(20, is_direct);
}

#[test]
#[ignore = "needs: root"]
fn a_peer_that_starts_again_has_another_key_and_is_found_again() {
    let mut pair = Pair::new("rekeyed");
    pair.a.know_by_disco(&pair.b, vec![pair.b.under_v4]);
    pair.b.know_by_disco(&pair.a, vec![pair.a.under_v4]);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    pair.wait_for(20, is_direct);
    pair.b.discovery = DiscoPrivate::from_bytes([33; 32]);
    pair.a.know_by_disco(&pair.b, vec![pair.b.under_v4]);
    assert_eq!(pair.a.path(), Path::Relay, "nothing is known of who has the new key");
    assert_eq!(pair.a.ping(pair.b.v4, 10), 10);
    assert_eq!(pair.a.path(), Path::Relay, "B does not have it");
}

#[test]
#[ignore = "needs: root"]
fn a_strangers_disco_gets_no_answer_and_neither_does_a_copy() {
    let pair = Pair::new("stranger");
    pair.a.know_by_disco(&pair.b, vec![]);
    let mut stranger = Impostor::new(&pair, &DiscoPrivate::from_bytes([77; 32]));
    let before = discovery_drops(&pair.a);
    for number in 0..20 {
        let datagram = stranger.ping(number, pair.b.key);
        stranger.send(&datagram);
    }
    assert_eq!(stranger.received(), (0, 0));
    eventually("all are counted", || discovery_drops(&pair.a) == before + 20);

    let mut peer = Impostor::new(&pair, &pair.b.discovery);
    // Its header is changed to B's key, which the stranger has seen.
    let mut forged = stranger.ping(30, pair.b.key);
    forged[6..38].copy_from_slice(pair.b.discovery.public().as_bytes());
    peer.send(&forged);
    // Sealed by B, in the name of somebody else.
    let others = peer.ping(31, [9; 32]);
    peer.send(&others);
    assert_eq!(peer.received(), (0, 0));

    // The control: B's own is answered, and asked back; its copy is not.
    let ping = peer.ping(32, pair.b.key);
    peer.send(&ping);
    assert_eq!(peer.received(), (1, 1));
    peer.send(&ping);
    assert_eq!(peer.received(), (0, 0));
    assert_eq!(pair.a.path(), Path::None, "an address that does not answer is none");
}

/// The relay says that what B sealed came from another node, and a call-me-maybe comes by UDP.
#[test]
#[ignore = "needs: root"]
fn a_relay_that_swaps_senders_and_a_call_me_maybe_by_udp_are_not_heeded() {
    let pair = Pair::new("swapped");
    pair.a.know_by_disco(&pair.b, vec![]);
    let mut b = Impostor::new(&pair, &pair.b.discovery);
    let call = Message::CallMeMaybe(vec![b.socket.local_addr().unwrap()]);
    let call = b.channel.seal(&call, [1; 24]);
    let ping = b.ping(1, pair.b.key);
    let delivered = || pair.relay.delivered.load(std::sync::atomic::Ordering::Relaxed);
    let before = delivered();

    pair.a.device.handle_relayed(&[9; 32], &call);
    pair.a.device.handle_relayed(&[9; 32], &ping);
    b.send(&call);
    assert_eq!(b.received(), (0, 0));
    assert_eq!(delivered(), before, "nobody is answered over the relay");

    // The control: B is heeded.
    pair.a.device.handle_relayed(&pair.b.key, &call);
    pair.a.device.handle_relayed(&pair.b.key, &ping);
    assert_eq!(b.received(), (0, 1));
    eventually("a pong over the relay", || delivered() > before);
}

/// B's key sends as much as it can, while A and B talk.
#[test]
#[ignore = "needs: root"]
fn a_flood_of_disco_is_answered_within_a_budget_and_loses_no_packet_of_the_tunnel() {
    let pair = Pair::new("flood");
    pair.a.know_by_disco(&pair.b, vec![pair.b.under_v4]);
    pair.b.know_by_disco(&pair.a, vec![pair.a.under_v4]);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    pair.wait_for(20, is_direct);

    let mut flood = Impostor::new(&pair, &pair.b.discovery);
    let before = discovery_drops(&pair.a);
    let datagrams: Vec<_> = (0..5000).map(|number| flood.ping(number, pair.b.key)).collect();
    std::thread::scope(|scope| {
        let pings = scope.spawn(|| pair.a.ping(pair.b.v4, PINGS));
        for datagram in &datagrams {
            flood.send(datagram);
        }
        assert_eq!(pings.join().unwrap(), u32::from(PINGS));
    });
    let (pongs, pings) = flood.received();
    // 64 at once and 20 a second.
    assert!((64..64 + 20 * 30).contains(&pongs), "{pongs} pongs to 5000 pings");
    assert!(pings <= 100, "{pings} pings to an address that never answers");
    // 400 of a source are opened at once, and 100 a second.
    let unopened = discovery_drops(&pair.a) - before;
    assert!(unopened >= 2000, "{unopened} were dropped unopened");
    assert_eq!(pair.a.path(), Path::Direct(pair.b.under_v4));
}
