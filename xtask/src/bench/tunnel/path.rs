//! A running tunnel.

use std::{
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{
    bed::{CABLE, MTU, TestBed, mtu},
    probe,
};
use crate::stop;

/// How long a tunnel may take until it goes the way that is measured.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const POLL: Duration = Duration::from_millis(100);

/// A way from the client to the server that is open.
pub(super) trait Tunnel {
    /// The server's address in it.
    fn server(&self) -> IpAddr;
    /// Its interface on the server and on the client.
    fn interfaces(&self) -> [&str; 2];
    /// Its processes, numbered as on the host; none of the cable itself.
    fn processes(&self) -> Vec<u32>;
    /// Fails unless packets go the way that `bed` has for them, at this moment.
    fn check(&self, bed: &TestBed) -> Result<()>;
    /// The offloads that it says it has; nothing of one that does not tell.
    fn offloads(&self) -> Result<Option<Vec<String>>> {
        Ok(None)
    }
}

/// The cable.
#[derive(Debug)]
pub(super) struct Cable(IpAddr);

impl Cable {
    /// Gives it the MTU of the tunnels.
    pub(super) fn open(bed: &TestBed) -> Result<Self> {
        for (machine, _) in bed.ends() {
            machine.sh(&format!("ip link set {CABLE} mtu {MTU}"))?;
        }
        Ok(Self(bed.outside.addresses()[0]))
    }
}

impl Tunnel for Cable {
    fn server(&self) -> IpAddr {
        self.0
    }

    fn interfaces(&self) -> [&str; 2] {
        [CABLE; 2]
    }

    fn processes(&self) -> Vec<u32> {
        Vec::new()
    }

    fn check(&self, _: &TestBed) -> Result<()> {
        Ok(())
    }
}

/// Waits until packets go through it, and go the way that is measured.
pub(super) fn wait(tunnel: &dyn Tunnel, bed: &TestBed) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        stop::check()?;
        let open = probe::answers(bed, tunnel.server()).and_then(|()| tunnel.check(bed));
        let Err(error) = open else { return has_the_mtu(tunnel, bed) };
        ensure!(Instant::now() < deadline, error.context("the tunnel does not open"));
        thread::sleep(POLL);
    }
}

/// Fails unless both interfaces take packets as large as those of all other tunnels.
fn has_the_mtu(tunnel: &dyn Tunnel, bed: &TestBed) -> Result<()> {
    for ((machine, _), interface) in bed.ends().into_iter().zip(tunnel.interfaces()) {
        let mtu = mtu(machine, interface)?;
        ensure!(mtu == MTU, "{interface} has the MTU {mtu}, not {MTU}");
    }
    Ok(())
}
