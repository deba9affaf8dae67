//! Services as systemd units, directories as `tmpfiles.d`, users as `sysusers.d`, devices as rules of udev.

use std::{collections::BTreeSet, fmt::Write as _};

use crate::{
    entry::{Arg, Kind, Memory, Service},
    jobs::{JOBS, Job},
    link::Link,
    mount::Directory,
    rows::{AGENT_SERVICE, FORMER, RELAY_EMBEDDED, RELAY_SERVICE, RESTORING, SERVICES},
    servers::{SERVER_DIRECTORIES, SERVERS, Server, server_links},
    table::directories_of,
};

/// First line of every file that is made from the table.
pub(crate) const GENERATED: &str =
    "# Generated from the service table by `cargo run --release -p cli --example units`.";
const NO_DEVICES: &str = "PrivateDevices=yes\nProtectKernelTunables=yes\n";
const NETWORK: &str = "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\n";
const NO_NETWORK: &str = "PrivateNetwork=yes\nRestrictAddressFamilies=AF_UNIX\n";

/// Most lines of a service in the journal in half a minute, what its container says included, when there is little room
/// for the journal; up to six times as many with more (`journald.conf(5)`, `RateLimitBurst=`). By default it is ten times that.
pub(crate) const LOG_LIMIT: &str = "LogRateLimitIntervalSec=30s\nLogRateLimitBurst=1000\n";

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

/// A daemon says that it is ready, and then that it runs (`chassis::notify`). One that hangs is killed, and back within ten
/// seconds of its last word. The start may take longer than a migration of its database, which must not be killed each time.
const WATCHED: &str = "Type=notify\nTimeoutStartSec=600\nWatchdogSec=8\n";

/// Before a daemon's program: until an update has copied the data, dpkg may have replaced the program, which would change the data
/// before there is a copy to put back. systemd tries again each second. Only root sees the stage.
fn before_start() -> String {
    format!(
        "ExecStartPre=+/bin/sh -c 'if grep -qsxE \"unpacking|copying\" /{FORMER}/stage; then \
         echo \"an update is under way; if none is, run: sudo maru upgrade\"; exit 1; fi'\n"
    )
}

/// Where openresolv keeps its entries, of which the agent's helper adds one; openresolv may be installed later.
const RESOLVCONF: &str = "run/resolvconf";

/// Name of the target that wants every service of the machine.
pub const TARGET: &str = "maru.target";
/// A line of every unit that stops and restarts with it.
pub(crate) const PART_OF_TARGET: &str = "PartOf=maru.target\n";
/// Name of the unit of `maru prepare`.
pub const PREPARE: &str = "maru-prepare.service";
/// Name of the unit that takes an update back that a power cut has interrupted.
pub const UPGRADE: &str = "maru-upgrade.service";
/// Name of the unit of `maru watch`.
pub const WATCH: &str = "maru-watch.service";
/// Name of the unit that closes an exit node's kill switch before there is a network.
pub const KILL_SWITCH: &str = "maru-kill-switch.service";
/// Lines of every service's unit: it starts after `maru prepare`, which refuses beside `maru up`.
pub(crate) const PREPARED: &str = "Requires=maru-prepare.service\nAfter=maru-prepare.service\n";

/// Name and text of every unit, of services and of a deployment's servers, and of the files that they need.
#[must_use]
pub fn files() -> Vec<(String, String)> {
    [of_services(SERVICES, JOBS), of_servers()].concat()
}

/// Those of a device that is no home: the agent's.
#[must_use]
pub fn device_files() -> Vec<(String, String)> {
    let jobs: Vec<_> = JOBS.iter().filter(|job| job.on_devices).copied().collect();
    of_services(&[AGENT_SERVICE], &jobs)
}

fn of_services(services: &[Service], jobs: &[Job]) -> Vec<(String, String)> {
    let children = services.iter().filter(|service| service.kind == Kind::Child);
    let mut files: Vec<_> = children
        .map(|service| (format!("{}.service", service.unit()), Unit::of(service).text()))
        .collect();
    let links = services.iter().flat_map(|service| service.listens);
    let users = services.iter().map(|service| (service.unit(), service.uid, service.gid));
    files.extend(
        jobs.iter()
            .flat_map(|job| [(job.service(), job_service(job)), (job.timer(), job_timer(job))]),
    );
    let containers: Vec<_> =
        services.iter().filter(|service| service.kind == Kind::Container).collect();
    // A device has none.
    if !containers.is_empty() {
        files.push((WATCH.to_owned(), watch(&containers)));
    }
    files.push((TARGET.to_owned(), target(services, jobs)));
    files.push((KILL_SWITCH.to_owned(), kill_switch()));
    files.push((PREPARE.to_owned(), prepare()));
    files.push((UPGRADE.to_owned(), upgrade()));
    let mut folders = tmpfiles(&directories_of(services), links);
    let _ = writeln!(folders, "# A unit does not see a folder that is made after its start.");
    let _ = writeln!(folders, "d /{RESOLVCONF} 0755 0 0 -");
    files.push(("maru.tmpfiles.conf".to_owned(), folders));
    files.push(("maru.sysusers.conf".to_owned(), sysusers(users)));
    files
}

fn of_servers() -> Vec<(String, String)> {
    let units = SERVERS
        .iter()
        .map(|server| (format!("{}.service", server.unit()), Unit::of_server(server).text()));
    let mut files: Vec<_> = units.collect();
    let devices =
        SERVERS.iter().flat_map(|server| server.devices.iter().map(|device| (*device, server.gid)));
    let users = SERVERS.iter().map(|server| (server.unit(), server.uid, server.gid));
    files.push((
        "maru-confidential.tmpfiles.conf".to_owned(),
        tmpfiles(SERVER_DIRECTORIES, server_links()),
    ));
    files.push(("maru-confidential.sysusers.conf".to_owned(), sysusers(users)));
    files.push(("90-maru-confidential.rules".to_owned(), rules(devices)));
    files
}

/// The variable parts of a unit.
struct Unit {
    description: &'static str,
    /// Program and arguments.
    command: String,
    /// `None` for root: from a unit with `User=0` and filters of system calls, systemd 257 takes `CAP_SETUID` away.
    uid: Option<u32>,
    gid: u32,
    /// Lines about devices, capabilities and the network.
    rights: String,
    /// Most memory in MiB, if that does not depend on a model.
    memory_mib: Option<u64>,
    file_mib: u64,
    pids: u32,
    writable: Vec<String>,
    /// Whether it starts and stops with [`TARGET`]; else whoever runs it enables it.
    in_target: bool,
    /// A file, below the root, where it does not start.
    unless: Option<&'static str>,
    /// A unit that it starts, and after which it starts.
    wants: Option<&'static str>,
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
            uid: (!service.starts_as_root()).then_some(service.uid),
            gid: service.gid,
            rights: rights(service),
            memory_mib: match service.memory {
                Memory::Mib(mib) => Some(mib),
                Memory::Model(_) => None,
            },
            file_mib: service.disk_mib,
            pids: service.pids,
            writable: service.writable(),
            in_target: true,
            unless: (service.name == RELAY_SERVICE.name).then_some(RELAY_EMBEDDED),
            wants: (service.name == AGENT_SERVICE.name).then_some(KILL_SWITCH),
        }
    }

    fn of_server(server: &Server) -> Self {
        Self {
            description: server.description,
            command: format!("/usr/bin/{} {}", server.binary, server.args.join(" ")),
            uid: Some(server.uid),
            gid: server.gid,
            rights: server_rights(server),
            memory_mib: server.memory_mib,
            file_mib: server.file_mib,
            pids: server.pids,
            writable: server.writable(),
            in_target: false,
            unless: None,
            wants: None,
        }
    }

    fn text(&self) -> String {
        let mut out = format!(
            "{GENERATED}\n\
             [Unit]\nDescription={}\n{}{}{}ConditionPathExists=!/{RESTORING}\n{}\
             Wants=network-online.target\nAfter=network-online.target\nStartLimitIntervalSec=0\n\n\
             [Service]\n{WATCHED}{}ExecStart={}\n{}Group={}\nRestart=always\nRestartSec=1\n\
             TimeoutStopSec=10\n{}{HARDENING}{LOG_LIMIT}",
            self.description,
            if self.in_target { PART_OF_TARGET } else { "" },
            if self.in_target { PREPARED } else { "" },
            self.wants.map_or_else(String::new, |unit| format!("Wants={unit}\nAfter={unit}\n")),
            self.unless.map_or_else(String::new, |file| format!("ConditionPathExists=!/{file}\n")),
            before_start(),
            self.command,
            self.uid.map_or_else(String::new, |uid| format!("User={uid}\n")),
            self.gid,
            self.rights,
        );
        if let Some(mib) = self.memory_mib {
            let _ = writeln!(out, "MemoryMax={mib}M");
        }
        let _ = writeln!(out, "LimitFSIZE={}M", self.file_mib);
        let _ = writeln!(out, "TasksMax={}", self.pids);
        for path in &self.writable {
            let _ = writeln!(out, "ReadWritePaths=/{path}");
        }
        if !self.in_target {
            out.push_str("\n[Install]\nWantedBy=multi-user.target\n");
        }
        out
    }
}

/// The target: it starts nothing before somebody enables it.
fn target(services: &[Service], jobs: &[Job]) -> String {
    let mut out = format!("{GENERATED}\n[Unit]\nDescription=Maru: every service of this machine\n");
    for service in services {
        let _ = writeln!(out, "Wants={}.service", service.unit());
    }
    if services.iter().any(|service| service.kind == Kind::Container) {
        let _ = writeln!(out, "Wants={WATCH}");
    }
    for job in jobs {
        let _ = writeln!(out, "Wants={}", job.timer());
    }
    out.push_str("\n[Install]\nWantedBy=multi-user.target\n");
    out
}

/// The unit of `maru prepare`: once for each start of the target, before every service.
fn prepare() -> String {
    format!(
        "{GENERATED}\n\
         [Unit]\nDescription=Maru: checks that `maru up` does not run, and names the model for the engines\n\
         {PART_OF_TARGET}Requires={UPGRADE}\nAfter={UPGRADE}\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/maru prepare\n\
         CapabilityBoundingSet=\n{NO_DEVICES}{NO_NETWORK}{HARDENING}{LOG_LIMIT}\
         MemoryMax=64M\nLimitFSIZE=1M\nTasksMax=16\nReadWritePaths=/run/maru\n\
         # It sees whether processes of a killed `maru up` still run.\nProtectProc=default\n"
    )
}

/// The unit that watches services in containers.
fn watch(containers: &[&Service]) -> String {
    let groups: BTreeSet<_> = containers
        .iter()
        .filter_map(|service| service.listens.first())
        .map(|link| link.group)
        .collect();
    let groups: Vec<_> = groups.into_iter().map(|group| group.to_string()).collect();
    format!(
        "{GENERATED}\n\
         [Unit]\nDescription=Maru: starts containers again that hang\n{PART_OF_TARGET}{PREPARED}\
         StartLimitIntervalSec=0\n\n\
         [Service]\n{WATCHED}ExecStart=/usr/bin/maru watch\nRestart=always\nRestartSec=1\n\
         # The groups of the sockets that it asks. It has no rights but those that root has as the owner of control groups.\n\
         SupplementaryGroups={}\n\
         CapabilityBoundingSet=\n{NO_DEVICES}{NO_NETWORK}{HARDENING}{LOG_LIMIT}\
         ProtectControlGroups=no\nInaccessiblePaths=-/run/systemd/private -/run/dbus\n\
         MemoryMax=64M\nLimitFSIZE=1M\nTasksMax=16\n",
        groups.join(" "),
    )
}

/// The unit that comes before `maru prepare`, once for each start of the target: it puts the former programs and data back. It
/// stays active, and has no condition, which would leave it inactive: systemd would start it with every service that it starts
/// again, and take an update back that goes on.
fn upgrade() -> String {
    format!(
        "{GENERATED}\n\
         [Unit]\nDescription=Maru: takes an update back that was cut short\n{PART_OF_TARGET}\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/maru upgrade --before-start\n\
         # The agent reaches the services again, without the restrictions below: they deny a folder's setgid bit.\n\
         ExecStartPost=-+/bin/sh -c 'if grep -qsx undone /{FORMER}/stage; then systemd-tmpfiles --create maru.conf; fi'\n\
         # It replaces programs, and data of every user.\n\
         CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER\n\
         {NO_DEVICES}{NO_NETWORK}{HARDENING}{LOG_LIMIT}\
         MemoryMax=256M\nTasksMax=16\nReadWritePaths=/usr -/var/lib/maru\n"
    )
}

/// The unit that the agent's starts before the network is up. It comes after what loads the machine's own rules, which may
/// remove all others, and stays: each start of the agent begins by closing the kill switch itself.
fn kill_switch() -> String {
    format!(
        "{GENERATED}\n\
         [Unit]\nDescription=Maru: lets nothing leave beside the exit node before the agent runs\n\
         DefaultDependencies=no\nConflicts=shutdown.target\nBefore=shutdown.target\n\
         ConditionPathExists=/etc/maru/agent.toml\nAfter=local-fs.target nftables.service\n\
         Wants=network-pre.target\nBefore=network-pre.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/maru-agent kill-switch\n\
         # It reads the agent's state, too: a paused one needs no kill switch.\n\
         CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_NET_ADMIN\n\
         RestrictAddressFamilies=AF_UNIX AF_NETLINK\n{NO_DEVICES}{HARDENING}{LOG_LIMIT}\
         MemoryMax=64M\nLimitFSIZE=1M\nTasksMax=16\n"
    )
}

/// The service of a job, which its timer starts.
fn job_service(job: &Job) -> String {
    let mut out = format!("{GENERATED}\n[Unit]\nDescription={}\n", job.description);
    if let Some(path) = job.needs {
        let _ = writeln!(out, "ConditionPathExists={path}");
    }
    let _ = write!(
        out,
        "ConditionPathExists=!/{RESTORING}\n\n\
         [Service]\nType=oneshot\nExecStart=/usr/bin/maru {}\n\
         CapabilityBoundingSet={}\nNice=10\nIOSchedulingClass=idle\nTimeoutStartSec=6h\n\
         {NO_DEVICES}{NO_NETWORK}{HARDENING}{LOG_LIMIT}MemoryMax={}M\nTasksMax=64\n",
        job.command, job.capabilities, job.memory_mib,
    );
    if !job.writable.is_empty() {
        let places: Vec<_> = job.writable.iter().map(|place| format!("-{place}")).collect();
        out.push_str("# Copies of databases are too large for a /tmp in memory.\n");
        out.push_str("Environment=TMPDIR=/var/tmp\n");
        let _ = writeln!(out, "ReadWritePaths=/var/lib/maru {}", places.join(" "));
    }
    out
}

fn job_timer(job: &Job) -> String {
    format!(
        "{GENERATED}\n[Unit]\nDescription=Maru: the daily {}\n{PART_OF_TARGET}\n\
         [Timer]\nOnCalendar=daily\nRandomizedDelaySec=2h\nPersistent=yes\n",
        job.name
    )
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
        // Its helper, which stays root, changes the resolver and restores it after the stop signal; if both are killed, what runs
        // then does. Its TUN device, and with it the interface, is kept over a restart.
        let _ = write!(
            out,
            "ExecStopPost=/usr/bin/{} restore\n\
             KillMode=mixed\nFileDescriptorStoreMax=1\nDeviceAllow=/dev/net/tun rw\nDevicePolicy=closed\n\
             ReadWritePaths=/etc -/{RESOLVCONF}\n\
             RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n",
            service.binary
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

/// `sysusers.d(5)`: these users and their groups, so that nobody else is given their numbers. Services with one user share the
/// name of the first.
fn sysusers(users: impl IntoIterator<Item = (String, u32, u32)>) -> String {
    let mut out = format!("{GENERATED}\n# Type Name ID\n");
    let mut known = BTreeSet::new();
    for (name, uid, gid) in users.into_iter().filter(|(_, uid, _)| known.insert(*uid)) {
        if uid == gid {
            let _ = writeln!(out, "u {name} {uid}");
        } else {
            let _ = writeln!(out, "g {name} {gid}\nu {name} {uid}:{gid}");
        }
    }
    out
}
