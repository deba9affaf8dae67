//! The services that run in containers: their images, and what this machine can limit.

use std::collections::BTreeMap;

use anyhow::Context as _;
use messages::{Message, message};
use services::{
    Instance, Kind, SERVICES, Service,
    podman::{self, Limits, Settings},
};

use crate::{
    engine::Podman,
    limits::{self, MissingLimits},
    memory::MemoryEnforcement,
    parameters::{Note, Parameters},
    processes::Spec,
};

/// Images and limits of the containers of a run.
#[derive(Debug)]
pub struct Containers {
    /// The image of each program.
    images: BTreeMap<&'static str, String>,
    limits: Limits,
    missing: MissingLimits,
}

/// The services that run in containers.
fn services() -> impl Iterator<Item = &'static Service> {
    SERVICES.iter().filter(|service| service.kind == Kind::Container)
}

impl Containers {
    /// Makes missing images and detects which limits this machine enforces; `step` shows progress.
    pub async fn prepare(
        parameters: &Parameters,
        podman: &Podman,
        step: impl Fn(Message),
    ) -> anyhow::Result<Self> {
        step(message!("making-images"));
        let mut images = BTreeMap::new();
        for service in services() {
            if !images.contains_key(service.binary) {
                let image = podman.image(parameters.program(service)?).await?;
                images.insert(service.binary, image);
            }
        }
        step(message!("finding-limits"));
        let (limits, missing) = limits::detect(podman, image(&images, &limits::TRIED)?).await?;
        Ok(Self { images, limits, missing })
    }

    /// How `service` is run.
    pub fn spec(
        &self,
        service: &Service,
        parameters: &Parameters,
        podman: &Podman,
    ) -> anyhow::Result<Spec> {
        let settings = Settings {
            root: parameters.root.clone(),
            image: image(&self.images, service)?.to_owned(),
            model: Some(parameters.model_of(service).clone()),
            seccomp: podman.seccomp(),
            engine: Some(parameters.engine.clone()),
            limits: self.limits,
        };
        let mut command: Vec<String> =
            ["setpriv", "--pdeathsig=TERM", "--", "podman"].map(str::to_owned).to_vec();
        command.extend(podman.globals());
        command.extend(["run".to_owned(), "--replace".to_owned()]);
        command.extend(podman::run(service, &settings));
        Ok(Spec::of(service, &parameters.root, command, Some(podman.environment())))
    }

    /// Reports which limits are not in force, here and to `maru doctor`, and how the processes' memory is limited. The control
    /// groups of the running containers are checked, since Podman may accept a limit that has no effect.
    pub async fn report(
        &mut self,
        parameters: &Parameters,
        podman: &Podman,
        holder: MemoryEnforcement,
        note: Note,
    ) -> anyhow::Result<()> {
        let instance = Instance::of(&parameters.root);
        for service in services() {
            let Some(pid) = podman.pid(&instance.container(service.name)).await? else { continue };
            let memory =
                service.memory.mib(Some((parameters.model_of(service).size, &parameters.engine)));
            for limit in limits::not_in_force(pid, memory, service.pids) {
                let asked =
                    if limit.name == "memory" { self.limits.memory } else { self.limits.pids };
                if asked && self.missing.limits.iter().all(|known| known.name != limit.name) {
                    self.missing.limits.push(limit);
                }
            }
        }
        self.missing.children = holder;
        if let Ok(text) = serde_json::to_string(&self.missing) {
            let _ = std::fs::write(parameters.root.join(limits::FILE), text);
        }
        for limit in &self.missing.limits {
            note(&limit.message());
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
