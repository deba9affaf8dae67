//! Devices that have only WireGuard, from the command that the admin types to their owners' replies.
//!
//! Fails if the drawn QR code is not the printed configuration; if a name of the network is not found by it; if the gateway or
//! telmeet take a device for anybody else's than its owner's; if a device gets anything by the key that it had before `rotate`,
//! or after `remove`; if home wrote a private key into a file; or if a device that sends everything through home does not reach
//! the internet there. Blind to: what else such a device may not do, and its ways (`node-agent`'s `wireguard_devices`); the
//! kernel's WireGuard.

use std::{
    io, mem,
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lab::{Deployment, Machine, ROOT, link, search::Search, wireguard::Device};
use serde_json::{Value, json};
use testkit::{
    blocking::{eventually, http},
    qr,
};

use super::support::{answer::looks_up, network::device, search::files_that_hold};

const CHAT: &str = "chat.maru.home.arpa";
const ROOMS: &str = "rooms.maru.home.arpa";
/// Where apps of OpenAI's API ask.
const AI: u16 = 18789;
/// A server on the internet.
const WEB: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
/// Everybody reaches everything, the internet too.
const POLICY: &str = r#"{
  "tagOwners": { "tag:home": [] },
  "acls": [{ "action": "accept", "src": ["*"], "dst": ["*:*", "autogroup:internet:*"] }],
}"#;
/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one try of a connection waits.
const TRY: Duration = Duration::from_secs(2);

/// What `maru` at home prints for programs.
fn told(house: &Deployment, args: &[&str]) -> Value {
    let text = house.home.ok(&[args, &["-o", "json"]].concat()).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Somebody's device in the house.
struct Phone {
    wireguard: Device,
    configuration: String,
    /// Home's address, which it found by a name.
    home: IpAddr,
}

impl Phone {
    /// Adds a device as the admin does, and sets it up by the code that it scans.
    fn add(house: &mut Deployment, name: &str, person: &str) -> Self {
        house.home.ok(&["user", "create", person]).unwrap();
        let machine = house.topology.add(name).unwrap();
        let added = house.home.run(&["wireguard", "add", name, "--user", person]).unwrap();
        let [printed, drawn] =
            [added.stdout, added.stderr].map(|it| String::from_utf8(it).unwrap());
        assert!(added.status.success(), "{drawn}");
        let scanned = qr::read_drawing(&drawn);
        assert!(printed == scanned, "the code is not the printed text");
        Self {
            wireguard: Device::up(&machine, &scanned).unwrap(),
            home: finds_home(house, &machine),
            configuration: scanned,
        }
    }

    /// Ends the tunnel, and begins one by the configuration.
    fn set_up(&self) {
        self.wireguard.change(&self.configuration).unwrap();
    }

    fn connect(&self, port: u16) -> io::Result<TcpStream> {
        let to = (self.home, port).into();
        self.wireguard.machine.in_network(|| TcpStream::connect_timeout(&to, TRY))
    }

    /// Asks a service of home.
    fn ask(&self, (host, port): (&str, u16), path: &str, body: &Value) -> Value {
        let stream = eventually(host, || self.connect(port));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = if port == 80 { host.to_owned() } else { format!("{host}:{port}") };
        let body = body.to_string();
        let answer = http::request(stream, "POST", path, &host, &[], Some(&body)).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.head);
        answer.json().unwrap()
    }

    /// The AI replies.
    fn chats(&self) {
        let hello = json!({ "max_tokens": 2, "messages": [{ "role": "user", "content": "Hi" }] });
        let reply = self.ask((CHAT, AI), "/v1/chat/completions", &hello);
        assert_eq!(reply["object"], "chat.completion", "{reply}");
    }

    /// It gets nothing by its configuration, not even the answer to a handshake.
    fn is_unknown(&self) {
        eventually("it is cut off", || self.connect(AI).is_err());
        self.set_up();
        assert!(self.connect(AI).is_err(), "it is let in again");
        assert_eq!(self.wireguard.last_handshake().unwrap(), None, "home answers it");
    }
}

/// The address that the machine's own resolver finds under home's names.
fn finds_home(house: &Deployment, machine: &Arc<Machine>) -> IpAddr {
    let home = &device(house, "home")["addresses"][0];
    for name in [CHAT, ROOMS, "home.maru.home.arpa", "home"] {
        eventually(name, || looks_up(machine, name).is_some_and(|it| *home == it.to_string()));
    }
    home.as_str().unwrap().parse().unwrap()
}

/// The private key of a configuration.
fn private_key(configuration: &str) -> &str {
    configuration.lines().find_map(|line| line.strip_prefix("PrivateKey = ")).expect("a key")
}

/// What home wrote holds what it knows the device by, its public key, and none of the private keys that were shown.
fn keeps_no_private_key(house: &Deployment, public: &Value, private: &[&str]) {
    let files = |keys: &[&str]| {
        let keys = keys.iter().map(|key| STANDARD.decode(key).unwrap());
        let (search, mut found) = (Search::new(keys).unwrap(), Vec::new());
        for folder in [house.state(), &house.home.machine.path("/run")] {
            files_that_hold(folder, SystemTime::UNIX_EPOCH, &search, &mut found);
        }
        found
    };
    assert!(!files(&[public.as_str().unwrap()]).is_empty(), "the search finds nothing");
    assert_eq!(files(private), Vec::<PathBuf>::new());
}

/// A device that made its key itself sends everything through home: it reaches the internet from there, and home's services.
fn sends_everything_through_home(house: &mut Deployment) {
    let web = Machine::new("web").unwrap();
    link((&web, "eth0", "203.0.113.7/24"), (&house.topology.router, "web0", "203.0.113.1/24"))
        .unwrap();
    web.sh("ip route add default via 203.0.113.1").unwrap();
    let listener = web.in_network(|| TcpListener::bind((WEB, 80))).unwrap();
    house.home.machine.sh("echo 1 > /proc/sys/net/ipv4/ip_forward").unwrap();
    std::fs::write(house.home.root.join("policy.json"), POLICY).unwrap();
    house.home.ok(&["policy", "set", &format!("{ROOT}/policy.json")]).unwrap();

    let machine = house.topology.add("travel").unwrap();
    let keys = machine.sh("wg genkey | tee /run/key; wg pubkey < /run/key").unwrap();
    let (private, public) = keys.trim().split_once('\n').unwrap();
    let add = ["wireguard", "add", "travel", "--user", "alice", "--full-tunnel", "--public-key"];
    let added = told(house, &[&add[..], &[public]].concat());
    let text = added["configuration"].as_str().unwrap();
    assert!(
        !text.contains("PrivateKey") && text.contains("AllowedIPs = 0.0.0.0/0, ::/0"),
        "{text}"
    );
    let own = format!("[Interface]\nPrivateKey = {private}");
    let configuration = text.replace("[Interface]", &own);
    let wireguard = Device::up(&machine, &configuration).unwrap();
    let travels = Phone { wireguard, home: finds_home(house, &machine), configuration };

    travels.chats();
    let out = || machine.in_network(|| TcpStream::connect_timeout(&(WEB, 80).into(), TRY));
    eventually("the internet", || out().map(drop));
    let (_, from) = listener.accept().unwrap();
    assert_eq!(from.ip().to_string(), "10.77.1.2", "it does not leave at home");
}

#[test]
#[ignore = "needs: root, podman, model, go, resolvers, wireguard-tools"]
fn a_phone_scans_a_code_and_is_its_owner_until_its_key_is_rotated_or_it_is_removed() {
    let mut house = Deployment::start().unwrap();
    let [mut alices, bobs] = [("phone", "alice"), ("tablet", "bob")]
        .map(|(name, person)| Phone::add(&mut house, name, person));

    // Each is its owner, without a key or a password.
    for phone in [&alices, &bobs, &alices] {
        phone.chats();
    }
    let used = told(&house, &["usage"]);
    let of = |person: &str| {
        let mut all = used.as_array().unwrap().iter();
        all.find(|row| row["name"] == person).map(|row| row["requests"].clone())
    };
    assert_eq!((of("alice"), of("bob")), (Some(json!(2)), Some(json!(1))), "{used}");
    for (phone, user) in [(&alices, "@alice:maru.home.arpa"), (&bobs, "@bob:maru.home.arpa")] {
        let account = phone.ask((ROOMS, 80), "/maru/v1/rooms/login", &json!({}));
        assert_eq!(account["user_id"], user);
    }

    // A phone that is lost: its key is void. Nobody else's is.
    let rotated = told(&house, &["wireguard", "rotate", "phone"]);
    alices.is_unknown();
    bobs.chats();
    let new = rotated["configuration"].as_str().unwrap().to_owned();
    let lost = mem::replace(&mut alices.configuration, new);
    alices.set_up();
    alices.chats();

    let private = [private_key(&lost), private_key(&alices.configuration)];
    keeps_no_private_key(&house, &rotated["public_key"], &private);

    house.home.ok(&["wireguard", "remove", "phone"]).unwrap();
    alices.is_unknown();
    bobs.chats();

    sends_everything_through_home(&mut house);
}
