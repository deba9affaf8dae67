use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    AGENT_SERVICE, COORDINATOR_SERVICE, EngineOptions, GATEWAY_SERVICE, INFERENCE_SERVICE, Kind,
    Link, Probe, RELAY_EMBEDDED, SERVER_DIRECTORIES, SERVERS, SERVICES, Stage, child, directories,
    links, mesh_services,
    podman::{Limits, Model, Settings, run},
    quadlet, seccomp, server_links, stages, systemd,
};

mod engines;
mod upgrade;

fn settings() -> Settings {
    Settings {
        root: PathBuf::from("/srv/maru"),
        image: "localhost/image:1".to_owned(),
        model: Some(Model { path: PathBuf::from("/data/small.gguf"), size: 100 << 20 }),
        seccomp: PathBuf::from("/srv/maru/seccomp.json"),
        engine: Some(EngineOptions { threads: 2, ..EngineOptions::default() }),
        limits: Limits::full(20_000),
    }
}

/// If this fails: `cargo run --release -p cli --example units`.
#[test]
fn the_files_of_podman_and_systemd_are_what_the_table_gives() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (folder, files) in [("podman", quadlet::files()), ("systemd", systemd::files())] {
        let mut expected = BTreeSet::new();
        for (name, text) in files {
            let found = std::fs::read_to_string(repository.join(folder).join(&name)).unwrap();
            assert_eq!(found, text, "{folder}/{name}");
            expected.insert(name);
        }
        let there: BTreeSet<_> = std::fs::read_dir(repository.join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(there, expected, "{folder}/ holds a file that no service has");
    }
}

/// Whoever enables it gets all of them, and a package alone starts none.
#[test]
fn the_target_wants_every_service_and_nothing_else_does() {
    let files = [systemd::files(), quadlet::files()].concat();
    let text = |name: &str| &files.iter().find(|(known, _)| known == name).unwrap().1;
    let wanted: BTreeSet<_> =
        text(systemd::TARGET).lines().filter_map(|line| line.strip_prefix("Wants=")).collect();
    let services = SERVICES.iter().map(|it| format!("{}.service", it.unit()));
    let timers = crate::jobs::JOBS.iter().map(crate::jobs::Job::timer);
    let units: Vec<_> = services.chain([systemd::WATCH.to_owned()]).chain(timers).collect();
    assert_eq!(wanted, units.iter().map(String::as_str).collect());

    for service in SERVICES {
        let suffix = if service.kind == Kind::Container { "container" } else { "service" };
        let text = text(&format!("{}.{suffix}", service.unit()));
        assert!(text.contains("\nPartOf=maru.target\n"), "{}", service.name);
        assert!(!text.contains("[Install]"), "{}", service.name);
    }
    for server in SERVERS {
        let text = text(&format!("{}.service", server.unit()));
        assert!(!text.contains("maru.target") && text.contains("[Install]"), "{}", server.name);
    }
}

/// With `User=0`, systemd takes a capability away that the agent needs to give root's rights up.
#[test]
fn a_unit_of_root_names_no_user() {
    for (name, text) in systemd::files() {
        assert!(!text.contains("User=0\n"), "{name}");
    }
}

#[test]
fn every_container_runs_an_image_of_the_package() {
    let files = quadlet::files();
    let of = |suffix: &str| -> Vec<_> {
        files.iter().filter(|(name, _)| name.ends_with(suffix)).collect()
    };
    let images: BTreeSet<_> = of(".image").into_iter().map(|(name, _)| name.as_str()).collect();
    let used = of(".container").into_iter().map(|(name, text)| {
        let image = text.lines().find_map(|line| line.strip_prefix("Image="));
        image.unwrap_or_else(|| panic!("{name} names no image"))
    });
    assert_eq!(used.collect::<BTreeSet<_>>(), images);
    for (name, text) in of(".container") {
        assert!(text.contains("\nPull=never\n"), "{name}");
    }
    for (name, text) in of(".image") {
        assert!(text.contains("\nImage=oci-archive:/usr/lib/maru/images/"), "{name}");
    }
}

#[test]
fn every_unit_is_confined() {
    for (name, text) in systemd::files() {
        if !name.ends_with(".service") {
            continue;
        }
        for line in [
            "NoNewPrivileges=yes",
            "LimitCORE=0",
            "MemorySwapMax=0",
            "ProtectSystem=strict",
            "SystemCallFilter=@system-service",
        ] {
            assert!(text.lines().any(|has| has == line), "{name} lacks {line}");
        }
        let has_capabilities = !text.contains("\nCapabilityBoundingSet=\n");
        let with = [
            "maru-agent.service",
            "maru-backup.service",
            "maru-notices.service",
            systemd::UPGRADE,
            systemd::KILL_SWITCH,
        ];
        assert_eq!(has_capabilities, with.contains(&name.as_str()), "{name}");
    }
    for (name, text) in quadlet::files() {
        if name.ends_with(".container") {
            for line in ["SeccompProfile=/usr/share/maru/seccomp.json", "NoNewPrivileges=true"] {
                assert!(text.lines().any(|has| has == line), "{name} lacks {line}");
            }
        }
    }
}

/// What the kernel makes of the profile: `cli`, `container`.
#[test]
fn a_container_can_make_no_namespace_and_no_other_socket_than_a_local_one() {
    let profile = seccomp::profile();
    let rules_with = |call: &str| -> Vec<_> {
        let call = format!("\"{call}\"");
        profile.split("{\"names\"").skip(1).filter(|rule| rule.contains(&call)).collect()
    };
    for call in ["unshare", "setns", "mount", "ptrace", "process_vm_readv"] {
        let [rule] = rules_with(call)[..] else { panic!("{call}") };
        assert!(rule.contains("\"SCMP_ACT_ERRNO\""), "{call}: {rule}");
    }
    for call in ["clone", "socket", "socketpair"] {
        let [rule] = rules_with(call)[..] else { panic!("{call}") };
        assert!(rule.contains("\"args\""), "{call} is allowed whatever is asked: {rule}");
    }
    assert!(rules_with("clone3").is_empty() && rules_with("io_uring_enter").is_empty());
}

/// `maru prepare` makes the file where the coordinator is the relay.
#[test]
fn no_container_has_the_socket_of_the_journal() {
    for (name, text) in
        quadlet::files().into_iter().filter(|(name, _)| name.ends_with(".container"))
    {
        let volumes: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix("Volume=/")).collect();
        assert!(!volumes.is_empty(), "{name}");
        let leads = |volume: &&&str| {
            let path = volume.split(':').next().unwrap_or_default();
            "run/systemd/journal/socket".starts_with(path) || path.starts_with("run/systemd")
        };
        assert_eq!(volumes.iter().find(leads), None, "{name}: {text}");
        assert!(text.contains("\nLogDriver=journald\n"), "{name}");
    }
}

/// journald counts what a container says as its unit's, since Podman runs in the unit's own groups (`Delegate=`, `split`).
#[test]
fn no_service_floods_the_journal() {
    let files = [systemd::files(), quadlet::files()].concat();
    let services =
        files.iter().filter(|(name, _)| name.ends_with(".service") || name.ends_with(".container"));
    for (name, text) in services {
        let (_, section) = text.split_once("\n[Service]\n").unwrap();
        for line in ["LogRateLimitIntervalSec=30s", "LogRateLimitBurst=1000"] {
            assert!(section.lines().any(|has| has == line), "{name} lacks {line}");
        }
    }
}

#[test]
fn the_relay_does_not_start_where_the_coordinator_is_the_relay() {
    let line = format!("\nConditionPathExists=!/{RELAY_EMBEDDED}\n");
    for (name, text) in systemd::files() {
        assert_eq!(text.contains(&line), name == "maru-relay.service", "{name}");
    }
}

#[test]
fn the_kill_switch_is_closed_before_there_is_a_network_and_after_other_rules_are_loaded() {
    let files = systemd::files();
    let text = |name: &str| &files.iter().find(|(known, _)| known == name).unwrap().1;
    let has = |unit: &str, line: &str| {
        assert!(text(unit).lines().any(|has| has == line), "{unit} lacks {line}");
    };
    for line in [
        "DefaultDependencies=no",
        "After=local-fs.target nftables.service",
        "Wants=network-pre.target",
        "Before=network-pre.target",
    ] {
        has(systemd::KILL_SWITCH, line);
    }
    has("maru-agent.service", "Wants=maru-kill-switch.service");
    has("maru-agent.service", "After=maru-kill-switch.service");
}

/// A device gets no folder, user or unit of a home's.
#[test]
fn a_device_gets_what_its_agent_needs() {
    let files = systemd::device_files();
    let units: Vec<_> =
        files.iter().map(|(name, _)| name).filter(|name| name.ends_with(".service")).collect();
    let expected = [
        "maru-agent.service",
        "maru-notices.service",
        systemd::KILL_SWITCH,
        systemd::PREPARE,
        systemd::UPGRADE,
    ];
    assert_eq!(units, expected);
    let (_, folders) = files.iter().find(|(name, _)| name == "maru.tmpfiles.conf").unwrap();
    let unit = &files.iter().find(|(name, _)| name == "maru-agent.service").unwrap().1;
    let writable = unit.lines().filter_map(|line| line.strip_prefix("ReadWritePaths="));
    let writable: Vec<_> =
        writable.flat_map(str::split_whitespace).filter(|path| *path != "/etc").collect();
    assert!(writable.len() > AGENT_SERVICE.writable().len(), "{writable:?}");
    // What is not there when the agent starts stays closed to it.
    for path in writable.iter().map(|path| path.trim_start_matches('-')) {
        assert!(folders.contains(&format!("d {path} ")), "{path}");
    }
    for other in ["61001", "61002", "models"] {
        assert!(files.iter().all(|(_, text)| !text.contains(other)), "{other}");
    }
}

#[test]
fn the_arguments_of_podman() {
    insta::assert_snapshot!("podman-gateway", run(&GATEWAY_SERVICE, &settings()).join("\n"));
    insta::assert_snapshot!("podman-inference", run(&INFERENCE_SERVICE, &settings()).join("\n"));
}

#[test]
fn the_commands_of_children() {
    let root = Path::new("/srv/maru");
    let command = |service, binary: &str| {
        child::command(
            service,
            &child::MemoryBound::Rlimit,
            Path::new("/proc/self/exe"),
            Path::new(binary),
            root,
        )
    };

    insta::assert_snapshot!(
        "child-coordinator",
        command(&COORDINATOR_SERVICE, "/usr/bin/maru-coordinator").join(" ")
    );
    insta::assert_snapshot!(
        "child-agent",
        command(&AGENT_SERVICE, "/usr/bin/maru-agent").join(" ")
    );
}

#[test]
fn a_container_sees_no_network_and_only_the_agent_has_a_capability() {
    for service in SERVICES {
        assert_ne!(service.uid, 0, "{} is root", service.name);
        assert_eq!(service.starts_as_root(), service.name == "agent");
        if service.kind == Kind::Container {
            let args = run(service, &settings());
            assert!(args.contains(&"--network=none".to_owned()), "{}", service.name);
            assert!(args.contains(&"--cap-drop=ALL".to_owned()), "{}", service.name);
        }
        assert_eq!(!service.capabilities.is_empty(), service.name == "agent");
    }
}

#[test]
fn a_model_outside_the_folder_is_mounted_alone() {
    let args = run(&INFERENCE_SERVICE, &settings());

    let volume = "--volume=/data/small.gguf:/var/lib/maru/models/small.gguf:ro".to_owned();
    assert!(args.contains(&volume), "{args:?}");
    assert!(args.contains(&"/var/lib/maru/models/small.gguf".to_owned()));
}

#[test]
fn a_model_in_the_folder_is_mounted_with_it() {
    let path = PathBuf::from("/srv/maru/var/lib/maru/models/big/one.gguf");
    let model = Some(Model { path, size: 1 });

    let args = run(&INFERENCE_SERVICE, &Settings { model, ..settings() });

    let volume = "--volume=/srv/maru/var/lib/maru/models:/var/lib/maru/models:ro".to_owned();
    assert!(args.contains(&volume), "{args:?}");
    assert!(args.contains(&"/var/lib/maru/models/big/one.gguf".to_owned()));
}

#[test]
fn every_link_has_one_listener_that_owns_it_and_callers_of_its_group() {
    let names: BTreeSet<_> = links().map(|link| link.name).collect();
    assert_eq!(names.len(), links().count(), "two links have one name");
    let called = SERVICES.iter().flat_map(|service| service.calls);
    called.for_each(|link| assert!(names.contains(link.name), "nobody listens on {}", link.name));
    for link in links() {
        let listeners: Vec<_> = SERVICES.iter().filter(|s| s.listens.contains(link)).collect();
        assert_eq!(listeners.len(), 1, "{}", link.name);
        assert_eq!(listeners[0].uid, link.owner, "{}", link.name);
        for caller in SERVICES.iter().filter(|s| s.calls.contains(link)) {
            assert_eq!(caller.gid, link.group, "{} calls {}", caller.name, link.name);
        }
    }
}

/// The compiler sees to it that a row says when its service starts and when it is ready.
#[test]
fn what_the_table_says_of_a_start_can_be_done() {
    for service in SERVICES {
        let name = service.name;
        assert!(service.start <= service.ready.by, "{name} is waited for before it starts");
        match service.ready.probe {
            Probe::Get(path) => assert!(path.starts_with('/'), "{name}: {path}"),
            Probe::MeshHealth => {}
            Probe::RelayPort => continue,
        }
        let socket = service.socket(Path::new("/")).unwrap();
        let alike =
            SERVICES.iter().filter(|other| other.socket(Path::new("/")).as_ref() == Some(&socket));
        assert_eq!(alike.count(), 1, "{name} is asked on another's socket");
    }
    assert!(SERVICES.is_sorted_by_key(|service| service.start), "not in the order of the start");
    assert!(stages().contains(&Stage::Agent), "no home node joins");
}

#[test]
fn a_service_finds_its_folders_and_they_are_its_own() {
    for service in SERVICES {
        for mount in service.mounts.iter().filter(|mount| mount.is_writable()) {
            let directories = directories();
            let found = directories.iter().find(|directory| directory.path == mount.path);
            let owner = found.map(|directory| directory.uid);
            // The agent's helper is root.
            let owners = [Some(service.uid), service.starts_as_root().then_some(0)];
            assert!(owner.is_some() && owners.contains(&owner), "{}: {owner:?}", mount.path);
        }
    }
}

/// What `agent.toml` and the first settings are made of.
#[test]
fn a_mesh_service_listens_for_the_agent_and_reads_its_settings() {
    for (service, mesh) in mesh_services() {
        let name = service.name;
        let link = service.listens[0];
        assert_eq!((link.owner, link.group), (service.uid, super::AGENT_GID), "{name}");
        assert!(AGENT_SERVICE.calls.contains(&link), "{name}");
        assert_eq!(service.ready.probe, Probe::MeshHealth, "{name}");
        assert!(service.mounts.iter().any(|mount| mount.path == mesh.settings), "{name}");
        assert!(mesh.peers.iter().all(|(_, link)| service.calls.contains(link)), "{name}");
    }
    let ports: BTreeSet<_> = mesh_services().iter().map(|(_, mesh)| mesh.port).collect();
    assert_eq!(ports.len(), mesh_services().len(), "two services have one port");
}

/// So that a machine that is a home as well as a server lets neither read what is the other's.
#[test]
fn no_server_shares_a_user_with_anyone() {
    let homes = SERVICES.iter().map(|service| service.uid);
    // Two engines of a home are one user.
    let mut users: BTreeSet<u32> = homes.collect();
    for server in SERVERS {
        assert!(server.uid != 0 && server.uid == server.gid, "{}", server.name);
        assert!(users.insert(server.uid), "{} runs as another's user", server.name);
        assert!(SERVICES.iter().all(|service| service.name != server.name), "{}", server.name);
    }
    let links: BTreeSet<_> = links().chain(server_links()).map(|link| link.name).collect();
    assert_eq!(links.len(), crate::links().count() + server_links().count());
}

#[test]
fn a_node_shows_its_device_to_one_process_and_the_network_to_another() {
    let on_a_node: Vec<_> =
        SERVERS.iter().filter(|server| server.name.starts_with("compute-")).collect();
    let named = |holds: &dyn Fn(&super::Server) -> bool| -> Vec<&str> {
        on_a_node.iter().filter(|server| holds(server)).map(|server| server.name).collect()
    };

    assert_eq!(named(&|server| !server.devices.is_empty()), ["compute-boot"]);
    assert_eq!(named(&|server| server.network), ["compute-router-com"]);
    let units = systemd::files();
    for (name, text) in units.iter().filter(|(name, _)| name.starts_with("maru-compute-")) {
        let network = name == "maru-compute-router-com.service";
        assert_eq!(!network, text.contains("PrivateNetwork=yes\n"), "{name}");
        assert_eq!(text.contains("/dev/"), name.contains("boot"), "{name}");
        assert!(text.contains("CapabilityBoundingSet=\n"), "{name}");
    }
}

/// At whatever time the device comes, and after the distribution's own rules: Debian's for TPMs have number 60.
#[test]
fn a_nodes_device_is_given_to_the_group_of_the_process_that_may_open_it() {
    let files = systemd::files();
    let rules: Vec<_> = files.iter().filter(|(name, _)| name.ends_with(".rules")).collect();
    let [(name, rules)] = rules[..] else { panic!("{rules:?}") };
    assert!(name.as_str() > "60-tpm-udev.rules", "{name}");
    let (_, unit) = files.iter().find(|(name, _)| name == "maru-compute-boot.service").unwrap();
    let gid = unit.lines().find_map(|line| line.strip_prefix("Group=")).unwrap();
    let allowed = unit.lines().filter_map(|line| line.strip_prefix("DeviceAllow=/dev/"));
    let expected: BTreeSet<_> = allowed
        .map(|device| device.trim_end_matches(" rw"))
        .map(|device| format!("KERNEL==\"{device}\", GROUP=\"{gid}\", MODE=\"0660\""))
        .collect();
    assert_eq!(expected.len(), 2);
    let said = rules.lines().filter(|line| !line.starts_with('#')).map(str::to_owned);
    assert_eq!(said.collect::<BTreeSet<_>>(), expected);
}

#[test]
fn a_server_finds_its_folders_and_calls_whom_its_group_lets_it_call() {
    for server in SERVERS {
        for &path in server.writes {
            let found = SERVER_DIRECTORIES.iter().find(|directory| directory.path == path);
            assert_eq!(found.map(|found| found.uid), Some(server.uid), "{path}");
        }
        let own = |link: &Link| link.owner == server.uid;
        assert!(server.listens.iter().all(own), "{} listens on another's link", server.name);
        let enters = |link: &Link| {
            link.group == server.gid && server_links().any(|listened| listened == link)
        };
        assert!(server.calls.iter().all(enters), "{} calls in vain", server.name);
    }
}
