//! `maru setup`: sets up the installed appliance, and has systemd start it.
//!
//! Its order: look at the machine, ask what no option says, check everything, show it and ask once more, and only then write,
//! start `maru.target`, wait for every service, join the home node and invite the first person. Every step may be repeated: a
//! second run changes what is named, keeps the rest, and ends what an interrupted one began.

use std::{
    io::{IsTerminal as _, stderr, stdin},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use coordinator_api::endpoints::LIST_USERS;
use messages::{Language, message};
use services::{SERVICES, Stage, stages};

use crate::{
    backup,
    client::Client,
    error::Usage,
    invite::{self, InviteArgs},
    model::folder::Folder,
    output::{self, Format, OutputArgs},
    setup::{
        args::SetupArgs,
        plan::Plan,
        questions::{Answers, ExistingSetup, Terminal},
    },
    sudo,
    units::{self, ready, systemctl},
    up::{
        self, checks, config,
        guide::{self, Summary},
        progress::Spinner,
        saved_options::SavedOptions,
        setup::home,
        start::progress,
    },
};

pub(crate) mod args;
mod host;
mod plan;
mod questions;

/// How long a service other than an engine may take; images are loaded meanwhile.
const STARTING: Duration = Duration::from_secs(5 * 60);
/// How long the first person's invitation can be used.
const INVITATION: Duration = Duration::from_secs(24 * 60 * 60);

/// Sets up the appliance and starts it.
pub(crate) async fn run(args: SetupArgs, root: &Path) -> anyhow::Result<ExitCode> {
    args.check()?;
    host::check(root).await?;
    if !rustix::process::geteuid().is_root() {
        return Err(sudo::again(message!("setup-needs-root")));
    }
    checks::machine()?;
    backup::restore::is_whole(root)?;
    if let Some(warning) = host::warning() {
        output::note(warning);
    }
    let answers = answers(&args, root).await?;
    let is_running = units::are_active(root).await;
    let mut plan = Plan::make(root, &answers, &args, is_running)?;
    // The memory of engines that run is taken already.
    if let Some(warning) = plan.warning()?.filter(|_| !is_running) {
        output::note(warning);
    }
    output::one(Format::Table, &(), &message!("setup-labels"), plan.rows())?;
    if args.dry_run {
        return output::line(message!("setup-dry-run")).map(|()| ExitCode::SUCCESS);
    }
    if is_terminal() && !output::is_confirmed(&message!("setup-go-on"))? {
        output::note(message!("setup-nothing-changed"));
        return Ok(ExitCode::FAILURE);
    }
    let alone = up::hold(root)?;
    plan.write().await?;
    drop(alone);
    let home = start(&plan, root, is_running).await?;
    guide::print(&home, &message!("setup-end", target = systemctl::TARGET))?;
    if let Some(user) = plan.user {
        invite(user, root).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the options say, and on a terminal what is asked.
async fn answers(args: &SetupArgs, root: &Path) -> anyhow::Result<Answers> {
    let network = config::is_there(root);
    let users = Client::coordinator(root).call(&LIST_USERS, &[], &()).await;
    let options = SavedOptions::load(root)?;
    let known = ExistingSetup {
        network,
        user: network && users.is_ok_and(|users| !users.is_empty()),
        model: options.model.is_some(),
        backups: options.backups.is_some(),
        models: Folder::of(root).list()?,
    };
    let said = Answers {
        network: args.network.clone(),
        user: args.user.clone(),
        reach: args.reach()?,
        model: args.model.clone(),
        backups: args.backups.clone(),
    };
    if is_terminal() {
        let language = Language::current();
        let mut terminal = Terminal { input: stdin().lock(), output: stderr(), language };
        return said.ask(&known, &mut terminal);
    }
    let missing = said.missing(&known);
    if !missing.is_empty() {
        return Err(Usage(message!("setup-needs-options", options = missing.join(", "))).into());
    }
    Ok(said)
}

/// Whether somebody can be asked.
fn is_terminal() -> bool {
    stdin().is_terminal() && stderr().is_terminal()
}

/// Has systemd start everything, waits for it, and joins the home node.
async fn start(plan: &Plan, root: &Path, was_running: bool) -> anyhow::Result<Summary> {
    let settings = &plan.config.coordinator;
    let step = Spinner::new();
    step.now(message!("setup-starting", target = systemctl::TARGET));
    systemctl::enable_now().await?;
    if was_running && plan.changes {
        // Every service requires it, so all of them restart.
        systemctl::restart(systemctl::PREPARE).await?;
    }
    let mut summary = None;
    for stage in stages() {
        step.now(progress(stage));
        let by = |stage| move |service: &&services::Service| service.ready.by == stage;
        for service in SERVICES.iter().filter(by(stage)).filter(|it| plan.options.runs(it)) {
            ready::wait(service, service.ready.patience.max(STARTING), root, settings).await?;
        }
        if stage == Stage::Agent {
            step.now(message!("joining-home"));
            summary = Some(home(root, plan.user.as_deref(), settings).await?);
        }
    }
    anyhow::Context::context(summary, "the service table has no agent")
}

async fn invite(name: String, root: &Path) -> anyhow::Result<()> {
    let output = OutputArgs { output: Format::Table };
    let args = InviteArgs { name, approved: false, force: false, expires: INVITATION, output };
    invite::run(args, &Client::coordinator(root)).await.map(drop)
}
