//! Starts the services as their table says, and waits for each.

use std::path::Path;

use anyhow::Context as _;
use services::{Kind, Service, Stage, child, stages};

use crate::{
    confine,
    up::{
        containers::Containers,
        engine::Podman,
        guide::Home,
        memory::{Group, Holder},
        plan::Plan,
        progress::Step,
        ready, setup,
        supervisor::{Spec, Supervisor},
    },
};

/// What has been started.
#[derive(Debug)]
pub(super) struct Started {
    /// For the guide.
    pub(super) home: Home,
    /// What starting a container again takes.
    pub(super) containers: Containers,
}

/// Starts everything.
pub(super) async fn all(
    plan: &Plan,
    podman: &Podman,
    supervisor: &mut Supervisor,
) -> anyhow::Result<Started> {
    let step = Step::new();
    let group = Group::of(&plan.root);
    let holder = group.make();
    let mut containers: Option<Containers> = None;
    let mut home = None;
    for stage in stages() {
        let services = || plan.services().filter(|service| service.start == stage);
        if containers.is_none() && services().any(|service| service.kind == Kind::Container) {
            containers = Some(Containers::prepare(plan, podman, &step).await?);
        }
        step.now(stage.words());
        for service in services() {
            supervisor.start(match service.kind {
                Kind::Child => process(service, plan, &group, holder)?,
                Kind::Container => {
                    let containers = containers.as_ref().context("no container is prepared")?;
                    containers.spec(service, plan, podman)?
                }
            })?;
        }
        for service in plan.services().filter(|service| service.ready.by == stage) {
            let is_ready = || ready::is_ready(service, &plan.root, &plan.config.coordinator);
            supervisor.ready(service.name, service.ready.patience, is_ready).await?;
        }
        if stage == Stage::Agent {
            step.now("joining the home node");
            home = Some(setup::home(plan).await?);
        }
    }
    plan.remember()?;
    drop(step);
    let mut containers = containers.context("the service table has no container")?;
    containers.report(plan, podman, holder).await?;
    let home = home.context("the service table has no agent")?;
    Ok(Started { home, containers })
}

fn process(service: &Service, plan: &Plan, group: &Group, holder: Holder) -> anyhow::Result<Spec> {
    let (program, own) = (plan.program(service)?, Path::new(confine::OWN_PROGRAM));
    let bound = group.bound(holder, service).with_context(|| {
        format!("cannot make a control group for the {} service; see `maru doctor`", service.name)
    })?;
    let command = child::command(service, &bound, own, program, &plan.root);
    Ok(Spec::of(service, &plan.root, command, None))
}
