//! 300 MB arrive as they were sent: in both families inside and outside, with all offloads here and all, none or
//! wireguard-go there, in both directions.

use std::net::IpAddr;

use lab::{Machine, Process, transfer::Transfer, wireguard};
use testkit::blocking::eventually;
use wireguard_device::{Offload, Peer, offload::Feature};

use crate::pair::{MTU, PORT, Pair, Relay, Side, cabled, is_direct};

const MANY: u64 = 300_000_000;

/// A machine and its addresses in the tunnel.
type TunnelEnds<'a> = [(&'a Machine, [IpAddr; 2]); 2];

/// There and back, in both families inside.
fn carry([a, b]: TunnelEnds<'_>) {
    for (from, to) in [(a, b), (b, a)] {
        for address in to.1 {
            let stream = Transfer::start(from.0, to.0, (address, 0).into()).unwrap();
            let way = format!("from {} to {address}", from.0.name());
            stream.finish(MANY).unwrap_or_else(|error| panic!("{way}: {error:#}"));
        }
    }
}

/// Between two devices of ours, in both families outside.
fn carry_between(name: &str, offload: [Offload; 2]) {
    for is_v6_outside in [false, true] {
        let pair = Pair::with(name, offload);
        let at = if is_v6_outside { pair.b.under_v6 } else { pair.b.under_v4 };
        pair.a.know_at(&pair.b, vec![at]);
        pair.b.know(&pair.a, false);
        assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
        pair.wait_for(5, is_direct);
        let relayed = pair.relayed();
        carry([&pair.a, &pair.b].map(|side| (&side.machine, [side.v4, side.v6])));
        assert_eq!(pair.relayed(), relayed, "it went directly");
        for (side, wanted) in [(&pair.a, offload[0]), (&pair.b, offload[1])] {
            let in_force = side.device.offload();
            // USO came with Linux 6.2.
            for feature in Feature::ALL.into_iter().filter(|feature| *feature != Feature::Uso) {
                assert_eq!(in_force.has(feature), wanted.has(feature), "{name} {feature:?}");
            }
        }
    }
}

#[test]
#[ignore = "needs: root"]
fn streams_are_whole_from_all_offloads_to_all_and_back() {
    carry_between("autoauto", [Offload::AUTO; 2]);
}

#[test]
#[ignore = "needs: root"]
fn streams_are_whole_from_all_offloads_to_none_and_back() {
    carry_between("autooff", [Offload::AUTO, Offload::OFF]);
}

/// The end of a tunnel that is wireguard-go.
struct WireGuardGo {
    machine: Machine,
    key: [u8; 32],
    v4: IpAddr,
    v6: IpAddr,
    _process: Process,
}

impl WireGuardGo {
    /// Number 2 of a pair; it has one peer, and is told no address of it.
    fn start(machine: Machine, peer: &Side) -> Self {
        const INTERFACE: &str = "wg0";
        let private = [2; 32];
        let secret = boringtun::x25519::StaticSecret::from(private);
        let key = boringtun::x25519::PublicKey::from(&secret).to_bytes();
        let process = wireguard::start(&machine, INTERFACE).unwrap();
        let settings = format!(
            "private_key={}\nlisten_port={PORT}\npublic_key={}\nallowed_ip={}/32\nallowed_ip={}/128",
            hex(&private),
            hex(&peer.key),
            peer.v4,
            peer.v6
        );
        wireguard::set(&machine, INTERFACE, &settings).unwrap();
        let [v4, v6] = ["100.64.0.2", "fd7a:115c:a1e0::2"].map(|address| address.parse().unwrap());
        machine
            .sh(&format!(
                "ip addr add {v4}/10 dev {INTERFACE}; ip addr add {v6}/48 dev {INTERFACE} nodad
                 ip link set {INTERFACE} mtu {MTU} up"
            ))
            .unwrap();
        Self { machine, key, v4, v6, _process: process }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
#[ignore = "needs: root, go"]
fn streams_are_whole_from_all_offloads_to_wireguard_go_and_back() {
    for outside in ["192.168.77.2", "fd00:77::2"] {
        let [a, b] = cabled("autogo");
        let a = Side::start(a, 1, &Relay::start(), Offload::AUTO);
        let b = WireGuardGo::start(b, &a);
        a.device.set_peers(vec![Peer {
            public_key: b.key,
            discovery_key: [0; 32],
            allowed_ips: vec![b.v4.into(), b.v6.into()],
            candidates: vec![(outside.parse::<IpAddr>().unwrap(), PORT).into()],
        }]);
        assert_eq!(a.ping(b.v4, 3), 3);
        eventually("the path is direct", || is_direct(a.path()));
        carry([(&a.machine, [a.v4, a.v6]), (&b.machine, [b.v4, b.v6])]);
        assert!(is_direct(a.path()));
    }
}
