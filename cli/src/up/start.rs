//! Starts the services as their table says, and waits for each.

use std::path::Path;

use anyhow::Context as _;
use messages::{Message, message};
use services::{Kind, Stage, stages};

use supervisor::{Podman, Supervisor, containers::Containers, memory::Group, ready};

use crate::{
    confine,
    output::note_message,
    up::{guide::Summary, plan::Plan, progress::Spinner, setup},
};

/// What has been started.
#[derive(Debug)]
pub(super) struct Started {
    /// For the guide.
    pub(super) home: Summary,
    /// What starting a container again takes.
    pub(super) containers: Containers,
}

/// Starts everything.
pub(super) async fn all(
    plan: &Plan,
    podman: &Podman,
    supervisor: &mut Supervisor,
) -> anyhow::Result<Started> {
    let step = Spinner::new();
    let (parameters, confine) = (&plan.parameters, Path::new(confine::OWN_PROGRAM));
    let group = Group::of(&parameters.root);
    let holder = group.make();
    let mut containers: Option<Containers> = None;
    let mut home = None;
    for stage in stages() {
        let services = || plan.services().filter(|service| service.start == stage);
        if containers.is_none() && services().any(|service| service.kind == Kind::Container) {
            containers =
                Some(Containers::prepare(parameters, podman, |text| step.now(text)).await?);
        }
        step.now(progress(stage));
        for service in services() {
            supervisor.start(match service.kind {
                Kind::Child => group.spec(service, parameters, holder, confine)?,
                Kind::Container => {
                    let containers = containers.as_ref().context("no container is prepared")?;
                    containers.spec(service, parameters, podman)?
                }
            })?;
        }
        for service in plan.services().filter(|service| service.ready.by == stage) {
            let is_ready = || ready::is_ready(service, &parameters.root, &plan.config.coordinator);
            supervisor.ready(service.name, service.ready.patience, is_ready).await?;
        }
        if stage == Stage::Agent {
            step.now(message!("joining-home"));
            let user = plan.user.as_deref();
            home = Some(setup::home(&parameters.root, user, &plan.config.coordinator).await?);
        }
    }
    plan.remember()?;
    drop(step);
    let mut containers = containers.context("the service table has no container")?;
    containers.report(parameters, podman, holder, note_message).await?;
    let home = home.context("the service table has no agent")?;
    Ok(Started { home, containers })
}

/// What a stage does, for people.
pub(crate) fn progress(stage: Stage) -> Message {
    match stage {
        Stage::ControlPlane => message!("starting-control-plane"),
        Stage::Containers => message!("starting-containers"),
        Stage::Agent => message!("starting-agent"),
        Stage::Models => message!("loading-model"),
    }
}
