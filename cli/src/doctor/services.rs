//! Checks of the services.

use std::{os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use chassis::unix::ConnectError;
use coordinator_api::{endpoints::HEALTH, invitation::ServerUrl};
use messages::{Message, message};
use node_agent_api::{Certificate, FORWARDING, State, Status, endpoints::STATUS, settings};
use services::{
    AGENT_SERVICE, COORDINATOR_SERVICE, LOCAL_API, Link, SERVICES, Service, TELMEET_SERVICE, links,
};

use supervisor::{binaries, local, ports, ready};
use telmeet_api::rooms::TOTALS;

use crate::{
    client::Client,
    doctor::{
        backups, certificates, coordinators, expiry, firewall, names, paths, providers, read::read,
    },
    finding::{Finding, Repair},
    gateway, output, problem,
    reach::HttpsGap,
    units::{self, systemctl},
    up::{self, config, saved_options::SavedOptions},
};

/// The version of `maru` itself.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long a socket may take to accept.
const PATIENCE: Duration = Duration::from_secs(2);

/// Every check of the services.
pub(super) async fn check(root: &Path) -> Vec<Finding> {
    let mut findings = vec![programs()];
    // An unreadable file is reported below.
    if let Ok(settings) = config::coordinator(root) {
        findings.extend(certificates::check(root, &settings));
    }
    let by_systemd = units::are_active(root).await;
    if by_systemd || !read(root.join("run/maru/up.pid")).is_empty() {
        let started = by_systemd || up::is_ready(root);
        let remembered = SavedOptions::load(root).unwrap_or_default();
        let runs = |link: &&Link| service_of(link).is_none_or(|service| remembered.runs(service));
        findings.extend(links().filter(runs).map(|link| socket(root, link)));
        findings.extend(readiness(root, started, by_systemd).await);
        if rustix::process::geteuid().is_root() && started {
            findings.extend(super::config::check(root).await);
            if let Ok(settings) = config::coordinator(root) {
                findings.extend(coordinators::check(root, &settings).await);
            }
            findings.extend(providers::check(root).await);
            findings.extend(gateway::check(root).await);
            findings.push(rooms(root).await);
            findings.extend(expiry::check(root).await);
            findings.extend(super::wireguard::check(root).await);
        }
        if by_systemd {
            findings.push(enabled().await);
            if rustix::process::geteuid().is_root() {
                findings.push(backups::check(root));
            }
        }
        findings.push(coordinator(root).await);
        findings.extend(reach(root));
        findings.extend(agent(root).await);
    } else {
        let joined = LOCAL_API.path(root).exists();
        findings.extend(free_ports(root, joined));
        if joined {
            findings.extend(agent(root).await);
        }
    }
    findings
}

/// Whether the units start at the next boot, too.
async fn enabled() -> Finding {
    if systemctl::is_enabled(systemctl::TARGET).await {
        return Finding::ok("units", message!("units-enabled", target = systemctl::TARGET));
    }
    Finding::warning(
        "units",
        message!("units-not-enabled", target = systemctl::TARGET),
        message!("fix-units", target = systemctl::TARGET),
    )
    .repaired_by(Repair::Enable)
}

/// A warning if the key of this device expires soon; nothing if its agent does not run.
pub(super) async fn own_key(root: &Path) -> Vec<Finding> {
    let Ok(status) = Client::agent(root).call(&STATUS, &[], &()).await else { return Vec::new() };
    key(&status).into_iter().collect()
}

fn key(status: &Status) -> Option<Finding> {
    let text = expiry::own(status)?;
    Some(Finding::warning("expiry", text, message!("fix-own-key")))
}

fn programs() -> Finding {
    let mut missing: Vec<_> = SERVICES
        .iter()
        .map(|service| service.binary)
        .filter(|binary| binaries::find(binary).is_err())
        .collect();
    missing.dedup();
    if missing.is_empty() {
        return Finding::ok("programs", message!("programs-found"));
    }
    Finding::warning(
        "programs",
        message!("missing", names = missing.join(", ")),
        message!("fix-programs"),
    )
}

/// `agent_runs`: the agent itself uses its port.
fn free_ports(root: &Path, agent_runs: bool) -> Vec<Finding> {
    let mut wanted = match config::ports(root) {
        Ok(wanted) => wanted,
        Err(error) => {
            return vec![Finding::error("ports", format!("{error:#}"), message!("fix-file"))];
        }
    };
    wanted.retain(|port| !agent_runs || port.service != AGENT_SERVICE.name);
    match ports::taken(&wanted) {
        Ok(taken) if taken.is_empty() => {
            let numbers: Vec<_> = wanted.iter().map(|port| port.number.to_string()).collect();
            vec![Finding::ok("ports", message!("ports-free", ports = numbers.join(", ")))]
        }
        Ok(taken) => taken.iter().map(taken_port).collect(),
        Err(error) => {
            vec![Finding::warning("ports", format!("{error:#}"), message!("fix-look-at-ports"))]
        }
    }
}

fn taken_port(taken: &ports::PortConflict) -> Finding {
    let ports::Port { keys, file, .. } = taken.port();
    Finding::warning("ports", taken.message(), message!("fix-ports", keys, file))
}

/// The owner and mode of a link's directory decide who may connect to its listener.
fn socket(root: &Path, link: &Link) -> Finding {
    let path = link.path(root);
    let shown = path.display();
    let folder = root.join(link.directory());
    let Ok(meta) = std::fs::metadata(&folder) else {
        return Finding::error(
            "sockets",
            message!("file-missing", path = folder.display()),
            message!("fix-restart"),
        )
        .repaired_by(Repair::Directories);
    };
    let found = (meta.uid(), meta.gid(), meta.mode() & 0o7777);
    if found != (link.owner, link.group, link.mode) {
        let text = message!(
            "folder-owner",
            path = folder.display(),
            uid = found.0,
            gid = found.1,
            mode = format!("{:o}", found.2),
            owner = link.owner,
            group = link.group,
            right = format!("{:o}", link.mode)
        );
        let finding = Finding::error("sockets", text, message!("fix-restart"));
        return finding.repaired_by(Repair::Directories);
    }
    match local::connector(link, root).connect_blocking(PATIENCE) {
        Ok(_) => Finding::ok("sockets", message!("socket-answers", path = shown)),
        Err(ConnectError::Unreachable { source, .. })
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Finding::warning("sockets", message!("socket-closed", path = shown), "sudo maru doctor")
        }
        Err(error @ (ConnectError::NoSocket(_) | ConnectError::Uid { .. })) => {
            Finding::error("sockets", error.to_string(), message!("fix-restart"))
        }
        Err(ConnectError::Unreachable { source: error, .. }) => {
            let text = message!("socket-silent", path = shown, error);
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

/// Whether every service answers as its row expects; only root may ask most of them. Until all have `started` they may be silent.
async fn readiness(root: &Path, started: bool, by_systemd: bool) -> Vec<Finding> {
    let settings = match config::coordinator(root) {
        Ok(settings) => settings,
        Err(error) => {
            return vec![Finding::error("services", format!("{error:#}"), message!("fix-file"))];
        }
    };
    if !rustix::process::geteuid().is_root() {
        return vec![Finding::warning(
            "services",
            message!("services-root-only"),
            "sudo maru doctor",
        )];
    }
    let remembered = SavedOptions::load(root).unwrap_or_default();
    let mut findings = Vec::new();
    for service in SERVICES.iter().filter(|service| remembered.runs(service)) {
        let name = service.name;
        findings.push(if ready::is_ready(service, root, &settings).await {
            Finding::ok("services", message!("service-ready", name))
        } else if started {
            let text = message!("service-silent", name);
            if by_systemd {
                let unit = service.unit();
                let fix = message!("fix-read-journal", unit = &unit);
                let repair = Repair::Restart(format!("{unit}.service"));
                Finding::error("services", text, fix).repaired_by(repair)
            } else {
                Finding::error("services", text, read_and_restart(root, name))
            }
        } else {
            let fix = message!(
                "fix-wait-for-service",
                patience = format!("{:?}", service.ready.patience)
            );
            Finding::warning("services", message!("service-not-ready", name), fix)
        });
    }
    findings
}

/// What to do about a service that does not answer while `maru up` runs.
fn read_and_restart(root: &Path, service: &str) -> Message {
    let log = root.join(format!("var/log/maru/{service}.log"));
    message!("fix-read-log", path = log.display())
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

/// Whether telmeet has its rooms: without the key it runs, for sealed chat alone.
async fn rooms(root: &Path) -> Finding {
    let asked = async { Client::telmeet(root).call(&TOTALS, &[], &()).await };
    match asked.await {
        Ok(totals) => Finding::ok("rooms", message!("rooms-answer", rooms = totals.rooms)),
        Err(error) => {
            let fix = read_and_restart(root, TELMEET_SERVICE.name);
            Finding::error("rooms", format!("{error:#}"), fix)
        }
    }
}

/// Whether stock apps reach the coordinator's address.
fn reach(root: &Path) -> Option<Finding> {
    // An unreadable file was reported before.
    let settings = config::coordinator(root).ok()?;
    let server = ServerUrl::parse(settings.server_url.as_ref()?).ok()?;
    if !server.is_plain() && settings.tls.is_none() && settings.proxy.is_none() {
        let text = message!("apps-untrusted-proxy", server);
        let fix = message!("fix-proxy");
        return Some(Finding::warning("apps", text, fix));
    }
    Some(match HttpsGap::of(&server) {
        None => Finding::ok("apps", message!("apps-ok", server)),
        Some(gap @ HttpsGap::PlainInside) => {
            Finding { fix: Some(gap.fix()), ..Finding::ok("apps", gap.text()) }
        }
        Some(gap) => Finding::warning("apps", gap.text(), gap.fix()),
    })
}

async fn agent(root: &Path) -> Vec<Finding> {
    let asked = async { Client::agent(root).call(&STATUS, &[], &()).await };
    match asked.await {
        Ok(status) => {
            let certificates = status.certificates.iter().map(public_certificate);
            let own = [device(&status)].into_iter().chain(key(&status)).chain(certificates);
            let mut findings: Vec<_> = own.collect();
            let settings = config::agent(root);
            // Others than root may not read it.
            let default = settings::Settings::default().listen_port;
            let listen_port = settings.as_ref().map_or(default, |settings| settings.listen_port);
            findings.extend(paths::check(&status, listen_port).await);
            findings.extend(forwarding(&status));
            findings.extend(super::wireguard::router(&status));
            findings.extend(names::check(&status).await);
            findings.extend(names::through_exit(&status).await);
            if let Ok(settings) = settings {
                findings.extend(firewall::check(root, &settings).await);
                if status.wireguard.is_some_and(|router| !router.devices.is_empty()) {
                    findings.extend(firewall::passing(root, &settings).await);
                }
            }
            findings
        }
        Err(error) => vec![Finding::error("agent", format!("{error:#}"), message!("fix-agent"))],
    }
}

/// How this device stands.
fn device(status: &Status) -> Finding {
    if status.version != VERSION {
        return version("agent", &status.version);
    }
    if let Some(problem) = problem::of(status) {
        return Finding::warning("agent", problem, message!("fix-see-status"));
    }
    if status.state != State::Running {
        let paused = status.state == State::Paused;
        let text = message!("agent-state", state = output::word(&status.state));
        let fix = if paused { "sudo maru resume".into() } else { message!("fix-see-status") };
        return Finding::warning("agent", text, fix);
    }
    Finding::ok("agent", message!("agent-node"))
}

/// Routes that are offered while Linux forwards nothing.
fn forwarding(status: &Status) -> Option<Finding> {
    let [v4, v6] = FORWARDING;
    let off = status.offered_routes.iter().filter(|offered| offered.forwarding_off);
    let routes: Vec<_> = off.map(|offered| offered.route.as_str()).collect();
    let needs = |setting, is_v6: bool| {
        let of_family = routes.iter().any(|route| route.contains(':') == is_v6);
        of_family.then(|| format!(" {setting}=1"))
    };
    let settings: String = [needs(v4, false), needs(v6, true)].into_iter().flatten().collect();
    let text = message!("forwarding-off", routes = routes.join(", "));
    (!routes.is_empty())
        .then(|| Finding::warning("routes", text, format!("sudo sysctl -w{settings}")))
}

/// A name's public certificate. Without one there is that of the network's own authority.
fn public_certificate(certificate: &Certificate) -> Finding {
    let (id, name) = ("public-certificate", &certificate.name);
    match problem::of_certificate(certificate) {
        Some(problem) => {
            let text = message!("status-no-certificate", name, problem);
            Finding::warning(id, text, message!("fix-public-certificate"))
        }
        None => {
            let ends = certificate.ends.as_deref().unwrap_or_default();
            Finding::ok(id, message!("status-certificate", name, ends))
        }
    }
}

fn version(id: &'static str, found: &str) -> Finding {
    if found == VERSION {
        return Finding::ok(id, message!("version-answers", found));
    }
    Finding::warning(
        id,
        message!("version-differs", found, version = VERSION),
        message!("fix-version"),
    )
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use services::{INFERENCE_2, METRICS, PLUGIN, SERVICES, links};

    use super::{forwarding, free_ports, listener};
    use crate::finding::Severity;

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
    fn routes_that_are_not_forwarded_are_named_with_the_command() {
        let status = |off: [bool; 3]| {
            let route = |route, forwarding_off| serde_json::json!({ "route": route, "approved": true, "forwarding_off": forwarding_off });
            let routes = ["192.168.9.0/24", "0.0.0.0/0", "::/0"].into_iter().zip(off);
            let routes: Vec<_> = routes.map(|(net, off)| route(net, off)).collect();
            serde_json::from_value(serde_json::json!({
                "state": "running", "version": "0", "offered_routes": routes,
            }))
            .unwrap()
        };
        assert_eq!(forwarding(&status([false; 3])), None);
        let found = forwarding(&status([true, true, false])).unwrap();
        assert!(found.text.to_string().contains("192.168.9.0/24, 0.0.0.0/0"), "{}", found.text);
        assert_eq!(found.fix_text(), "sudo sysctl -w net.ipv4.ip_forward=1");
        let found = forwarding(&status([false, true, true])).unwrap();
        let both = "sudo sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1";
        assert_eq!(found.fix_text(), both);
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

        let found = free_ports(root.path(), false);

        let says = |text: &str| found.iter().find(|it| it.text.to_string().contains(text));
        let first = says(&format!("TCP port {}, ", tcp.port())).unwrap();
        let second = says(&format!("UDP port {}, ", udp.port())).unwrap();
        assert_eq!((first.severity, second.severity), (Severity::Warning, Severity::Warning));
        assert!(second.fix_text().contains("`listen_port` in etc/maru/agent.toml"), "{second:?}");
        let own = free_ports(root.path(), true);
        let of_agent = format!("UDP port {}, ", udp.port());
        assert!(own.iter().all(|it| !it.text.to_string().contains(&of_agent)), "{own:?}");
        drop(held);
    }
}
