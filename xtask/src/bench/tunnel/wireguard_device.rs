//! A device that has only WireGuard, and a node of the mesh: between them the home, on a machine of its own.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use lab::{Instance, Machine, Process, link, wireguard::set};
use serde_json::Value;

use super::{
    bed::{MTU, TestBed},
    coordinator::{Coordinator, PERSON},
    maru::{self, agent},
    path::Tunnel,
    wireguard::{INTERFACE, KEYS, PORT, start},
};

/// The home's cables: to the server, and to the client.
const CABLES: [[&str; 2]; 2] = [["10.98.0.1", "10.98.0.2"], ["10.97.0.1", "10.97.0.2"]];

/// The device is the client's machine.
#[derive(Debug)]
pub(super) struct WireguardDevice {
    /// The server's address in the mesh.
    server: IpAddr,
    home: Instance,
    /// The server's agent, the home's, and the device's wireguard-go.
    processes: [Process; 3],
    _coordinator: Coordinator,
}

impl WireguardDevice {
    /// Starts the agents, and adds the device.
    pub(super) fn open(bed: &TestBed, wireguard_go: &Path) -> Result<Self> {
        let coordinator = Coordinator::start(bed)?;
        let home = Arc::new(Machine::new("home")?);
        for ((machine, outside), [own, other]) in bed.ends().into_iter().zip(CABLES) {
            let (own, name) = (format!("{own}/24"), format!("to-{}", machine.name()));
            link((&home, &name, &own), (machine, "home", &format!("{other}/24")))?;
            home.sh(&format!("ip route add {outside} via {other}"))?;
        }
        let home = Instance::new(&home, &bed.state().join("home"))?;
        let wireguard = format!("[wireguard]\nport = {PORT}\n");
        let servers = agent(&coordinator, &coordinator.instance, &coordinator.key()?, "")?;
        let homes = agent(&coordinator, &home, &coordinator.key_of_home()?, &wireguard)?;
        let server = coordinator.instance.status()?;
        let server = server["node"]["addresses"][0].as_str().context("no address")?.parse()?;

        let (secret, public) = KEYS[1];
        let public = STANDARD.encode(hex::decode(public)?);
        let endpoint = SocketAddr::new(CABLES[1][0].parse()?, PORT).to_string();
        let add = ["wireguard", "add", "client", "--user", PERSON, "--public-key", &public];
        let add =
            [&add[..], &["--via", home.machine.name(), "--endpoint", &endpoint, "-o", "json"]]
                .concat();
        // The coordinator hears of its router by and by.
        let added = |text: &str| serde_json::from_str::<Value>(text).ok();
        let added = coordinator.instance.wait_until(&add, lab::STOP, added)?;
        let key = STANDARD.decode(added["router_key"].as_str().context("no key of the home")?)?;

        let client = start(bed, &bed.client, wireguard_go, &["-f"])?;
        let settings = format!(
            "private_key={secret}\npublic_key={}\nendpoint={endpoint}\nallowed_ip=100.64.0.0/10",
            hex::encode(key)
        );
        set(&bed.client, INTERFACE, &settings)?;
        let own = added["device"]["addresses"][0].as_str().context("the device has no address")?;
        bed.client.sh(&format!(
            "ip addr add {own}/32 dev {INTERFACE}; ip link set {INTERFACE} mtu {MTU} up
            ip route add 100.64.0.0/10 dev {INTERFACE}"
        ))?;
        Ok(Self { server, home, processes: [servers, homes, client], _coordinator: coordinator })
    }
}

impl Tunnel for WireguardDevice {
    fn server(&self) -> IpAddr {
        self.server
    }

    fn interfaces(&self) -> [&str; 2] {
        [maru::INTERFACE, INTERFACE]
    }

    fn processes(&self) -> Vec<u32> {
        self.processes.iter().map(Process::pid).collect()
    }

    fn check(&self, _: &TestBed) -> Result<()> {
        let status = self.home.status()?;
        let peers = status["peers"].as_array().context("the status names no peers")?;
        let server = peers.iter().find(|peer| peer["name"] == "server");
        let path = server.and_then(|peer| peer["path"].as_str()).unwrap_or_default();
        ensure!(path.starts_with("direct "), "the home's path to the server is {path:?}");
        Ok(())
    }
}
