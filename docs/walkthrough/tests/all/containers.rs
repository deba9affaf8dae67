//! What a prompt could get out through, seen from inside each container.
//!
//! Fails if a container has an interface besides `lo`, a capability, a way to more privileges, a
//! place to write outside its mounts, a mount that is not its own, or a limit that is neither in
//! force nor named. The same look at a container that was started with `--network=host` and another's
//! link finds both, so that it is known to look.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use lab::{
    Deployment, ROOT,
    inside::{as_process, processes, status_field},
};
use serde_json::Value;
use services::{AGENT_GID, GATEWAY_KEY, TELMEET};
use testkit::blocking::eventually;

use super::support::expected::{CONTAINERS, Container, MODEL};

/// One line of `/proc/PID/mountinfo` (proc(5)).
#[derive(Debug)]
struct Mount {
    /// What of its file system is mounted.
    source: String,
    point: String,
    writable: bool,
    kind: String,
}

fn mounts(pid: u32) -> Vec<Mount> {
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let mount = |line: &str| {
        let (mount, system) = line.split_once(" - ").unwrap();
        let fields: Vec<_> = mount.split(' ').collect();
        Mount {
            source: fields[3].to_owned(),
            point: fields[4].to_owned(),
            writable: !fields[5].split(',').any(|option| option == "ro"),
            kind: system.split(' ').next().unwrap().to_owned(),
        }
    };
    text.lines().map(mount).collect()
}

impl Mount {
    /// What Podman gives to every container: the image, the kernel's own file systems, and files
    /// that it wrote itself.
    fn is_podmans(&self) -> bool {
        const KERNELS: [&str; 9] = [
            "cgroup", "cgroup2", "devpts", "devtmpfs", "mqueue", "overlay", "proc", "sysfs",
            "tmpfs",
        ];
        const FILES: [&str; 6] = [
            "/etc/group",
            "/etc/hostname",
            "/etc/hosts",
            "/etc/passwd",
            "/etc/resolv.conf",
            "/run/.containerenv",
        ];
        let below =
            |folder: &str| self.point == folder || self.point.starts_with(&format!("{folder}/"));
        let kernels = ["/proc", "/sys", "/dev"].into_iter().any(below);
        self.point == "/"
            || kernels && KERNELS.contains(&self.kind.as_str())
            || FILES.contains(&self.point.as_str()) && self.source.contains("/containers/")
    }
}

impl Container {
    fn pid(&self, deployment: &Deployment) -> u32 {
        let found = deployment.processes(self.program, self.word).unwrap();
        assert_eq!(found.len(), 1, "{}: {found:?}", self.name);
        found[0]
    }

    /// Mounts that are not this container's, and those of its own that are missing.
    fn foreign_mounts(&self, pid: u32) -> Vec<String> {
        let mut missing: BTreeSet<(&str, bool)> =
            self.writes.iter().map(|path| (*path, true)).collect();
        missing.extend(self.reads.iter().map(|path| (*path, false)));
        let mut found = Vec::new();
        let mounts = mounts(pid);
        for mount in mounts.iter().filter(|mount| !mount.is_podmans()) {
            let path = mount.point.trim_start_matches('/');
            let listed = match path.strip_prefix(MODEL) {
                Some(file) if !file.contains('/') && mount.source.ends_with(file) => MODEL,
                Some(_) => "",
                None if mount.source.ends_with(&mount.point) => path,
                // A file system of its own, in memory.
                None if path == GATEWAY_KEY && mount.kind == "tmpfs" => path,
                None => "",
            };
            if !missing.remove(&(listed, mount.writable)) {
                found.push(format!("mount {mount:?}"));
            }
        }
        found.extend(missing.into_iter().map(|own| format!("no mount {own:?}")));
        found
    }
}

/// What must hold in a container, and does not in this one.
fn violations(pid: u32, own: &Container) -> Vec<String> {
    let mut found = Vec::new();
    let devices = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap();
    for name in devices.lines().skip(2).filter_map(|line| line.split(':').next()) {
        if name.trim() != "lo" {
            found.push(format!("interface {}", name.trim()));
        }
    }
    for set in ["CapEff", "CapPrm", "CapBnd", "CapAmb"] {
        let value = status_field(pid, set).unwrap();
        if !value.trim_start_matches('0').is_empty() {
            found.push(format!("{set} {value}"));
        }
    }
    if status_field(pid, "NoNewPrivs").unwrap() != "1" {
        found.push("new privileges".to_owned());
    }
    let id = |field| {
        let ids = status_field(pid, field).unwrap();
        ids.split_whitespace().next().unwrap().parse::<u32>().unwrap()
    };
    let (uid, gid) = (id("Uid"), id("Gid"));
    if uid == 0 {
        found.push("root".to_owned());
    }
    let mounts = mounts(pid);
    if mounts.iter().any(|mount| mount.point == "/" && mount.writable) {
        found.push("writable root".to_owned());
    }
    found.extend(own.foreign_mounts(pid));
    let tried =
        ["/", "/tmp", "/etc", "/dev", "/run", "/run/maru", "/var/lib/maru", "/proc", "/sys"];
    let points = mounts.into_iter().map(|mount| mount.point);
    let tried = tried.iter().map(|place| (*place).to_owned()).chain(points);
    let own = |place: &String| own.writes.contains(&place.trim_start_matches('/'));
    let tried: Vec<_> = tried.filter(|place| !own(place)).collect();
    let written = as_process(pid, uid, gid, move || {
        let could = |place: &String| {
            let file = Path::new(place).join("written-by-the-test");
            fs::write(&file, "x").is_ok() && fs::remove_file(&file).is_ok()
        };
        tried.into_iter().filter(could).collect::<Vec<_>>()
    });
    found.extend(written.unwrap().into_iter().map(|place| format!("could write to {place}")));
    found
}

fn command_line(pid: u32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The running `podman run` of each container: its name and command line.
fn podman_runs(home: u32) -> Vec<(String, Vec<String>)> {
    let runs = processes(home).unwrap().into_iter().filter(|(_, name)| name == "podman");
    let runs = runs.map(|(pid, _)| command_line(pid));
    let runs = runs.filter(|command| command.iter().any(|word| word == "run"));
    runs.map(|command| {
        let name = command.iter().find_map(|word| word.strip_prefix("--name=")).unwrap();
        (name.to_owned(), command.clone())
    })
    .collect()
}

/// The value of a limit of a process's control group, in version 1 or 2 (cgroups(7)); `None` if there is none.
fn limit(pid: u32, controller: &str, files: [&str; 2]) -> Option<u64> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        let folders: Vec<PathBuf> = match controllers {
            "" => ["", "unified"].map(|v2| Path::new("/sys/fs/cgroup").join(v2).join(path)).into(),
            list if list.split(',').any(|name| name == controller) => {
                vec![Path::new("/sys/fs/cgroup").join(controller).join(path)]
            }
            _ => return None,
        };
        let files = folders.iter().flat_map(|folder| files.map(|file| folder.join(file)));
        files.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).next()
    })
}

/// Checks that each limit is in force, or else named by what `maru up` wrote down and by `maru doctor`.
fn limits_hold_or_are_named(deployment: &Deployment) {
    let text = fs::read_to_string(deployment.home.root.join("run/maru/host.json")).unwrap();
    let host: Value = serde_json::from_str(&text).unwrap();
    let doctor = deployment.home.run(&["doctor", "-o", "json"]).unwrap();
    let doctor: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let named = |name: &str| {
        let refused = host["limits"].as_array().unwrap().iter();
        let written =
            refused.filter(|limit| limit["name"] == name && limit["reason"] != "").count();
        let says = format!("{name} is not limited");
        let findings = doctor.as_array().unwrap().iter();
        let told = findings.filter(|finding| {
            finding["id"] == "container-limits"
                && finding["severity"] == "warning"
                && finding["text"].as_str().is_some_and(|text| text.starts_with(&says))
        });
        assert_eq!(told.count() > 0, written > 0, "{name}: {host} but doctor says {doctor}");
        written > 0
    };
    let model = std::env::var_os("MARU_TEST_MODEL").unwrap();
    let model = fs::metadata(model).unwrap().len().div_ceil(1 << 20);
    for container in CONTAINERS {
        let pid = container.pid(deployment);
        let engine = container.reads.contains(&MODEL);
        let memory = (container.memory_mib + if engine { model } else { 0 }) << 20;
        let in_force = [
            ("memory", limit(pid, "memory", ["memory.max", "memory.limit_in_bytes"]), memory),
            ("pids", limit(pid, "pids", ["pids.max", "pids.max"]), container.pids),
        ];
        for (name, found, asked) in in_force {
            assert!(
                found == Some(asked) || named(name),
                "{}: {name} is limited to {found:?}, not {asked}, and nobody says so: {host}",
                container.name
            );
        }
        // Version 1 limits the sum, version 2 swap alone.
        let sum = limit(pid, "memory", ["memory.memsw.limit_in_bytes"; 2]);
        let swap = limit(pid, "memory", ["memory.swap.max"; 2]);
        assert!(
            sum == Some(memory) || swap == Some(0) || named("swap"),
            "{}: swap is not limited, and nobody says so: {host}",
            container.name
        );
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{}: {core}", container.name);
    }
}

#[test]
#[ignore = "needs: root, podman, model"]
fn each_container_is_shut_in_and_one_on_the_hosts_network_would_be_noticed() {
    let deployment = Deployment::start().unwrap();
    let home = deployment.home.machine.pid();
    let runs = podman_runs(home);
    assert_eq!(runs.len(), CONTAINERS.len(), "{runs:?}");
    let inside = || {
        let all = processes(home).unwrap().into_iter();
        // The kernel keeps 15 bytes of a program's name.
        let is_own = |name: &str| {
            CONTAINERS.iter().any(|own| own.program.get(..15).unwrap_or(own.program) == name)
        };
        all.filter(|(_, name)| is_own(name)).collect::<Vec<_>>()
    };
    let members = inside();
    assert_eq!(members.len(), CONTAINERS.len(), "{members:?}");
    for container in CONTAINERS {
        let found = violations(container.pid(&deployment), container);
        assert_eq!(found, Vec::<String>::new(), "{}", container.name);
    }
    limits_hold_or_are_named(&deployment);

    let own = CONTAINERS.iter().find(|container| container.name == "telmeet").unwrap();
    // The same image on the host's network, with a link folder of its own, and with another's link.
    let (_, telmeet) = runs.iter().find(|(name, _)| name.ends_with("telmeet")).unwrap();
    deployment
        .home
        .machine
        .sh(&format!(
            "mkdir -p /run/maru-lab/other; chown {TELMEET}:{AGENT_GID} /run/maru-lab/other"
        ))
        .unwrap();
    let words = telmeet.iter().map(|word| match word.as_str() {
        "--network=none" => "--network=host".to_owned(),
        name if name.starts_with("--name=") => "--name=open".to_owned(),
        "--log-driver=none" => format!("--volume={ROOT}/run/maru/gateway:/run/maru/gateway:ro"),
        volume if volume.ends_with(":/run/maru/telmeet:rw") => {
            "--volume=/run/maru-lab/other:/run/maru/telmeet:rw".to_owned()
        }
        word => word.to_owned(),
    });
    let words: Vec<String> = words.collect();
    let mut command = deployment.home.machine.command(&words[0]);
    command.args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null());
    let _open = deployment.home.machine.spawn(&mut command).unwrap();
    let (open, _) = eventually("the open container starts", || {
        inside().into_iter().find(|found| !members.contains(found))
    });
    let found = violations(open, own);
    assert!(found.contains(&"interface eth0".to_owned()), "{found:?}");
    assert!(found.iter().any(|what| what.contains("\"/run/maru/gateway\"")), "{found:?}");
}
