//! Programs of others that tests run: built beside the tests that need none.

use std::process::Stdio;

use anyhow::Result;

use crate::{background::Background, build, go, workspace};

/// Being built.
pub(super) struct Peers(Background);

impl Peers {
    /// What tests that run them say that they need.
    pub(super) const NEEDS: [&str; 3] = ["stock", "go", "openpcc"];

    /// Starts building what is missing.
    pub(super) fn start() -> Result<Self> {
        let mut command = Background::command(lab::binary("xtask")?);
        command.arg("peers").stdin(Stdio::null());
        Background::start(&mut command, workspace::target()?.join("peers.log")).map(Self)
    }

    /// Waits until they are built.
    pub(super) fn wait(self) -> Result<()> {
        self.0.wait("the programs of others that tests run do not build")
    }
}

/// `cargo xtask peers`: builds them.
pub(crate) fn build() -> Result<()> {
    build::stock_client()?;
    go::tailscale()?;
    go::wireguard()?;
    go::openpcc()?;
    go::pebble()
}
