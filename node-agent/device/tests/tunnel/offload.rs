//! Streams arrive whole with offloads and without, also where the path does not take them.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use lab::{Machine, transfer::Transfer};
use testkit::blocking::eventually;
use wireguard_device::{Offload, offload::Feature};

use crate::pair::{Pair, close_relay, echo_stream, is_direct};

/// Bytes of a transfer.
const MANY: usize = 16 << 20;
/// Most sends of one batch: all of them are made before it is known that one was refused.
const OF_ONE_BATCH: u64 = 64;
/// Narrower than the datagrams of full packets.
const NARROW: &str = "mtu 1300";

#[test]
#[ignore = "needs: root"]
fn each_offload_works_alone() {
    for feature in Feature::ALL {
        let one = Offload::from_iter([feature]);
        let pair = Pair::with("alone", [one; 2]);
        pair.connect(true, true);
        pair.b.serve_echo(7000);
        for to in [pair.b.v4, pair.b.v6] {
            echo_stream(&pair.a.dial(to, 7000, 30).unwrap(), MANY / 8);
        }
    }
}

#[test]
#[ignore = "needs: root"]
fn datagrams_keep_their_bounds_in_a_burst() {
    let pair = Pair::new("bounds");
    pair.connect(true, true);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    pair.wait_for(5, is_direct);
    for to in [pair.b.v4, pair.b.v6] {
        let receiver = pair.b.machine.in_network(|| std::net::UdpSocket::bind((to, 9000))).unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let sender = pair.a.udp(to, 9000);
        // As a program that segments itself: 40 datagrams in one send, the last shorter.
        let all: Vec<u8> = (0..40 * 1000 - 300).map(|at| (at / 1000) as u8).collect();
        segment(&sender, 1000);
        sender.send(&all).unwrap();
        let mut buffer = [0; 65_536];
        for expected in all.chunks(1000) {
            let len = receiver.recv(&mut buffer).unwrap();
            assert!(buffer[..len] == *expected, "{len} bytes, first {:?}", buffer.first());
        }
    }
}

/// Sets the length of the datagrams that one send is cut into.
fn segment(socket: &std::net::UdpSocket, size: libc::c_int) {
    use std::os::fd::AsRawFd as _;
    let (fd, len) = (socket.as_raw_fd(), size_of_val(&size) as libc::socklen_t);
    // SAFETY: `size` is valid for its length.
    let result = unsafe {
        libc::setsockopt(fd, libc::SOL_UDP, libc::UDP_SEGMENT, (&raw const size).cast(), len)
    };
    assert_eq!(result, 0);
}

#[test]
#[ignore = "needs: root"]
fn a_stream_crosses_a_narrow_link() {
    let pair = Pair::new("narrow");
    for side in [&pair.a, &pair.b] {
        side.machine.sh(&format!("ip link set eth0 {NARROW}")).unwrap();
    }
    pair.connect(true, true);
    pair.b.serve_echo(7000);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    pair.wait_for(5, is_direct);
    close_relay(&pair);
    let stream = pair.a.dial(pair.b.v4, 7000, 30).unwrap();
    in_time(&stream, || echo_stream(&stream, MANY));
}

/// A refused send costs a system call more, and then each of its messages one.
#[test]
#[ignore = "needs: root"]
fn a_narrow_link_is_tried_once_for_each_path() {
    let pair = Pair::new("once");
    for side in [&pair.a, &pair.b] {
        side.machine.sh(&format!("ip link set eth0 {NARROW}")).unwrap();
    }
    pair.b.serve_echo(7000);
    let mut before = 0;
    for path in ["the first path", "the path of a peer that was away"] {
        pair.connect(true, true);
        assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
        pair.wait_for(5, is_direct);
        let stream = pair.a.dial(pair.b.v4, 7000, 30).unwrap();
        in_time(&stream, || echo_stream(&stream, MANY));
        let refused = pair.a.device.refused_sends();
        assert!((1..=OF_ONE_BATCH).contains(&(refused - before)), "{path}: {refused}, {before}");
        before = refused;
        pair.a.device.set_peers(vec![]);
    }
}

#[test]
#[ignore = "needs: root"]
fn a_stream_goes_on_when_its_link_becomes_narrow() {
    let pair = Pair::new("shrinks");
    pair.connect(true, true);
    pair.b.serve_echo(7000);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    pair.wait_for(5, is_direct);
    close_relay(&pair);
    let stream = pair.a.dial(pair.b.v4, 7000, 30).unwrap();
    let narrow = || {
        for side in [&pair.a, &pair.b] {
            side.machine.sh(&format!("ip link set eth0 {NARROW}")).unwrap();
        }
    };
    in_time(&stream, || half_way(&stream, narrow));
}

#[test]
#[ignore = "needs: root"]
fn a_stream_crosses_a_narrow_path_of_which_nobody_tells() {
    let router = Machine::new("wg-silent-r").unwrap();
    let pair = Pair::across(&router, "silent");
    router.sh(&format!("ip link set eth1 {NARROW}")).unwrap();
    pair.b.machine.sh(&format!("ip link set eth0 {NARROW}")).unwrap();
    router
        .sh("nft add table inet t; nft 'add chain inet t output { type filter hook output priority 0; }';
             nft add rule inet t output meta l4proto icmp drop")
        .unwrap();
    pair.connect(true, true);
    pair.b.serve_echo(7000);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    pair.wait_for(5, is_direct);
    close_relay(&pair);
    let stream = pair.a.dial(pair.b.v4, 7000, 30).unwrap();
    in_time(&stream, || echo_stream(&stream, MANY));
}

#[test]
#[ignore = "needs: root"]
fn streams_both_ways_go_on_when_an_interface_was_down() {
    let pair = Pair::new("downup");
    pair.connect(true, true);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    pair.wait_for(5, is_direct);
    let [a, b] = [&pair.a, &pair.b];
    let streams = [(a, b), (b, a)]
        .map(|(from, to)| Transfer::start(&from.machine, &to.machine, (to.v4, 0).into()).unwrap());
    let go_on = || {
        let before = streams.each_ref().map(Transfer::carried);
        eventually("both streams go on", || {
            streams
                .iter()
                .zip(before)
                .all(|(stream, before)| stream.carried() > before + MANY as u64)
        });
    };
    for side in [a, b] {
        go_on();
        let before = side.device.drops()["interface"];
        side.machine.sh("ip link set maru0 down").unwrap();
        eventually("packets come while the interface is down", || {
            side.device.drops()["interface"] > before
        });
        side.up();
    }
    go_on();
    for stream in streams {
        stream.finish(0).unwrap();
    }
    assert!(a.device.is_running() && b.device.is_running());
}

/// TunnelEnds the stream, and with it the work, if that takes more than a minute: where segments are refused, a stream crawls.
fn in_time(stream: &TcpStream, work: impl FnOnce()) {
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if is_done.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout)
            {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        let _done = done;
        work();
    });
}

/// Sends to an echo service without a pause, does `work` when half came back, and compares all.
fn half_way(stream: &TcpStream, work: impl FnOnce()) {
    let sent: Vec<u8> = (0..4 * MANY).map(|at| (at * 11 + at / 256) as u8).collect();
    let mut received = vec![0; sent.len()];
    let half = sent.len() / 2;
    thread::scope(|scope| {
        scope.spawn(|| (&mut &*stream).write_all(&sent).unwrap());
        (&mut &*stream).read_exact(&mut received[..half]).unwrap();
        work();
        (&mut &*stream).read_exact(&mut received[half..]).unwrap();
    });
    assert!(sent == received, "came back changed");
}
