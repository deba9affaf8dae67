//! The programs of the peers: built if need be, and started.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    bed::TestBed,
    kind::Kind,
    maru::Maru,
    path::{Cable, Tunnel},
    tailscale::Tailscale,
    wireguard::Wireguard,
    wireguard_device::WireguardDevice,
};
use crate::{go, tools};

/// Versions of what cargo installs.
const GOTATUN: &str = "0.10.2";
const BORINGTUN: &str = "0.7.1";

/// A peer's program, and its version.
#[derive(Clone, Debug)]
pub(super) struct Program {
    kind: Kind,
    /// Of the kernel, for the cable.
    pub(super) version: String,
    /// Of the program, or of the folder with several.
    path: PathBuf,
}

impl Program {
    /// Builds it, if it is not there.
    pub(super) fn prepare(kind: Kind) -> Result<Self> {
        let (path, version) = match kind {
            Kind::Veth => (PathBuf::new(), said("uname", "-r")?),
            Kind::Maru => {
                let path = lab::binary("maru-agent")?;
                let version = said(&path, "--version")?;
                (path, version)
            }
            Kind::WireguardGo | Kind::WireguardDevice => {
                (go::wireguard()?, go::WIREGUARD.to_owned())
            }
            Kind::Tailscaled => {
                let folder = go::tailscale()?;
                let version = said(folder.join("tailscaled"), "--version")?;
                // What follows tells of its sources, which a module does not know.
                let number = version.split('-').next().unwrap_or_default().to_owned();
                (folder, number)
            }
            Kind::Gotatun => {
                (tools::installed("gotatun-cli", GOTATUN)?.join("gotatun"), GOTATUN.to_owned())
            }
            Kind::Boringtun => (
                tools::installed("boringtun-cli", BORINGTUN)?.join("boringtun-cli"),
                BORINGTUN.to_owned(),
            ),
        };
        Ok(Self { kind, version, path })
    }

    /// Opens a tunnel.
    pub(super) fn open(&self, bed: &TestBed) -> Result<Box<dyn Tunnel>> {
        let rust = ["--foreground", "--disable-drop-privileges"];
        Ok(match self.kind {
            Kind::Veth => Box::new(Cable::open(bed)?),
            Kind::Maru => Box::new(Maru::open(bed)?),
            Kind::Tailscaled => Box::new(Tailscale::open(bed, &self.path)?),
            Kind::WireguardGo => Box::new(Wireguard::open(bed, &self.path, &["-f"])?),
            Kind::WireguardDevice => Box::new(WireguardDevice::open(bed, &self.path)?),
            Kind::Gotatun | Kind::Boringtun => Box::new(Wireguard::open(bed, &self.path, &rust)?),
        })
    }
}

/// The first line that a program says of itself.
fn said(program: impl AsRef<std::ffi::OsStr>, argument: &str) -> Result<String> {
    let program = program.as_ref();
    let out = Command::new(program).arg(argument).stdin(Stdio::null()).output();
    let out = out.with_context(|| format!("{} does not run", program.display()))?;
    ensure!(out.status.success(), "{} {argument} failed", program.display());
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
