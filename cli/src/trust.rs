//! `maru trust`: makes this machine trust the certificate authority of its network, for the names of the network alone.

use std::{path::Path, process::ExitCode};

use anyhow::bail;
use clap::Args;
use messages::message;
use node_agent_api::endpoints::AUTHORITY;
use rustix::process::geteuid;

use crate::{client::Client, output};

mod machine;
mod root;

use machine::{Done, Machine};
use root::RootCertificate;

#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    /// Trust it no longer
    #[arg(long)]
    remove: bool,
}

/// Installs the network's root certificate, or removes every one that this command installed.
///
/// # Errors
///
/// The caller is not root; there is no HTTPS; the certificate could vouch for other names than the network's; a store cannot be
/// changed.
pub(crate) async fn run(args: TrustArgs, root: &Path) -> anyhow::Result<ExitCode> {
    if !geteuid().is_root() {
        bail!(message!("trust-needs-root"));
    }
    let machine = Machine::this();
    if args.remove {
        let done = machine.remove()?;
        if done.is_empty() {
            output::line(message!("trust-nothing"))?;
        }
        done.iter().try_for_each(|done| report(done, true))?;
        return Ok(ExitCode::SUCCESS);
    }
    let authority = Client::agent(root).call(&AUTHORITY, &[], &()).await?;
    let certificate = RootCertificate::read(&authority.certificate, &authority.network)?;
    let (network, fingerprint) = (&authority.network, certificate.fingerprint());
    output::line(message!("trust-network", network, fingerprint))?;
    machine.add(&certificate)?.iter().try_for_each(|done| report(done, false))?;
    output::note(message!("trust-next", page = authority.page));
    Ok(ExitCode::SUCCESS)
}

/// Prints what was done to a store.
fn report(done: &Done, removed: bool) -> anyhow::Result<()> {
    match done {
        Done::Changed(store) if removed => output::line(message!("trust-removed", store)),
        Done::Changed(store) => output::line(message!("trust-added", store)),
        Done::Skipped(why) => {
            output::note(why);
            Ok(())
        }
    }
}
