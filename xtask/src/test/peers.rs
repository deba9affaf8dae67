//! Programs of others that tests run: built or fetched beside the tests that need none.

use std::process::Stdio;

use anyhow::Result;

use crate::{background::Background, build, go, resolvers, workspace};

/// Being built.
pub(super) struct Peers(Background);

impl Peers {
    /// What tests that run them say that they need.
    pub(super) const NEEDS: [&str; 4] = ["stock", "go", "openpcc", "resolvers"];

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

/// `cargo xtask peers`: builds or fetches them.
pub(crate) fn build() -> Result<()> {
    resolvers::get()?;
    build::stock_client()?;
    go::tailscale()?;
    go::wireguard()?;
    go::openpcc()?;
    go::pebble()
}
