//! A stream arrives whole where much is lost and much comes twice.

use lab::{Machine, transfer::Transfer};

use crate::pair::{PORT, Pair, close_relay, is_direct};

const SOME: u64 = 30_000_000;

/// Of what comes over the cable, one datagram in ten is lost; of what goes over it, one in ten goes twice. Datagrams come
/// one by one, so that they are not lost together with those that they were sent with.
pub(crate) fn disturb(machine: &Machine) {
    let script = format!(
        "ip link set eth0 gso_max_segs 1
         nft add table inet loss
         nft 'add chain inet loss in {{ type filter hook input priority 0; }}'
         nft add rule inet loss in iifname eth0 udp dport {PORT} numgen random mod 100 '<' 10 counter drop
         nft add table netdev copies
         nft 'add chain netdev copies out {{ type filter hook egress device eth0 priority 0; }}'
         nft add rule netdev copies out udp dport {PORT} numgen random mod 100 '<' 10 counter dup to eth0"
    );
    machine.sh(&script).unwrap();
}

/// How many times the rules of a table did something.
fn count(machine: &Machine, table: &str) -> u64 {
    let text = machine.sh(&format!("nft list table {table}")).unwrap();
    let number = text.split_once("counter packets ").unwrap().1.split(' ').next().unwrap();
    number.parse().unwrap()
}

#[test]
#[ignore = "needs: root"]
fn a_stream_is_whole_where_much_is_lost_and_much_comes_twice() {
    let pair = Pair::new("loss");
    pair.connect(true, true);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    pair.wait_for(5, is_direct);
    close_relay(&pair);
    let [a, b] = [&pair.a, &pair.b];
    for side in [a, b] {
        disturb(&side.machine);
    }
    let there = Transfer::start(&a.machine, &b.machine, (b.v4, 0).into()).unwrap();
    let back = Transfer::start(&b.machine, &a.machine, (a.v6, 0).into()).unwrap();
    there.finish(SOME).unwrap();
    back.finish(SOME).unwrap();
    for side in [a, b] {
        let [lost, copied] =
            ["inet loss", "netdev copies"].map(|table| count(&side.machine, table));
        assert!(lost > 1000 && copied > 100, "{lost} lost, {copied} sent twice");
    }
}
