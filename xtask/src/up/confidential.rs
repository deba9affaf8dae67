//! `cargo xtask up --confidential`: a deployment of the confidential chain beside the home.

use std::path::Path;

use anyhow::{Result, ensure};
use lab::{
    Instance,
    confidential::{self as chain, Chain, Holder, Measurement},
    topology::Topology,
};
use tempfile::TempDir;

use crate::{progress::Step, stop};

/// What the laptop asks for.
pub(super) const MODEL: &str = "confidential/smollm2";

/// Two with a TPM, one in an enclave.
const NODES: [(Holder, Measurement); 3] = [
    (Holder::Tpm, Measurement::TheImage),
    (Holder::Tpm, Measurement::TheImage),
    (Holder::Enclave, Measurement::TheImage),
];

/// A deployment that runs; dropping it ends and removes it.
pub(super) struct Deployment {
    _chain: Chain,
    /// A new one each time, identity included.
    _state: TempDir,
}

/// Starts a deployment and has the home ask it, from its next start on.
pub(super) fn start(topology: &mut Topology, home: &Instance, model: &Path) -> Result<Deployment> {
    let step = Step::new("starting relay, gateway, router, auth and three nodes");
    let state = tempfile::tempdir()?;
    let chain = Chain::start(topology, state.path(), model, &NODES)?;
    stop::check()?;
    step.done("the confidential chain runs; its evidence is SIMULATED");
    println!("home$ maru confidential add {} …", chain::MODEL);
    // That of an earlier start is gone.
    let _ = home.run(&["confidential", "remove", chain::MODEL])?;
    let added = chain.add(home)?;
    ensure!(
        added.status.success(),
        "maru confidential add failed: {}",
        String::from_utf8_lossy(&added.stderr)
    );
    Ok(Deployment { _chain: chain, _state: state })
}
