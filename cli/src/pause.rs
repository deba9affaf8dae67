//! `maru pause` and `maru resume`.

use std::{path::Path, process::ExitCode};

use messages::message;
use node_agent_api::endpoints::{PAUSE, RESUME};

use crate::{
    client::Client,
    output::{self, OutputArgs},
};

/// Takes the tunnel down, until it is resumed.
pub(crate) async fn pause(args: OutputArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let status = Client::agent(root).call(&PAUSE, &[], &()).await?;
    output::done(args.output, &status, &message!("paused"))?;
    Ok(ExitCode::SUCCESS)
}

/// Brings the tunnel up again.
pub(crate) async fn resume(args: OutputArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let status = Client::agent(root).call(&RESUME, &[], &()).await?;
    output::done(args.output, &status, &message!("resumed"))?;
    Ok(ExitCode::SUCCESS)
}
