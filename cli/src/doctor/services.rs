//! Checks of the services.

use std::{
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::Path,
};

use coordinator_api::Health;
use node_agent_api::{STATUS, State, Status};

use crate::{
    client::Client,
    doctor::{Finding, read},
    service::{LINKS, Link, PLUGIN, SERVICES},
    up::{self, ports},
};

/// The version of `maru` itself.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Every check of the services.
pub(super) async fn check(root: &Path) -> Vec<Finding> {
    let mut findings = vec![programs()];
    let running = !read(root.join("run/maru/up.pid")).is_empty();
    if running {
        findings.extend(LINKS.iter().map(|link| socket(root, link)));
        findings.push(coordinator(root).await);
        findings.push(agent(root).await);
    } else {
        findings.push(free_ports());
        if root.join(node_agent_api::SOCKET).exists() {
            findings.push(agent(root).await);
        }
    }
    findings
}

fn programs() -> Finding {
    let mut missing: Vec<_> = SERVICES
        .iter()
        .map(|service| service.binary)
        .filter(|binary| up::find_binary(binary).is_err())
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

fn free_ports() -> Finding {
    let port = |protocol, number, service| ports::Port { protocol, number, service };
    let wanted = [
        port(ports::Protocol::Tcp, 8443, "coordinator"),
        port(ports::Protocol::Tcp, 8444, "relay"),
        port(ports::Protocol::Udp, 3478, "relay"),
    ];
    match ports::taken(&wanted) {
        Ok(taken) if taken.is_empty() => Finding::ok("ports", "8443, 8444 and 3478 are free"),
        Ok(taken) => Finding::warning(
            "ports",
            taken.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            "stop it before `maru up`, or give Maru another port in etc/maru/",
        ),
        Err(error) => Finding::warning("ports", format!("{error:#}"), "look with `ss -tulpn`"),
    }
}

/// A link's directory decides who may speak to its listener.
fn socket(root: &Path, link: &Link) -> Finding {
    let path = link.path(root);
    let shown = path.display();
    let folder = root.join(link.directory());
    let restart = "stop `maru up` and start it again";
    let Ok(meta) = std::fs::metadata(&folder) else {
        return Finding::error("sockets", format!("{} is missing", folder.display()), restart);
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
        return Finding::error("sockets", text, restart);
    }
    if *link == PLUGIN && path.exists() {
        // It takes telmeet alone, and would log a caller who is not.
        return Finding::ok("sockets", format!("{shown} is there"));
    }
    match UnixStream::connect(&path) {
        Ok(_) => Finding::ok("sockets", format!("{shown} answers")),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Finding::warning(
            "sockets",
            format!("{shown} is closed to this user, as it should be"),
            "sudo maru doctor",
        ),
        Err(error) => {
            let log = root.join(format!("var/log/maru/{}.log", link.name));
            let fix = format!("read {}, then {restart}", log.display());
            Finding::error("sockets", format!("{shown} does not answer: {error}"), fix)
        }
    }
}

async fn coordinator(root: &Path) -> Finding {
    let asked = async { Client::coordinator(root)?.get::<Health>("/api/v1/health").await };
    match asked.await {
        Ok(health) => version("coordinator", &health.version),
        Err(error) => Finding::error("coordinator", format!("{error:#}"), "sudo maru doctor"),
    }
}

async fn agent(root: &Path) -> Finding {
    let asked = async { Client::agent(root)?.get::<Status>(STATUS).await };
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
