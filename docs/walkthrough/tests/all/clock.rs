//! A device whose clock is wrong by a day, in either direction.
//!
//! Fails if `maru chat` asks anything of the gateway's chat route then, binds a key, or does not say what is wrong and
//! what to do; or if a clock that is off by less than the protocol allows is refused. The tunnel shows what was asked: the
//! same look finds the question of the same client on the right clock. Fails if an agent with such a clock does not
//! join, or does not come back after a restart that set its clock back.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    process::{Output, Stdio},
    time::Duration,
};

use ai_gateway_api::sealed::path;
use lab::{Deployment, Instance, ROOT};
use testkit::blocking::eventually_within;

use super::support::recording::{Recording, packets, tunnel};

const DAY: i64 = 86_400;
/// Half of what sealed chat lets clocks differ by (`SKEW`); the other half is for a busy machine.
const LITTLE: i64 = 15;
/// How long a device may take to be back after its clock went back: a handshake is repeated every five seconds, and
/// taken once the map told the other side that the device started again.
const AGAIN: Duration = Duration::from_secs(60);

/// Asks on a clock that is so many seconds ahead.
fn ask(instance: &Instance, ahead: i64) -> Output {
    let mut command = instance.program_ahead(ahead, "maru");
    command.args(["--root", ROOT, "chat", "--max-tokens", "3", "--ask", "Hello!"]);
    command.stdin(Stdio::null()).output().unwrap()
}

/// What the device asked for while `work` went on: method and path of each request, as the tunnel shows them. (What TCP
/// sends again is there twice.)
fn requests(instance: &Instance, work: impl FnOnce()) -> BTreeSet<String> {
    // Found out first: this makes requests, too.
    let gateway = SocketAddr::new(instance.gateway().unwrap(), 80);
    let recording = Recording::begin(&instance.machine, &tunnel(&instance.machine), "requests");
    work();
    let (file, _) = recording.finish(gateway);
    let lines =
        packets(&instance.machine, &format!("{file} -A"), "tcp dst port 80 or tcp dst port 18789");
    let asked = lines.iter().filter_map(|line| {
        let at = ["GET /", "POST /", "DELETE /"].iter().find_map(|method| line.find(method))?;
        Some(line[at..].split(" HTTP/").next()?.to_owned())
    });
    asked.collect()
}

#[test]
#[ignore = "needs: root, podman, model"]
fn a_client_whose_clock_is_off_by_a_day_says_so_and_seals_nothing() {
    let mut deployment = Deployment::start().unwrap();
    let device = deployment.member("laptop", "alice").unwrap();
    let laptop = &device.instance;
    let keys = format!("GET {}", path::KEYS);
    let chat = format!("POST {}", path::CHAT);
    let bind = format!("POST {}", path::DEVICES);

    for (ahead, how) in [(DAY, "ahead of"), (-DAY, "behind")] {
        let asked = requests(laptop, || {
            let out = ask(laptop, ahead);
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            assert_eq!(out.status.code(), Some(1), "{said}");
            assert_eq!(String::from_utf8_lossy(&out.stdout), "", "{said}");
            // A day, but for what it took to ask.
            let by = ["clock is 1d", "clock is 23h 59m"].iter().any(|by| said.contains(by));
            assert!(by && said.contains(&format!("{how} the home machine's")), "{said}");
            assert!(said.contains("nothing was sent") && said.contains("set-ntp true"), "{said}");
        });
        assert_eq!(asked, BTreeSet::from([keys.clone()]), "{how}");
    }

    // The same client, run in the same way, on the right clock; and on one that is a little off.
    for ahead in [0, LITTLE, -LITTLE] {
        let asked = requests(laptop, || {
            let out = ask(laptop, ahead);
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            assert!(out.status.success() && !out.stdout.is_empty(), "{ahead} s ahead: {said}");
        });
        let mut expected = BTreeSet::from([keys.clone(), chat.clone()]);
        expected.extend((ahead == 0).then(|| bind.clone()));
        assert_eq!(asked, expected, "{ahead} s ahead");
    }
}

#[test]
#[ignore = "needs: root, podman, model"]
fn a_device_whose_clock_is_off_by_a_day_joins_and_comes_back_after_its_clock_went_back() {
    let mut deployment = Deployment::start().unwrap();
    let answered = |instance: &Instance, what: &str| {
        let what = format!("{}: {what}", instance.machine.name());
        eventually_within(AGAIN, &what, || instance.dial(80).is_ok());
        instance.ok(&["chat", "--max-tokens", "3", "--ask", "Hello!"]).unwrap();
    };
    for (name, ahead) in [("early", DAY), ("late", -DAY)] {
        let mut device = deployment.stranger_ahead(name, ahead).unwrap();
        device.instance.ask_to_join(&deployment.home, "alice").unwrap();
        deployment.home.approve(name).unwrap();
        device.instance.wait_for_network().unwrap();
        answered(&device.instance, "joined");

        // It is started again, and its clock is a day behind what it was.
        device.agent.signal_kill();
        device.agent.wait_for(lab::STOP).unwrap().expect("the agent ends");
        device.agent = device.instance.agent_ahead(ahead - DAY).unwrap();
        device.instance.wait_for_network().unwrap();
        answered(&device.instance, "came back");
    }
}
