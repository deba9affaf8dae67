//! Checks of the services.

use std::{os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use chassis::unix::ConnectError;
use coordinator_api::{endpoints::HEALTH, invitation::ServerUrl};
use node_agent_api::{State, Status, endpoints::STATUS};
use services::{AGENT_SERVICE, COORDINATOR_SERVICE, LOCAL_API, Link, SERVICES, Service, links};
use supervisor::{binaries, local, ports, ready};

use crate::{
    client::Client,
    doctor::{certificates, finding::Finding, providers, read::read},
    reach::Lack,
    up::{self, config, remembered::Remembered},
};

/// The version of `maru` itself.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long a socket may take to accept.
const PATIENCE: Duration = Duration::from_secs(2);

/// What to do about what `maru up` made and somebody spoilt.
const RESTART: &str = "stop `maru up` and start it again";

/// Every check of the services.
pub(super) async fn check(root: &Path) -> Vec<Finding> {
    let mut findings = vec![programs()];
    // What is wrong with the file is found below.
    if let Ok(settings) = config::coordinator(root) {
        findings.extend(certificates::check(root, &settings));
    }
    let running = !read(root.join("run/maru/up.pid")).is_empty();
    if running {
        let told = Remembered::load(root).unwrap_or_default();
        let runs = |link: &&Link| service_of(link).is_none_or(|service| told.runs(service));
        findings.extend(links().filter(runs).map(|link| socket(root, link)));
        findings.extend(readiness(root).await);
        if rustix::process::geteuid().is_root() && up::is_ready(root) {
            findings.extend(providers::check(root).await);
        }
        findings.push(coordinator(root).await);
        findings.extend(reach(root));
        findings.push(agent(root).await);
    } else {
        let joined = LOCAL_API.path(root).exists();
        findings.push(free_ports(root, joined));
        if joined {
            findings.push(agent(root).await);
        }
    }
    findings
}

fn programs() -> Finding {
    let mut missing: Vec<_> = SERVICES
        .iter()
        .map(|service| service.binary)
        .filter(|binary| binaries::find(binary).is_err())
        .collect();
    missing.dedup();
    if missing.is_empty() {
        return Finding::ok("programs", "all of Maru's programs are found");
    }
    Finding::warning(
        "programs",
        format!("missing: {}", missing.join(", ")),
        "needed by `maru up` alone; install all of Maru's programs in one folder",
    )
}

/// `agent_runs`: its port is its own.
fn free_ports(root: &Path, agent_runs: bool) -> Finding {
    let mut wanted = match config::ports(root) {
        Ok(wanted) => wanted,
        Err(error) => return Finding::error("ports", format!("{error:#}"), "correct that file"),
    };
    wanted.retain(|port| !agent_runs || port.service != AGENT_SERVICE.name);
    match ports::taken(&wanted) {
        Ok(taken) if taken.is_empty() => {
            let numbers: Vec<_> = wanted.iter().map(|port| port.number.to_string()).collect();
            Finding::ok("ports", format!("free: {}", numbers.join(", ")))
        }
        Ok(taken) => Finding::warning(
            "ports",
            taken.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            format!("before `maru up`: {}", ports::advice(&taken)),
        ),
        Err(error) => Finding::warning("ports", format!("{error:#}"), "look with `ss -tulpn`"),
    }
}

/// A link's directory decides who may speak to its listener.
fn socket(root: &Path, link: &Link) -> Finding {
    let path = link.path(root);
    let shown = path.display();
    let folder = root.join(link.directory());
    let Ok(meta) = std::fs::metadata(&folder) else {
        return Finding::error("sockets", format!("{} is missing", folder.display()), RESTART);
    };
    let found = (meta.uid(), meta.gid(), meta.mode() & 0o7777);
    if found != (link.owner, link.group, link.mode) {
        let text = format!(
            "{} is {}:{} {:o}, should be {}:{} {:o}",
            folder.display(),
            found.0,
            found.1,
            found.2,
            link.owner,
            link.group,
            link.mode
        );
        return Finding::error("sockets", text, RESTART);
    }
    match local::connector(link, root).connect_blocking(PATIENCE) {
        Ok(_) => Finding::ok("sockets", format!("{shown} answers")),
        Err(ConnectError::Unreachable { source, .. })
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Finding::warning(
                "sockets",
                format!("{shown} is closed to this user, as it should be"),
                "sudo maru doctor",
            )
        }
        Err(error @ (ConnectError::NoSocket(_) | ConnectError::Uid { .. })) => {
            Finding::error("sockets", error.to_string(), RESTART)
        }
        Err(ConnectError::Unreachable { source: error, .. }) => {
            let text = format!("{shown} does not answer: {error}");
            Finding::error("sockets", text, read_and_restart(root, listener(link)))
        }
    }
}

/// The name of the service that listens on a link.
fn listener(link: &Link) -> &'static str {
    service_of(link).map_or(link.name, |service| service.name)
}

fn service_of(link: &Link) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.listens.contains(link))
}

/// Whether every service answers as `maru up` expects it to; only root may ask most of them.
async fn readiness(root: &Path) -> Vec<Finding> {
    let settings = match config::coordinator(root) {
        Ok(settings) => settings,
        Err(error) => {
            return vec![Finding::error("services", format!("{error:#}"), "correct that file")];
        }
    };
    if !rustix::process::geteuid().is_root() {
        return vec![Finding::warning("services", "only root may ask them", "sudo maru doctor")];
    }
    // Until then they are being started.
    let started = up::is_ready(root);
    let told = Remembered::load(root).unwrap_or_default();
    let mut findings = Vec::new();
    for service in SERVICES.iter().filter(|service| told.runs(service)) {
        let name = service.name;
        findings.push(if ready::is_ready(service, root, &settings).await {
            Finding::ok("services", format!("{name} is ready"))
        } else if started {
            let fix = read_and_restart(root, name);
            Finding::error("services", format!("{name} does not answer"), fix)
        } else {
            let fix = format!("wait; `maru up` gives it {:?}", service.ready.patience);
            Finding::warning("services", format!("{name} is not ready yet"), fix)
        });
    }
    findings
}

/// What to do about a service that does not answer while `maru up` runs.
fn read_and_restart(root: &Path, service: &str) -> String {
    let log = root.join(format!("var/log/maru/{service}.log"));
    format!("read {}, then {RESTART}", log.display())
}

async fn coordinator(root: &Path) -> Finding {
    let asked = async { Client::coordinator(root).call(&HEALTH, &[], &()).await };
    match asked.await {
        Ok(health) => version("coordinator", &health.version),
        Err(error) if !rustix::process::geteuid().is_root() => {
            Finding::warning("coordinator", format!("{error:#}"), "sudo maru doctor")
        }
        Err(error) => {
            let fix = read_and_restart(root, COORDINATOR_SERVICE.name);
            Finding::error("coordinator", format!("{error:#}"), fix)
        }
    }
}

/// Whether stock apps reach the coordinator's address.
fn reach(root: &Path) -> Option<Finding> {
    // What is wrong with the file was found before.
    let settings = config::coordinator(root).ok()?;
    let server = ServerUrl::parse(settings.server_url.as_ref()?).ok()?;
    if !server.is_plain() && settings.tls.is_none() && settings.proxy.is_none() {
        let text = format!(
            "devices reach {server} over a proxy that is not trusted, and all count as one"
        );
        let fix =
            "name the proxy's address in `trusted` under [proxy] in etc/maru/coordinator.toml";
        return Some(Finding::warning("apps", text, fix));
    }
    Some(match Lack::of(&server) {
        None => Finding::ok("apps", format!("{server} is where stock apps look for HTTPS")),
        Some(lack @ Lack::PlainInside) => {
            Finding { fix: lack.fix().to_owned(), ..Finding::ok("apps", lack.text()) }
        }
        Some(lack) => Finding::warning("apps", lack.text(), lack.fix()),
    })
}

async fn agent(root: &Path) -> Finding {
    let asked = async { Client::agent(root).call(&STATUS, &[], &()).await };
    match asked.await {
        Ok(status) if status.version != VERSION => version("agent", &status.version),
        Ok(Status { problem: Some(problem), .. }) => {
            Finding::warning("agent", problem, "see `maru status`")
        }
        Ok(status) if status.state != State::Running => Finding::warning(
            "agent",
            format!("state: {}", status.state.name().replace('_', " ")),
            "see `maru status`",
        ),
        Ok(_) => Finding::ok("agent", "this device is a node"),
        Err(error) => Finding::error("agent", format!("{error:#}"), "start the agent"),
    }
}

fn version(id: &'static str, found: &str) -> Finding {
    if found == VERSION {
        return Finding::ok(id, format!("answers, version {found}"));
    }
    Finding::warning(
        id,
        format!("version {found}, while maru is {VERSION}"),
        "install all programs of one version, then restart",
    )
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use services::{INFERENCE_2, METRICS, PLUGIN, SERVICES, links};

    use super::{free_ports, listener};
    use crate::doctor::finding::Severity;

    #[test]
    fn the_log_to_read_is_there() {
        for link in links() {
            let name = listener(link);
            assert!(SERVICES.iter().any(|service| service.name == name), "there is no {name}.log");
        }
        let named = [PLUGIN, METRICS, INFERENCE_2].map(|link| listener(&link));
        assert_eq!(named, ["gateway", "gateway", "inference-2"]);
    }

    #[test]
    fn the_ports_that_are_configured_are_looked_at() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/maru");
        std::fs::create_dir_all(&folder).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let held = (tcp, udp);
        let (tcp, udp) = (held.0.local_addr().unwrap(), held.1.local_addr().unwrap());
        std::fs::write(folder.join("coordinator.toml"), format!("listen = \"{tcp}\"\n")).unwrap();
        let agent = format!("listen_port = {}\n", udp.port());
        std::fs::write(folder.join("agent.toml"), agent).unwrap();

        let finding = free_ports(root.path(), false);

        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.text.contains(&format!("TCP port {}, ", tcp.port())), "{finding:?}");
        assert!(finding.text.contains(&format!("UDP port {}, ", udp.port())), "{finding:?}");
        assert!(finding.fix.contains("`listen_port` in etc/maru/agent.toml"), "{finding:?}");
        let own = free_ports(root.path(), true).text;
        assert!(!own.contains(&format!("UDP port {}, ", udp.port())), "{own}");
        drop(held);
    }
}
