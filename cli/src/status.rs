//! `maru status`.

use std::{path::Path, process::ExitCode};

use clap::Args;
use messages::{Message, message};
use node_agent_api::{State, endpoints::STATUS};
use telmeet_api::participant::FINGERPRINT;

use crate::{
    client::Client,
    confidential,
    output::{self, Format, OutputArgs},
    rooms,
};

mod view;
mod watch;

use view::StatusWithEvidence;

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct StatusArgs {
    /// Go on until Ctrl-C: redraw each second on a terminal, else print a line for each change
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Prints where this device stands; exit status 1 unless it is a running node.
pub(crate) async fn run(args: StatusArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let format = args.output.output;
    if args.watch {
        return watch::run(format, root).await;
    }
    let status = Client::agent(root).call(&STATUS, &[], &()).await?;
    let simulated = confidential::simulated(root);
    let rooms = rooms::state(&status, root).await;
    // Root is told at home, nobody elsewhere.
    let ai_device = Client::participant(root).call(&FINGERPRINT, &[], &()).await.ok();
    view::print(format, &StatusWithEvidence { status: &status, rooms, ai_device, simulated })?;
    let running = status.state == State::Running;
    if format == Format::Table && !running {
        output::note(next(status.state));
    }
    Ok(if running { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn next(state: State) -> Message {
    match state {
        State::NeedsJoin => message!("next-needs-join"),
        State::Joining => message!("next-joining"),
        State::WaitingForApproval => message!("next-waiting"),
        State::Expired => message!("next-expired"),
        State::Paused => message!("next-paused"),
        State::Running => message!("next-running"),
    }
}
