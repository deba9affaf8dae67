//! Which paths agents find between places: the real coordinator, relay and agents, behind routers of every kind.
//!
//! ```text
//!  server (coordinator, relay) ── internet ── two sites of every kind, with an agent at each
//!                                         └── a second agent at a port-restricted site and at a symmetric one
//!
//!  home (coordinator, relay, agent) ── its router ── internet ── a site of every kind with IPv4, with an agent at each
//! ```
//!
//! All pairs talk at once. Fails if: bytes do not come back in any pairing; a pair that can be direct is not; a path is direct
//! where that is impossible. Blind to: how long it takes (`cargo xtask bench paths`).

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use lab::{
    Machine, Process,
    internet::{Internet, Server},
    location::Location,
    nat::Nat,
    site::Site,
};
use serde_json::{Value, json};
use testkit::blocking::eventually;

use super::control_plane::{Node, ask, root, start, write};

/// Where the talk is, in the mesh.
const PORT: u16 = 7777;
/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(180);
/// The outer address of the first site's router.
const OUTER: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 2);
/// What home's router forwards, as the README says.
const FORWARDED: [(&str, u16); 4] = [("tcp", 8443), ("tcp", 8444), ("udp", 3478), ("udp", 41641)];

/// A coordinator and its relay, and where devices reach them.
struct Control {
    v4: Ipv4Addr,
    v6: Option<Ipv6Addr>,
    root: tempfile::TempDir,
    _processes: [Process; 2],
    /// Where they run: it ends with its last owner.
    _machine: Arc<Machine>,
}

impl Control {
    /// On a server of their own.
    fn on_server(internet: &mut Internet) -> Self {
        let Server { machine, v4, v6 } = internet.server("server").unwrap();
        Self::start(&machine, v4, Some(v6))
    }

    fn start(machine: &Arc<Machine>, v4: Ipv4Addr, v6: Option<Ipv6Addr>) -> Self {
        let root = root();
        let v6_line = v6.map(|v6| format!("ipv6 = \"{v6}\"\n")).unwrap_or_default();
        let settings =
            format!("server_url = \"http://{v4}:8443\"\n[relay]\nhost = \"{v4}\"\n{v6_line}");
        write(root.path(), "etc/maru/coordinator.toml", &settings);
        let processes = ["relay", "serve"].map(|part| {
            let log = format!("{part}.log");
            start(machine, root.path(), "maru-coordinator", &[part], &log)
        });
        let control = Self { v4, v6, root, _processes: processes, _machine: Arc::clone(machine) };
        eventually("the coordinator", || UnixStream::connect(control.admin()).ok());
        let policy = r#"{"acls":[{"action":"accept","src":["*"],"dst":["*:*"]}]}"#;
        control.ask("PUT", "/policy", Some(json!({ "policy": policy })));
        control
    }

    fn admin(&self) -> PathBuf {
        self.root.path().join("run/maru/coordinator/admin.sock")
    }

    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, body) = ask(&self.admin(), method, &format!("/api/v1{path}"), body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {body}");
        body
    }

    /// A link for one device.
    fn invite(&self) -> String {
        let body = json!({ "user": "mina", "pre_approved": true, "force": true });
        self.ask("POST", "/invitations", Some(body))["url"].as_str().unwrap().to_owned()
    }
}

/// An agent at a place.
struct Device {
    name: String,
    place: Location,
    /// Its site's number among the sites.
    site: usize,
    node: Node,
}

/// Devices everywhere, which have joined.
struct Network {
    devices: Vec<Device>,
    sites: Vec<Site>,
    control: Control,
    internet: Internet,
}

impl Network {
    /// With a coordinator on a server, and two sites of each place.
    fn start(places: &[Location]) -> Self {
        let mut internet = Internet::new().unwrap();
        let mut network = Self::empty(Control::on_server(&mut internet), internet);
        for place in places {
            for _ in 0..2 {
                let has_two = matches!(place, Location::Nat(Nat::PortRestricted | Nat::Symmetric));
                network.add_site(*place, if has_two { 2 } else { 1 });
            }
        }
        network.join(0);
        network
    }

    /// With the coordinator at home, behind a router that forwards the four ports and has no hairpin, and a site of each place.
    fn of_home(places: &[Location]) -> Self {
        let mut internet = Internet::new().unwrap();
        let mut site = internet.site(Nat::PortRestricted).unwrap();
        let machine = site.add("server").unwrap();
        site.forward(1, &FORWARDED).unwrap();
        let mut network = Self::empty(Control::start(&machine, OUTER, None), internet);
        let node = Node::start(&machine, "hostname = \"server\"\ndns = \"off\"\n");
        // As `maru up` joins its own machine, and tells it where devices reach the coordinator.
        let control = &network.control;
        node.join(&control.invite().replace(&OUTER.to_string(), "127.0.0.1"));
        node.wait_for_state("running");
        let id = control.ask("GET", "/devices", None)[0]["id"].clone();
        let published = json!({ "maru/server-url": [format!("http://{OUTER}:8443")] });
        control.ask("PUT", &format!("/devices/{id}/capabilities"), Some(published));
        let outside = node.connect(&format!("{OUTER}:8444"));
        assert!(outside.is_err(), "there is no hairpin");
        // Whose port is forwarded is like an open one for everybody with IPv4.
        let place = Location::Nat(Nat::Open);
        network.devices.push(Device { name: "server".to_owned(), place, site: 0, node });
        network.sites.push(site);
        for place in places.iter().filter(|place| **place != Location::Ipv6) {
            network.add_site(*place, 1);
        }
        network.join(1);
        network
    }

    fn empty(control: Control, internet: Internet) -> Self {
        Self { devices: Vec::new(), sites: Vec::new(), control, internet }
    }

    /// Adds a site with so many devices.
    fn add_site(&mut self, place: Location, devices: usize) {
        let mut site = place.site(&mut self.internet).unwrap();
        for _ in 0..devices {
            let name = format!("device{}", self.devices.len());
            let machine = site.add(&name).unwrap();
            let settings = format!("hostname = {name:?}\ndns = \"off\"\n");
            let node = Node::start(&machine, &settings);
            self.devices.push(Device { name, place, site: self.sites.len(), node });
        }
        self.sites.push(site);
    }

    /// All devices from this one on join.
    fn join(&self, first: usize) {
        let Control { v4, v6, .. } = &self.control;
        for device in &self.devices[first..] {
            let link = self.control.invite();
            device.node.join(&match (device.place, v6) {
                (Location::Ipv6, Some(v6)) => link.replace(&v4.to_string(), &format!("[{v6}]")),
                (Location::Ipv6 | Location::Nat(_) | Location::TwoRouters, _) => link,
            });
        }
        for device in &self.devices[first..] {
            device.node.wait_for_state("running");
        }
    }

    /// The devices' addresses in the mesh.
    fn addresses(&self) -> Vec<Ipv4Addr> {
        self.devices.iter().map(|device| device.node.address().parse().unwrap()).collect()
    }

    /// Whether two devices can have a direct path.
    fn meet(&self, a: &Device, b: &Device) -> bool {
        a.site == b.site || a.place.meets(b.place)
    }

    /// Each pair, both ways, with the path that the first has to the second.
    fn paths(&self) -> Vec<(&Device, &Device, String)> {
        let mut paths = Vec::new();
        for device in &self.devices {
            let status = device.node.status();
            for peer in status["peers"].as_array().unwrap() {
                let name = peer["name"].as_str().unwrap();
                let path = peer["path"].as_str().unwrap().to_owned();
                let other = self.devices.iter().find(|other| other.name == name).unwrap();
                paths.push((device, other, path));
            }
        }
        paths
    }

    /// The pairs whose path is not yet, or not only, what it must be.
    fn wrong(&self) -> Vec<String> {
        let paths = self.paths();
        let count = self.devices.len();
        if paths.len() < count * (count - 1) {
            return vec!["not all know each other".to_owned()];
        }
        let is_wrong = |(a, b, path): &&(&Device, &Device, String)| {
            if self.meet(a, b) { !path.starts_with("direct ") } else { path != "relay" }
        };
        let line = |(a, b, path): &(&Device, &Device, String)| {
            format!("{} ({}) to {} ({}): {path}", a.name, a.place, b.name, b.place)
        };
        paths.iter().filter(is_wrong).map(line).collect()
    }
}

/// Who had an answer of whom.
type Answers = Mutex<BTreeSet<(Ipv4Addr, IpAddr)>>;

/// Says something to each peer twice a second, and answers.
fn talk(device: &Device, own: Ipv4Addr, all: &[Ipv4Addr], answers: &Answers, over: &AtomicBool) {
    let bind = || UdpSocket::bind(("0.0.0.0", PORT)).unwrap();
    let socket = device.node.machine.in_network(bind);
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut bytes = [0; 16];
    for turn in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        if turn % all.len() == 0 {
            for peer in all.iter().filter(|peer| **peer != own) {
                // A full queue is as good as a lost datagram.
                let _ = socket.send_to(b"ask", (*peer, PORT));
            }
        }
        let Ok((len, from)) = socket.recv_from(&mut bytes) else { continue };
        match &bytes[..len] {
            b"ask" => drop(socket.send_to(b"answer", from)),
            _ => drop(answers.lock().unwrap().insert((own, from.ip()))),
        }
    }
}

/// Between all devices.
fn verdicts_are_as_they_should_be(network: &Network) {
    let all = network.addresses();
    let (answers, over) = (Answers::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        for (device, own) in network.devices.iter().zip(&all) {
            let (all, answers, over) = (&all, &answers, &over);
            scope.spawn(move || talk(device, *own, all, answers, over));
        }
        let mut missing = Vec::new();
        for _ in 0..LIMIT.as_secs() {
            missing = network.wrong();
            let answered = answers.lock().unwrap().len();
            if answered < all.len() * (all.len() - 1) {
                missing.push(format!("only {answered} pairs had an answer"));
            }
            if missing.is_empty() {
                break;
            }
            thread::sleep(Duration::from_secs(1));
        }
        over.store(true, Ordering::Relaxed);
        assert!(missing.is_empty(), "{}:\n{}", missing.len(), missing.join("\n"));
    });
}

#[test]
#[ignore = "needs: root"]
fn paths_are_direct_wherever_they_can_be() {
    verdicts_are_as_they_should_be(&Network::start(&Location::ALL));
}

#[test]
#[ignore = "needs: root"]
fn a_home_whose_router_forwards_the_four_ports_is_direct_for_all_that_have_udp() {
    verdicts_are_as_they_should_be(&Network::of_home(&Location::ALL));
}
