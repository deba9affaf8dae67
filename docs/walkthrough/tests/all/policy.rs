//! Who reaches what, and when that ends.
//!
//! Fails if a policy is not enforced at the home node, if a removed device keeps a connection or
//! gets another, or if one person sees what another said. The laptop of the first test hears nothing
//! of what is decided about it: only the home node can keep it out.

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use lab::{Deployment, Instance, Machine, Process, ROOT};
use testkit::blocking::eventually_within;

/// Everything to everyone, in both directions; the tests take away from it.
const OPEN: &str = r#"{
  "tagOwners": { "tag:home": [] },
  "acls": [{ "action": "accept", "src": ["*"], "dst": ["*:*"] }],
}"#;

/// The first policy without the gateway's port.
const NO_GATEWAY: &str = r#"{
  // Members reach the messenger only.
  "tagOwners": { "tag:home": [] },
  "acls": [{ "action": "accept", "src": ["autogroup:member"], "dst": ["tag:home:80"] }],
}"#;

/// A port that no service has, with a listener of the test.
const OTHER: u16 = 7777;
/// What a policy without rules for a device closes.
const PORTS: [u16; 3] = [80, 18789, OTHER];
/// How long a policy may be on its way; a session that the other side forgot is renewed in it.
const ON_ITS_WAY: Duration = Duration::from_secs(30);
/// How long a port must stay closed.
const FOR_GOOD: Duration = Duration::from_secs(3);

/// The policy that was asked for, as it stands.
fn seed() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/facts/seeds.md");
    let text = fs::read_to_string(page).unwrap();
    let (_, policy) = text.split_once("```json\n").unwrap();
    policy.split_once("```").unwrap().0.to_owned()
}

fn set_policy(deployment: &Deployment, text: &str) {
    fs::write(deployment.home.root.join("policy.json"), text).unwrap();
    deployment.home.ok(&["policy", "set", &format!("{ROOT}/policy.json")]).unwrap();
}

fn listen(machine: &Machine) -> TcpListener {
    machine.in_network(|| TcpListener::bind(("0.0.0.0", OTHER))).unwrap()
}

fn reaches(machine: &Machine, address: IpAddr, port: u16) -> bool {
    let to = SocketAddr::new(address, port);
    machine.in_network(|| TcpStream::connect_timeout(&to, Duration::from_millis(500))).is_ok()
}

/// Waits until a port is open: a policy may be on its way.
fn opens(machine: &Machine, address: IpAddr, port: u16, what: &str) {
    eventually_within(ON_ITS_WAY, what, || reaches(machine, address, port));
}

/// Which ports were still open after `limit`; `None` if all closed before, for good.
fn open_after(limit: Duration, machine: &Machine, address: IpAddr, ports: &[u16]) -> Option<u16> {
    let begun = Instant::now();
    let mut seen = Instant::now();
    while seen.elapsed() < FOR_GOOD {
        for &port in ports {
            if reaches(machine, address, port) {
                seen = Instant::now();
                if begun.elapsed() > limit {
                    return Some(port);
                }
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
    None
}

/// Counts what arrives encrypted at the home machine and holds a packet (a keepalive has 32 bytes).
fn count_arrivals(home: &Machine) {
    home.sh(
        "nft add table inet seen
        nft add counter inet seen arrived
        nft 'add chain inet seen inbound { type filter hook input priority -300; }'
        nft add rule inet seen inbound udp dport 41641 @th,64,8 4 udp length gt 40 counter name arrived",
    )
    .unwrap();
}

fn arrivals(home: &Machine) -> u64 {
    let text = home.sh("nft list counter inet seen arrived").unwrap();
    let mut words = text.split_whitespace().skip_while(|word| *word != "packets").skip(1);
    words.find_map(|word| word.parse().ok()).unwrap()
}

/// Waits for a direct path to the home node, whose packets are counted.
fn wait_for_a_direct_path(instance: &Instance) {
    let found = instance.wait_until(&["status", "-o", "json"], ON_ITS_WAY, |text| {
        let status: serde_json::Value = serde_json::from_str(text).ok()?;
        let peers = status["peers"].as_array()?.clone();
        let home = peers.iter().find(|peer| peer["tags"][0] == "tag:home")?.clone();
        home["path"].as_str()?.starts_with("direct").then_some(())
    });
    found.unwrap();
}

/// The admin removes a device that asks and listens; nothing of it is left at home.
fn remove_while_it_chats(
    deployment: &Deployment,
    laptop: &Instance,
    home: IpAddr,
    own: IpAddr,
) -> Process {
    let chat = laptop.long_chat().unwrap();
    assert_eq!(deployment.busy_slots("inference").unwrap(), 1);
    opens(&deployment.home.machine, own, OTHER, "the home node reaches the laptop");

    deployment.home.ok(&["device", "remove", "laptop"]).unwrap();
    let removed = Instant::now();
    let is_left = || deployment.busy_slots("inference").unwrap() == 0;
    eventually_within(ON_ITS_WAY, "a removed device is no longer answered", is_left);
    let left = ON_ITS_WAY.saturating_sub(removed.elapsed());
    assert_eq!(open_after(left, &laptop.machine, home, &PORTS), None, "to a removed device");
    let none = Duration::ZERO;
    assert_eq!(
        open_after(none, &deployment.home.machine, own, &[OTHER]),
        None,
        "of a removed device"
    );
    let peers = deployment.home.status().unwrap()["peers"].to_string();
    assert!(peers.contains("user1s-laptop") && !peers.contains("\"laptop\""), "{peers}");
    chat
}

#[test]
#[ignore = "needs: root, podman, model, shared"]
fn a_policy_is_enforced_at_the_home_node_and_removal_cuts_what_is_open() {
    let mut deployment = Deployment::start().unwrap();
    let laptop = deployment.member("laptop", "alice").unwrap();
    let trusted = deployment.member("user1s-laptop", "user1").unwrap();
    let (machine, home_machine) = (&laptop.instance.machine, &deployment.home.machine);
    let _listeners = [listen(home_machine), listen(machine)];
    let home = laptop.instance.gateway().unwrap();
    let own =
        laptop.instance.status().unwrap()["node"]["addresses"][0].as_str().unwrap().to_owned();
    for port in [80, 18789] {
        opens(machine, home, port, "a port is open by the first policy");
    }
    assert_eq!(open_after(Duration::ZERO, machine, home, &[OTHER]), None, "by the first policy");

    set_policy(&deployment, OPEN);
    opens(machine, home, OTHER, "a listener is reached under an open policy");
    wait_for_a_direct_path(&laptop.instance);
    count_arrivals(home_machine);
    // From here on the laptop believes what it knows now.
    deployment.topology.lose(machine, 8443).unwrap();

    set_policy(&deployment, NO_GATEWAY);
    assert_eq!(open_after(ON_ITS_WAY, machine, home, &[18789, OTHER]), None, "by the policy");
    let before = arrivals(home_machine);
    assert!(!reaches(machine, home, 18789));
    assert!(arrivals(home_machine) > before, "the laptop asked, and the home node did not answer");
    opens(machine, home, 80, "the messenger's port stays open");

    // Of this network's people the group of the seed has user1, and not alice.
    set_policy(&deployment, &seed());
    assert_eq!(open_after(ON_ITS_WAY, machine, home, &PORTS), None, "outside the group");
    for port in PORTS {
        opens(&trusted.instance.machine, home, port, "the port is open to the group");
    }

    set_policy(&deployment, OPEN);
    for port in PORTS {
        opens(machine, home, port, "the port opens again");
    }
    let mut chat = remove_while_it_chats(&deployment, &laptop.instance, home, own.parse().unwrap());
    let status = chat.wait_for(Duration::from_secs(60)).unwrap();
    assert!(!status.expect("the client notices").success(), "a cut reply passed as whole");
}

#[test]
#[ignore = "needs: root, podman, model"]
fn one_person_sees_nothing_of_what_another_said() {
    const ALICES: &str = "persimmon-9931";
    const BOBS: &str = "medlar-5507";
    let mut deployment = Deployment::start().unwrap();
    let alice = deployment.member("alices-laptop", "alice").unwrap();
    let bob = deployment.member("bobs-laptop", "bob").unwrap();
    let say = |instance: &Instance, word| {
        instance.ok(&["chat", "--max-tokens", "8", "--ask", word]).unwrap()
    };
    let history = |instance: &Instance| instance.ok(&["chat", "--history"]).unwrap();

    say(&alice.instance, ALICES);
    assert_eq!(history(&bob.instance), "", "bob said nothing yet");
    say(&bob.instance, BOBS);
    // Alice's second device continues her conversation.
    let phone = deployment.member("alices-phone", "alice").unwrap();
    for (instance, own, other) in [
        (&alice.instance, ALICES, BOBS),
        (&bob.instance, BOBS, ALICES),
        (&phone.instance, ALICES, BOBS),
    ] {
        let said = history(instance);
        assert!(said.contains(own) && !said.contains(other), "{}: {said}", instance.machine.name());
    }
}
