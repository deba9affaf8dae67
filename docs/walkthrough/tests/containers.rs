//! What a prompt could get out through, seen from inside each container.
//!
//! Fails if a container has an interface besides `lo`, a capability, a way to more privileges, or a
//! place to write outside its mounts. The same look at a container that was started with
//! `--network=host` finds something, so that it is known to look.
#![allow(clippy::disallowed_methods, reason = "an end-to-end test runs on the real clock")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "nothing to do but fail")]

use std::{
    fs,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use lab::{
    Scene,
    inside::{as_process, processes, status_field},
};

/// What must hold in a container, and does not in this one.
fn violations(pid: u32, allowed: &[String]) -> Vec<String> {
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
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let points: Vec<String> =
        mounts.lines().map(|line| line.split(' ').nth(4).unwrap().to_owned()).collect();
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    if !root.split(' ').nth(5).unwrap().split(',').any(|option| option == "ro") {
        found.push("writable root".to_owned());
    }
    let tried =
        ["/", "/tmp", "/etc", "/dev", "/run", "/run/maru", "/var/lib/maru", "/proc", "/sys"];
    let tried = tried.iter().map(|place| (*place).to_owned()).chain(points);
    let tried: Vec<_> = tried.filter(|place| !allowed.contains(place)).collect();
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

/// What a container's command line mounts for writing.
fn writable(command: &[String]) -> Vec<String> {
    let volumes = command.iter().filter_map(|word| word.strip_prefix("--volume="));
    let writable = volumes.filter(|volume| volume.ends_with(":rw"));
    writable.map(|volume| volume.split(':').nth(1).unwrap().to_owned()).collect()
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

#[test]
#[ignore = "needs: root, podman, model"]
fn each_container_is_shut_in_and_one_on_the_hosts_network_would_be_noticed() {
    let scene = Scene::start().unwrap();
    let home = scene.home.machine.pid();
    let runs = podman_runs(home);
    assert_eq!(runs.len(), 4, "gateway, telmeet and two engines: {runs:?}");
    let allowed: Vec<String> = runs.iter().flat_map(|(_, command)| writable(command)).collect();
    let daemons = ["maru-gateway", "maru-telmeet", "maru-llm"];
    let inside = || {
        let all = processes(home).unwrap().into_iter();
        all.filter(|(_, name)| daemons.contains(&name.as_str())).collect::<Vec<_>>()
    };
    let members = inside();
    assert_eq!(members.len(), 4, "{members:?}");
    for (pid, name) in &members {
        assert_eq!(violations(*pid, &allowed), Vec::<String>::new(), "{name}");
    }

    // The same image on the host's network, with a link folder of its own.
    let (_, telmeet) = runs.iter().find(|(name, _)| name.ends_with("telmeet")).unwrap();
    scene
        .home
        .machine
        .sh("mkdir -p /run/maru-lab/other; chown 61003:61000 /run/maru-lab/other")
        .unwrap();
    let words = telmeet.iter().map(|word| match word.as_str() {
        "--network=none" => "--network=host".to_owned(),
        name if name.starts_with("--name=") => "--name=open".to_owned(),
        volume if volume.ends_with(":/run/maru/telmeet:rw") => {
            "--volume=/run/maru-lab/other:/run/maru/telmeet:rw".to_owned()
        }
        word => word.to_owned(),
    });
    let words: Vec<String> = words.collect();
    let mut command = scene.home.machine.command(&words[0]);
    command.args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null());
    let _open = scene.home.machine.spawn(&mut command).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let open = loop {
        if let Some((pid, _)) = inside().into_iter().find(|found| !members.contains(found)) {
            break pid;
        }
        assert!(Instant::now() < deadline, "the open container does not start");
        thread::sleep(Duration::from_millis(50));
    };
    let found = violations(open, &allowed);
    assert!(found.contains(&"interface eth0".to_owned()), "{found:?}");
}
