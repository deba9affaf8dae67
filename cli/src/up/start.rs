//! Starts the services in their order and waits for each.

use std::{net::SocketAddr, path::Path, time::Duration};

use node_agent_api::instance::Instance;

use crate::{
    confine, output,
    service::{
        ADMIN, AGENT_SERVICE, COORDINATOR_SERVICE, GATEWAY_HTTP, GATEWAY_SERVICE,
        INFERENCE_2_SERVICE, INFERENCE_SERVICE, Kind, LOCAL_API, RELAY_SERVICE, SERVICES, Service,
        TELMEET_HTTP, TELMEET_SERVICE, child,
        podman::{self, Limits, Settings},
    },
    up::{
        engine::{Podman, programs},
        guide::Home,
        limits::{self, Refused},
        plan::Plan,
        progress::Step,
        ready, setup,
        supervisor::{Spec, Supervisor},
    },
};

/// How long a service may take until it answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an engine may take to load its model; large ones are read from slow disks.
const LOADING: Duration = Duration::from_secs(20 * 60);

/// Starts everything; what it returns is for the guide.
pub(super) async fn all(
    plan: &Plan,
    podman: &Podman,
    supervisor: &mut Supervisor,
) -> anyhow::Result<Home> {
    let step = Step::new();
    step.now("starting coordinator and relay");
    for service in [&COORDINATOR_SERVICE, &RELAY_SERVICE] {
        supervisor.start(process(service, &plan.coordinator_program, &plan.root))?;
    }
    control_plane(plan, supervisor).await?;
    step.now("making container images");
    let images = podman.images(&plan.container_programs).await?;
    step.now("finding out what this machine can limit");
    let (limits, mut refused) = limits::detect(podman, image(&TELMEET_SERVICE, &images)).await?;
    step.now("starting containers");
    for service in SERVICES.iter().filter(|service| service.kind == Kind::Container) {
        supervisor.start(container(service, plan, podman, limits, image(service, &images)))?;
    }
    step.now("starting the agent");
    supervisor.start(process(&AGENT_SERVICE, &plan.agent_program, &plan.root))?;
    mesh_services(plan, supervisor).await?;
    step.now("joining the home node");
    let home = setup::home(plan).await?;
    step.now("loading the model");
    engines(plan, supervisor).await?;
    plan.remember()?;
    verify(plan, podman, limits, &mut refused).await?;
    drop(step);
    report(&plan.root, &refused);
    Ok(home)
}

async fn control_plane(plan: &Plan, supervisor: &Supervisor) -> anyhow::Result<()> {
    let admin = ADMIN.path(&plan.root);
    let probe = || ready::answers(&admin, "/api/v1/health");
    supervisor.ready(COORDINATOR_SERVICE.name, PATIENCE, probe).await?;
    let mut relay = plan.config.coordinator.relay.listen;
    if relay.ip().is_unspecified() {
        relay = SocketAddr::from(([127, 0, 0, 1], relay.port()));
    }
    supervisor.ready(RELAY_SERVICE.name, PATIENCE, || ready::accepts(relay)).await
}

async fn mesh_services(plan: &Plan, supervisor: &Supervisor) -> anyhow::Result<()> {
    // The gateway's other socket takes telmeet alone, and says so to anyone else who knocks.
    for (service, link) in [(&GATEWAY_SERVICE, GATEWAY_HTTP), (&TELMEET_SERVICE, TELMEET_HTTP)] {
        let socket = link.path(&plan.root);
        supervisor.ready(service.name, PATIENCE, || ready::healthy(&socket)).await?;
    }
    let local = LOCAL_API.path(&plan.root);
    let probe = || ready::answers(&local, node_agent_api::STATUS);
    supervisor.ready(AGENT_SERVICE.name, PATIENCE, probe).await
}

async fn engines(plan: &Plan, supervisor: &Supervisor) -> anyhow::Result<()> {
    for service in [&INFERENCE_SERVICE, &INFERENCE_2_SERVICE] {
        for link in service.listens {
            let socket = link.path(&plan.root);
            supervisor.ready(service.name, LOADING, || ready::answers(&socket, "/health")).await?;
        }
    }
    Ok(())
}

/// Looks at the running containers: what Podman accepted may still not be in force.
async fn verify(
    plan: &Plan,
    podman: &Podman,
    limits: Limits,
    refused: &mut Refused,
) -> anyhow::Result<()> {
    let instance = Instance::of(&plan.root);
    for service in SERVICES.iter().filter(|service| service.kind == Kind::Container) {
        let Some(pid) = podman.pid(&instance.container(service.name)).await? else { continue };
        let memory = service.memory.mib(Some(plan.model.size));
        for limit in limits::not_in_force(pid, memory, service.pids) {
            let asked = if limit.name == "memory" { limits.memory } else { limits.pids };
            if asked && refused.limits.iter().all(|known| known.name != limit.name) {
                refused.limits.push(limit);
            }
        }
    }
    Ok(())
}

fn report(root: &Path, refused: &Refused) {
    if let Ok(text) = serde_json::to_string(refused) {
        let _ = std::fs::write(root.join(limits::FILE), text);
    }
    for limit in &refused.limits {
        output::note(&format!(
            "This machine does not limit containers' {}: {}",
            limit.name, limit.reason
        ));
    }
}

fn process(service: &Service, program: &Path, root: &Path) -> Spec {
    let command = child::command(service, Path::new(confine::OWN_PROGRAM), program, root);
    Spec { name: service.name, binary: service.binary, command, environment: None }
}

fn container(service: &Service, plan: &Plan, podman: &Podman, limits: Limits, image: &str) -> Spec {
    let settings = Settings {
        root: plan.root.clone(),
        image: image.to_owned(),
        model: Some(plan.model.clone()),
        threads: plan.threads,
        limits,
    };
    let mut command: Vec<String> =
        ["setpriv", "--pdeathsig=TERM", "--", "podman"].map(str::to_owned).to_vec();
    command.extend(podman.globals());
    command.extend(["run".to_owned(), "--replace".to_owned()]);
    command.extend(podman::run(service, &settings));
    let environment = Some(podman.environment());
    Spec { name: service.name, binary: service.binary, command, environment }
}

fn image<'a>(service: &Service, images: &'a [String]) -> &'a str {
    let at = programs().iter().position(|program| *program == service.binary);
    at.and_then(|at| images.get(at)).map_or("", String::as_str)
}
