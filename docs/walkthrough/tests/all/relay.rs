//! The trip of `relay.md`: two agents between which no UDP gets through, and a relay that crashes meanwhile.
//!
//! Fails if an exchange does not go on over the relay, if the agents do not say that it does, or if a byte is lost or
//! doubled by either change. While the relay stands still nothing arrives, so it is known that nothing goes another way.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use lab::{Deployment, Instance, ROOT};
use rustix::process::Signal;
use serde_json::Value;
use testkit::blocking::eventually_within;

/// Everything to everyone, so that the test has a port of its own.
const OPEN: &str = r#"{
  "tagOwners": { "tag:home": [] },
  "acls": [{ "action": "accept", "src": ["*"], "dst": ["*:*"] }],
}"#;
/// That port, at home.
const PORT: u16 = 7777;
/// How long a change of the path may take; TCP asks again less and less often.
const CHANGE: Duration = Duration::from_secs(120);
/// How long nothing must arrive.
const STILL: Duration = Duration::from_secs(3);
/// Between two numbers.
const PAUSE: Duration = Duration::from_millis(10);

/// Numbers that go through the tunnel, one after the other, and come back.
#[derive(Default)]
struct Exchange {
    returned: AtomicU64,
    stop: AtomicBool,
}

impl Exchange {
    /// Sends the numbers from 0 and requires that each comes back, in order, until told to stop.
    fn run(&self, mut stream: TcpStream) {
        // Longer than any change: who waits longer waits for nothing.
        stream.set_read_timeout(Some(2 * CHANGE)).unwrap();
        let mut reader = stream.try_clone().unwrap();
        thread::scope(|scope| {
            let reading = scope.spawn(move || {
                let mut expected = 0;
                let mut number = [0; 8];
                while reader.read_exact(&mut number).is_ok() {
                    assert_eq!(u64::from_be_bytes(number), expected, "lost or doubled");
                    expected += 1;
                    self.returned.store(expected, SeqCst);
                }
                expected
            });
            let mut sent = 0_u64;
            while !self.stop.load(SeqCst) {
                stream.write_all(&sent.to_be_bytes()).expect("the connection holds");
                sent += 1;
                thread::sleep(PAUSE);
            }
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(reading.join().unwrap(), sent, "numbers that did not come back");
        });
    }

    fn goes_on(&self, what: &str) {
        let before = self.returned.load(SeqCst);
        let what = format!("the exchange goes on: {what}");
        // More than was under way.
        eventually_within(CHANGE, &what, || self.returned.load(SeqCst) >= before + 500);
    }

    fn stands_still(&self, what: &str) {
        let deadline = Instant::now() + CHANGE;
        let (mut last, mut since) = (self.returned.load(SeqCst), Instant::now());
        while since.elapsed() < STILL {
            assert!(Instant::now() < deadline, "the exchange goes on: {what}");
            thread::sleep(PAUSE);
            let now = self.returned.load(SeqCst);
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
    }
}

/// Sends back what arrives, on one connection.
fn echo(listener: TcpListener) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(2 * CHANGE)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    std::io::copy(&mut stream, &mut writer).unwrap();
    writer.shutdown(std::net::Shutdown::Write).unwrap();
}

/// Waits until this device says that its path to the peer begins with `path`.
fn wait_for_path(instance: &Instance, peer: &str, path: &str) {
    let found = instance.wait_until(&["status", "-o", "json"], CHANGE, |text| {
        let status: Value = serde_json::from_str(text).ok()?;
        let peer = status["peers"].as_array()?.iter().find(|it| it["name"] == peer)?.clone();
        peer["path"].as_str()?.starts_with(path).then_some(())
    });
    found.unwrap();
}

fn both_paths(deployment: &Deployment, laptop: &Instance, path: &str) {
    wait_for_path(laptop, "home", path);
    wait_for_path(&deployment.home, "laptop", path);
}

#[test]
#[ignore = "needs: root, podman, model"]
fn an_exchange_goes_on_over_the_relay_without_udp_and_over_its_crash_without_loss() {
    let mut deployment = Deployment::start().unwrap();
    let member = deployment.member("laptop", "alice").unwrap();
    let laptop = &member.instance;
    fs::write(deployment.home.root.join("policy.json"), OPEN).unwrap();
    deployment.home.ok(&["policy", "set", &format!("{ROOT}/policy.json")]).unwrap();
    let home = SocketAddr::new(laptop.gateway().unwrap(), PORT);
    let listener =
        deployment.home.machine.in_network(|| TcpListener::bind(("0.0.0.0", PORT))).unwrap();
    let stream = eventually_within(CHANGE, "the policy arrives and the port opens", || {
        laptop.machine.in_network(|| TcpStream::connect_timeout(&home, STILL))
    });
    let relay = || deployment.processes("maru-coordinator", " relay ").unwrap();

    let exchange = Exchange::default();
    thread::scope(|scope| {
        scope.spawn(|| echo(listener));
        scope.spawn(|| exchange.run(stream));
        // A failure must not leave the exchange running: the scope waits for it.
        let _stop = Stop(&exchange.stop);
        both_paths(&deployment, laptop, "direct");
        exchange.goes_on("directly");

        let router = &deployment.topology.router;
        router
            .sh("nft add table ip lose
                nft 'add chain ip lose through { type filter hook forward priority 0; }'
                nft add rule ip lose through meta l4proto udp counter drop")
            .unwrap();
        both_paths(&deployment, laptop, "relay");
        exchange.goes_on("over the relay");
        let dropped = router.sh("nft list table ip lose").unwrap();
        assert!(!dropped.contains("packets 0 "), "no UDP was dropped: {dropped}");

        let before = relay();
        deployment.signal("maru-coordinator", " relay ", Signal::STOP).unwrap();
        exchange.stands_still("the relay stands still");
        deployment.crash("maru-coordinator", " relay ").unwrap();
        exchange.goes_on("after the relay crashed");
        let after = relay();
        assert!(after.len() == 1 && after != before, "one new relay: {before:?}, {after:?}");
        both_paths(&deployment, laptop, "relay");

        router.sh("nft delete table ip lose").unwrap();
        both_paths(&deployment, laptop, "direct");
        exchange.goes_on("directly again");
    });
}

/// Ends the exchange, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}
