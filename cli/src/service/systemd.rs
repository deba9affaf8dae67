//! A service as a systemd unit, and the directories as `tmpfiles.d`.

use std::fmt::Write as _;

use crate::service::{Arg, DIRECTORIES, Kind, Memory, RESTORING, SERVICES, Service, links};

/// What every unit gives up. Sources: `systemd.exec(5)`, `systemd-analyze security`.
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

/// Name and text of every unit.
#[must_use]
pub fn files() -> Vec<(String, String)> {
    let mut files: Vec<_> = SERVICES
        .iter()
        .filter(|service| service.kind == Kind::Child)
        .map(|service| (format!("{}.service", service.unit()), unit(service)))
        .collect();
    files.push(("maru.tmpfiles.conf".to_owned(), tmpfiles()));
    files
}

fn unit(service: &Service) -> String {
    let mut command = format!("/usr/bin/{}", service.binary);
    for arg in service.args {
        if let Arg::Text(text) = arg {
            let _ = write!(command, " {text}");
        }
    }
    let mut out = format!(
        "# Generated from the service table by `cargo run --release -p cli --example units`.\n\
         [Unit]\nDescription={}\nConditionPathExists=!/{RESTORING}\n\
         Wants=network-online.target\nAfter=network-online.target\n\n\
         [Service]\nExecStart={command}\nUser={}\nGroup={}\nRestart=always\nRestartSec=1\n\
         TimeoutStopSec=10\n",
        service.description,
        if service.starts_as_root() { 0 } else { service.uid },
        service.gid,
    );
    rights(&mut out, service);
    out.push_str(HARDENING);
    if let Memory::Mib(mib) = service.memory {
        let _ = writeln!(out, "MemoryMax={mib}M");
    }
    let _ = writeln!(out, "TasksMax={}", service.pids);
    for path in service.writable() {
        let _ = writeln!(out, "ReadWritePaths=/{path}");
    }
    out.push_str("\n[Install]\nWantedBy=multi-user.target\n");
    out
}

/// What differs between a service that shapes the network and one that only uses it.
fn rights(out: &mut String, service: &Service) {
    let capabilities: Vec<_> = service
        .capabilities
        .iter()
        .chain(service.start_capabilities)
        .map(|name| format!("CAP_{name}"))
        .collect();
    let _ = writeln!(out, "CapabilityBoundingSet={}", capabilities.join(" "));
    if capabilities.is_empty() {
        out.push_str(
            "PrivateDevices=yes\nProtectKernelTunables=yes\n\
             RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\n",
        );
    } else {
        // It becomes its user by itself; a helper of it that stays root writes the resolver's file, and restores it
        // after it was told to stop.
        out.push_str(
            "KillMode=mixed\nDeviceAllow=/dev/net/tun rw\nDevicePolicy=closed\n\
             ReadWritePaths=/etc\n\
             RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n",
        );
    }
}

fn tmpfiles() -> String {
    let mut out = String::from(
        "# Generated from the service table by `cargo run --release -p cli --example units`.\n\
         # Type Path Mode User Group Age Argument\n",
    );
    for directory in DIRECTORIES {
        let _ = writeln!(
            out,
            "d /{} {:04o} {} {} -",
            directory.path, directory.mode, directory.uid, directory.gid
        );
    }
    for link in links() {
        let _ = writeln!(
            out,
            "d /{} {:04o} {} {} -",
            link.directory(),
            link.mode,
            link.owner,
            link.group
        );
    }
    out
}
