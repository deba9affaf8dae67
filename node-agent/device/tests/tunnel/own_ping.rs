//! Pings that the nodes themselves answer.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use node_agent_core::path::Source;

use crate::pair::{Pair, Side, is_direct};

/// The path of the answer, if one comes.
fn pinged(from: &Side, to: &Side, v6: bool) -> Option<Source> {
    let (sender, answers) = mpsc::channel();
    let (own, other) = if v6 { (from.v6, to.v6) } else { (from.v4, to.v4) };
    let _ping = from.device.ping(own, other, move |path| {
        let _ = sender.send(path);
    })?;
    answers.recv_timeout(Duration::from_secs(10)).ok()
}

#[test]
#[ignore = "needs: root"]
fn a_ping_needs_no_rule_and_says_on_which_path_its_answer_came() {
    let pair = Pair::new("own-ping");
    assert_eq!(pinged(&pair.a, &pair.b, false), None, "no peer has the address");
    pair.connect(false, false);
    for side in [&pair.a, &pair.b] {
        side.allow(&[]);
    }
    for v6 in [false, true] {
        assert_eq!(pinged(&pair.a, &pair.b, v6), Some(Source::Relay));
    }
    assert_eq!(pair.a.ping(pair.b.v4, 2), 0, "the filter is closed to the machine's pings");

    pair.connect(true, true);
    pair.wait_for(20, is_direct);
    assert_eq!(pinged(&pair.a, &pair.b, false), Some(Source::Udp(pair.b.under_v4)));
    assert_eq!(pinged(&pair.b, &pair.a, true), Some(Source::Udp(pair.a.under_v4)));

    pair.b.device.set_peers(vec![]);
    let (sender, answers) = mpsc::channel();
    let ping = pair.a.device.ping(pair.a.v4, pair.b.v4, move |path| {
        let _ = sender.send(path);
    });
    assert!(answers.recv_timeout(Duration::from_secs(1)).is_err(), "a removed peer is answered");
    drop(ping);
}

#[test]
#[ignore = "needs: root"]
fn a_flood_of_pings_is_bounded_and_stops_no_packet() {
    let pair = Pair::new("own-flood");
    pair.connect(true, true);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    pair.wait_for(20, is_direct);
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        let _sent = pair.a.device.ping(pair.a.v4, pair.b.v4, |_| ());
    }
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    assert!(matches!(pinged(&pair.a, &pair.b, false), Some(Source::Udp(_))));
}
