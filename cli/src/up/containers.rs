//! The services that run in containers: their images, and what this machine can limit.

use std::collections::BTreeMap;

use anyhow::Context as _;
use services::Instance;
use services::{
    Kind, SERVICES, Service,
    podman::{self, Limits, Settings},
};

use crate::{
    output,
    up::{
        engine::Podman,
        limits::{self, Refused},
        memory::Holder,
        plan::Plan,
        progress::Step,
        supervisor::Spec,
    },
};

/// What all containers of a run have in common.
#[derive(Debug)]
pub(super) struct Containers {
    /// The image of each program.
    images: BTreeMap<&'static str, String>,
    limits: Limits,
    refused: Refused,
}

/// The services that run in containers.
fn services() -> impl Iterator<Item = &'static Service> {
    SERVICES.iter().filter(|service| service.kind == Kind::Container)
}

impl Containers {
    /// Makes the images that are missing, and finds out what this machine can limit.
    pub(super) async fn prepare(plan: &Plan, podman: &Podman, step: &Step) -> anyhow::Result<Self> {
        step.now("making container images");
        let mut images = BTreeMap::new();
        for service in services() {
            if !images.contains_key(service.binary) {
                let image = podman.image(plan.program(service)?).await?;
                images.insert(service.binary, image);
            }
        }
        step.now("finding out what this machine can limit");
        let (limits, refused) = limits::detect(podman, image(&images, &limits::TRIED)?).await?;
        Ok(Self { images, limits, refused })
    }

    /// How `service` is run.
    pub(super) fn spec(
        &self,
        service: &Service,
        plan: &Plan,
        podman: &Podman,
    ) -> anyhow::Result<Spec> {
        let settings = Settings {
            root: plan.root.clone(),
            image: image(&self.images, service)?.to_owned(),
            model: Some(plan.model.clone()),
            threads: plan.threads,
            limits: self.limits,
        };
        let mut command: Vec<String> =
            ["setpriv", "--pdeathsig=TERM", "--", "podman"].map(str::to_owned).to_vec();
        command.extend(podman.globals());
        command.extend(["run".to_owned(), "--replace".to_owned()]);
        command.extend(podman::run(service, &settings));
        Ok(Spec::of(service, &plan.root, command, Some(podman.environment())))
    }

    /// Says which limits are not in force, here and to `maru doctor`, and what holds the processes to their memory. What Podman accepted may still not be: the
    /// running containers are looked at.
    pub(super) async fn report(
        &mut self,
        plan: &Plan,
        podman: &Podman,
        holder: Holder,
    ) -> anyhow::Result<()> {
        let instance = Instance::of(&plan.root);
        for service in services() {
            let Some(pid) = podman.pid(&instance.container(service.name)).await? else { continue };
            let memory = service.memory.mib(Some(plan.model.size));
            for limit in limits::not_in_force(pid, memory, service.pids) {
                let asked =
                    if limit.name == "memory" { self.limits.memory } else { self.limits.pids };
                if asked && self.refused.limits.iter().all(|known| known.name != limit.name) {
                    self.refused.limits.push(limit);
                }
            }
        }
        self.refused.children = holder;
        if let Ok(text) = serde_json::to_string(&self.refused) {
            let _ = std::fs::write(plan.root.join(limits::FILE), text);
        }
        for limit in &self.refused.limits {
            output::note(&format!(
                "This machine does not limit containers' {}: {}",
                limit.name, limit.reason
            ));
        }
        Ok(())
    }
}

fn image<'a>(
    images: &'a BTreeMap<&'static str, String>,
    service: &Service,
) -> anyhow::Result<&'a str> {
    let found = images.get(service.binary).map(String::as_str);
    found.with_context(|| format!("there is no image of {}", service.binary))
}
