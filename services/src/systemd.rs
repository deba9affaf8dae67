//! Services as systemd units, directories as `tmpfiles.d`, devices as rules of udev.

use std::fmt::Write as _;

use crate::{
    entry::{Arg, Kind, Memory, Service},
    link::Link,
    mount::Directory,
    rows::{RESTORING, SERVICES},
    servers::{SERVER_DIRECTORIES, SERVERS, Server, server_links},
    table::{directories, links},
};

const GENERATED: &str =
    "# Generated from the service table by `cargo run --release -p cli --example units`.";
const NO_DEVICES: &str = "PrivateDevices=yes\nProtectKernelTunables=yes\n";
const NETWORK: &str = "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\n";
const NO_NETWORK: &str = "PrivateNetwork=yes\nRestrictAddressFamilies=AF_UNIX\n";

/// Restrictions of every unit. Sources: `systemd.exec(5)`, `systemd-analyze security`.
const HARDENING: &str = "\
NoNewPrivileges=yes
LimitCORE=0
LockPersonality=yes
MemoryDenyWriteExecute=yes
MemorySwapMax=0
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=landlock_add_rule landlock_create_ruleset landlock_restrict_self
UMask=0077
";

/// Name and text of every unit, of services and of a deployment's servers, and of the files that they need.
#[must_use]
pub fn files() -> Vec<(String, String)> {
    let children = SERVICES.iter().filter(|service| service.kind == Kind::Child);
    let services = children.map(|service| (service.unit(), Unit::of(service)));
    let servers = SERVERS.iter().map(|server| (server.unit(), Unit::of_server(server)));
    let mut files: Vec<_> = services
        .chain(servers)
        .map(|(name, unit)| (format!("{name}.service"), unit.text()))
        .collect();
    let devices =
        SERVERS.iter().flat_map(|server| server.devices.iter().map(|device| (*device, server.gid)));
    files.push(("maru.tmpfiles.conf".to_owned(), tmpfiles(&directories(), links())));
    files.push((
        "maru-confidential.tmpfiles.conf".to_owned(),
        tmpfiles(SERVER_DIRECTORIES, server_links()),
    ));
    files.push(("90-maru-confidential.rules".to_owned(), rules(devices)));
    files
}

/// The variable parts of a unit.
struct Unit {
    description: &'static str,
    /// Program and arguments.
    command: String,
    uid: u32,
    gid: u32,
    /// Lines about devices, capabilities and the network.
    rights: String,
    /// Most memory in MiB, if that does not depend on a model.
    memory_mib: Option<u64>,
    file_mib: u64,
    pids: u32,
    writable: Vec<String>,
}

impl Unit {
    fn of(service: &Service) -> Self {
        let mut command = format!("/usr/bin/{}", service.binary);
        for arg in service.args {
            if let Arg::Text(text) = arg {
                let _ = write!(command, " {text}");
            }
        }
        Self {
            description: service.description,
            command,
            uid: if service.starts_as_root() { 0 } else { service.uid },
            gid: service.gid,
            rights: rights(service),
            memory_mib: match service.memory {
                Memory::Mib(mib) => Some(mib),
                Memory::Model(_) => None,
            },
            file_mib: service.disk_mib,
            pids: service.pids,
            writable: service.writable(),
        }
    }

    fn of_server(server: &Server) -> Self {
        let (uid, gid) = (server.uid, server.gid);
        Self {
            description: server.description,
            command: format!("/usr/bin/{} {}", server.binary, server.args.join(" ")),
            uid,
            gid,
            rights: server_rights(server),
            memory_mib: server.memory_mib,
            file_mib: server.file_mib,
            pids: server.pids,
            writable: server.writable(),
        }
    }

    fn text(&self) -> String {
        let mut out = format!(
            "{GENERATED}\n\
             [Unit]\nDescription={}\nConditionPathExists=!/{RESTORING}\n\
             Wants=network-online.target\nAfter=network-online.target\nStartLimitIntervalSec=0\n\n\
             [Service]\nExecStart={}\nUser={}\nGroup={}\nRestart=always\nRestartSec=1\n\
             TimeoutStopSec=10\n{}{HARDENING}",
            self.description, self.command, self.uid, self.gid, self.rights,
        );
        if let Some(mib) = self.memory_mib {
            let _ = writeln!(out, "MemoryMax={mib}M");
        }
        let _ = writeln!(out, "LimitFSIZE={}M", self.file_mib);
        let _ = writeln!(out, "TasksMax={}", self.pids);
        for path in &self.writable {
            let _ = writeln!(out, "ReadWritePaths=/{path}");
        }
        out.push_str("\n[Install]\nWantedBy=multi-user.target\n");
        out
    }
}

/// Devices, capabilities and network of a service; only one with capabilities configures the network.
fn rights(service: &Service) -> String {
    let capabilities: Vec<_> = service
        .capabilities
        .iter()
        .chain(service.start_capabilities)
        .map(|name| format!("CAP_{name}"))
        .collect();
    let mut out = format!("CapabilityBoundingSet={}\n", capabilities.join(" "));
    if capabilities.is_empty() {
        out.push_str(NO_DEVICES);
        out.push_str(NETWORK);
    } else {
        // Its helper, which stays root, writes the resolver's file and restores it after the stop signal.
        out.push_str(
            "KillMode=mixed\nDeviceAllow=/dev/net/tun rw\nDevicePolicy=closed\n\
             ReadWritePaths=/etc\n\
             RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n",
        );
    }
    out
}

/// Devices and network of a server; none has capabilities.
fn server_rights(server: &Server) -> String {
    let devices = match server.devices {
        [] => NO_DEVICES.to_owned(),
        devices => {
            let allow = |device| format!("DeviceAllow={device} rw\n");
            let allowed: String = devices.iter().map(allow).collect();
            format!("{allowed}DevicePolicy=closed\nProtectKernelTunables=yes\n")
        }
    };
    let network = if server.network { NETWORK } else { NO_NETWORK };
    format!("CapabilityBoundingSet=\n{devices}{network}")
}

/// `udev(7)`: gives devices to these groups. The file sorts after the distribution's rules (on Debian
/// `60-tpm-udev.rules`), which give a TPM to the group `tss`.
fn rules(devices: impl IntoIterator<Item = (&'static str, u32)>) -> String {
    let mut out = format!("{GENERATED}\n");
    for (device, gid) in devices {
        let name = device.trim_start_matches("/dev/");
        let _ = writeln!(out, "KERNEL==\"{name}\", GROUP=\"{gid}\", MODE=\"0660\"");
    }
    out
}

/// `tmpfiles.d(5)`: these directories and links.
fn tmpfiles<'a>(directories: &[Directory], links: impl IntoIterator<Item = &'a Link>) -> String {
    let mut out = format!("{GENERATED}\n# Type Path Mode User Group Age Argument\n");
    let directories = directories.iter().map(|it| (it.path.to_owned(), it.mode, it.uid, it.gid));
    let links = links.into_iter().map(|it| (it.directory(), it.mode, it.owner, it.group));
    for (path, mode, uid, gid) in directories.chain(links) {
        let _ = writeln!(out, "d /{path} {mode:04o} {uid} {gid} -");
    }
    out
}
