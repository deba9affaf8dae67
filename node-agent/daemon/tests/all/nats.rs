//! Which paths agents find between places: the real coordinator, relay and agents, behind routers of every kind.
//!
//! ```text
//!  server (coordinator, relay) ── internet ── two sites of every kind, with an agent at each
//!                                         └── a second agent at a port-restricted site and at a symmetric one
//! ```
//!
//! All pairs talk at once. Fails if: bytes do not come back in any pairing; a pair that can be direct is not; a path is direct
//! where that is impossible. Blind to: how long it takes (`cargo xtask bench paths`).

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use lab::{
    Process,
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

/// A coordinator and its relay on a server.
struct Control {
    server: Server,
    root: tempfile::TempDir,
    _processes: [Process; 2],
}

impl Control {
    fn start(internet: &mut Internet) -> Self {
        let (server, root) = (internet.server("server").unwrap(), root());
        let Server { v4, v6, .. } = &server;
        let settings = format!(
            "server_url = \"http://{v4}:8443\"\n[relay]\nhost = \"{v4}\"\nipv6 = \"{v6}\"\n"
        );
        write(root.path(), "etc/maru/coordinator.toml", &settings);
        let processes = ["relay", "serve"].map(|part| {
            let log = format!("{part}.log");
            start(&server.machine, root.path(), "maru-coordinator", &[part], &log)
        });
        let control = Self { server, root, _processes: processes };
        eventually("the coordinator", || UnixStream::connect(control.admin()).ok());
        let policy = r#"{"acls":[{"action":"accept","src":["*"],"dst":["*:*"]}]}"#;
        control.ask("PUT", "/policy", json!({ "policy": policy }));
        control
    }

    fn admin(&self) -> PathBuf {
        self.root.path().join("run/maru/coordinator/admin.sock")
    }

    fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, body) = ask(&self.admin(), method, &format!("/api/v1{path}"), Some(body));
        assert!((200..300).contains(&status), "{method} {path}: {status} {body}");
        body
    }

    /// A link for one device.
    fn invite(&self) -> String {
        let body = json!({ "user": "mina", "pre_approved": true, "force": true });
        self.ask("POST", "/invitations", body)["url"].as_str().unwrap().to_owned()
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
    _sites: Vec<Site>,
    _control: Control,
    _internet: Internet,
}

impl Network {
    fn start(places: &[Location]) -> Self {
        let mut internet = Internet::new().unwrap();
        let control = Control::start(&mut internet);
        let (mut sites, mut devices) = (Vec::new(), Vec::new());
        for place in places {
            for _ in 0..2 {
                let mut site = place.site(&mut internet).unwrap();
                let has_two = matches!(place, Location::Nat(Nat::PortRestricted | Nat::Symmetric));
                for _ in 0..if has_two { 2 } else { 1 } {
                    let name = format!("device{}", devices.len());
                    let machine = site.add(&name).unwrap();
                    let settings = format!("hostname = {name:?}\ndns = \"off\"\n");
                    let node = Node::start(&machine, &settings);
                    devices.push(Device { name, place: *place, site: sites.len(), node });
                }
                sites.push(site);
            }
        }
        for device in &devices {
            let link = control.invite();
            device.node.join(&match device.place {
                Location::Ipv6 => {
                    let v6 = format!("[{}]", control.server.v6);
                    link.replace(&control.server.v4.to_string(), &v6)
                }
                Location::Nat(_) | Location::TwoRouters => link,
            });
        }
        for device in &devices {
            device.node.wait_for_state("running");
        }
        Self { devices, _sites: sites, _control: control, _internet: internet }
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

/// Between all devices at these places.
fn verdicts_are_as_they_should_be(places: &[Location]) {
    let network = Network::start(places);
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
    verdicts_are_as_they_should_be(&Location::ALL);
}
