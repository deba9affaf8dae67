//! Tunnels of WireGuard alone: one program on each machine, told by its socket which peer there is.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lab::{Machine, Process, wireguard};

use super::{
    bed::{MTU, TestBed},
    path::Tunnel,
};

/// The interface on both machines.
pub(super) const INTERFACE: &str = "wg0";
/// The port on both machines.
pub(super) const PORT: u16 = 51820;
/// How long a program may take until its socket is there.
const PATIENCE: Duration = Duration::from_secs(20);

/// Keys that everybody knows, private (32 equal bytes) and public, of the server and the client.
pub(super) const KEYS: [(&str, &str); 2] = [
    (
        "1111111111111111111111111111111111111111111111111111111111111111",
        "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13",
    ),
    (
        "2222222222222222222222222222222222222222222222222222222222222222",
        "0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20",
    ),
];

/// A tunnel that is open.
#[derive(Debug)]
pub(super) struct Wireguard {
    processes: [Process; 2],
}

impl Wireguard {
    /// Starts `program` on both machines; `args` come before the interface's name.
    pub(super) fn open(bed: &TestBed, program: &Path, args: &[&str]) -> Result<Self> {
        let [server, client] = bed.ends().map(|(machine, _)| start(bed, machine, program, args));
        let processes = [server?, client?];
        let ends = bed.ends();
        for (own, other) in [(0, 1), (1, 0)] {
            let machine = ends[own].0;
            configure(machine, own, ends[other].1)?;
            machine.sh(&format!(
                "ip addr add {}/24 dev {INTERFACE}; ip link set {INTERFACE} mtu {MTU} up",
                inside(own)
            ))?;
        }
        Ok(Self { processes })
    }
}

impl Tunnel for Wireguard {
    fn server(&self) -> IpAddr {
        inside(0).into()
    }

    fn interfaces(&self) -> [&str; 2] {
        [INTERFACE; 2]
    }

    fn processes(&self) -> Vec<u32> {
        self.processes.iter().map(Process::pid).collect()
    }

    fn check(&self, _: &TestBed) -> Result<()> {
        // There is no other way than the one that it was told.
        Ok(())
    }
}

/// The address in the tunnel of the server (0) or the client (1).
fn inside(end: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 66, 0, if end == 0 { 1 } else { 2 })
}

/// Starts one end, and waits until its socket is there.
pub(super) fn start(
    bed: &TestBed,
    machine: &Machine,
    program: &Path,
    args: &[&str],
) -> Result<Process> {
    const LOG: &str = "wireguard";
    let mut command = machine.command(program);
    // Otherwise wireguard-go ends where the kernel knows WireGuard's name.
    command.env("WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD", "1");
    command.args(args).arg(INTERFACE);
    let mut process = bed.spawn(machine, &mut command, LOG)?;
    let deadline = Instant::now() + PATIENCE;
    while !wireguard::is_there(machine, INTERFACE) {
        let ended = process.wait_for(Duration::from_millis(20))?;
        ensure!(
            ended.is_none() && Instant::now() < deadline,
            "{} does not start: {}",
            program.display(),
            bed.log(machine, LOG).trim()
        );
    }
    Ok(process)
}

/// Tells one end its key and its peer.
fn configure(machine: &Machine, own: usize, peer: IpAddr) -> Result<()> {
    let other = 1 - own;
    let settings = format!(
        "private_key={}\nlisten_port={PORT}\npublic_key={}\nendpoint={}\nallowed_ip={}/32",
        KEYS[own].0,
        KEYS[other].1,
        SocketAddr::new(peer, PORT),
        inside(other)
    );
    wireguard::set(machine, INTERFACE, &settings)
}
