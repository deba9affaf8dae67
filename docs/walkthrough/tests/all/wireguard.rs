//! Devices that have only WireGuard, from the command that the admin types to their owners' replies.
//!
//! Fails if the drawn QR code is not the printed configuration; if a name of the network is not found by it; if the gateway or
//! telmeet take a device for anybody else's than its owner's; or if a device gets anything by the key that it had before
//! `rotate`, or after `remove`. Blind to: what else such a device may not do, and its ways (`node-agent`'s
//! `wireguard_devices`); the kernel's WireGuard.

use std::{
    io,
    net::{IpAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use lab::{Deployment, Machine, wireguard::Device};
use serde_json::{Value, json};
use testkit::{
    blocking::{eventually, http},
    qr,
};

use super::support::{answer::looks_up, network::device};

const CHAT: &str = "chat.maru.home.arpa";
const ROOMS: &str = "rooms.maru.home.arpa";
/// Where apps of OpenAI's API ask.
const AI: u16 = 18789;
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
    alices.configuration = rotated["configuration"].as_str().unwrap().to_owned();
    alices.set_up();
    alices.chats();

    house.home.ok(&["wireguard", "remove", "phone"]).unwrap();
    alices.is_unknown();
    bobs.chats();
}
