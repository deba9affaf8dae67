//! `maru up` killed with SIGKILL, and started again on the same root.
//!
//! Fails if the next start does not say what it found, if anything of the killed run is still there then, if a chat
//! does not succeed, or if anything is left after the clean stop. Some of what the killed run started is stopped first
//! (SIGSTOP), as on a machine too busy for it to react: so there is something to find, and each look finds it before.

use std::{collections::BTreeMap, fs, time::Duration};

use lab::{Deployment, Instance, Machine, STOP, inside};
use serde_json::Value;
use testkit::blocking::eventually_within;

/// How long the tunnel may take to be there again: the laptop has to notice that its session is gone.
const AGAIN: Duration = Duration::from_secs(120);

/// The home's processes but the lab's own: their start, which tells two of one number apart, and their name.
fn processes(home: &Machine) -> BTreeMap<(u32, u64), String> {
    let all = inside::processes(home.pid()).unwrap().into_iter();
    let all = all.filter(|(pid, _)| *pid != home.pid());
    // One that has ended meanwhile has no start.
    all.filter_map(|(pid, name)| Some(((pid, inside::start(pid)?), name))).collect()
}

/// What is there beside the processes, where a run of Maru puts it: a line each.
fn things(home: &Machine) -> Vec<String> {
    let look = [
        ("interface", "ip -o link | cut -d: -f2 | tr -d ' ' | grep -v -e '^lo$' -e '^eth0@'"),
        ("table", "nft list tables"),
        ("socket", "ss -Hlntu"),
        ("resolver", "cat /etc/resolv.conf"),
        (
            "container",
            "ls /run/maru-lab/root/run/maru/containers/run/overlay-containers 2>/dev/null",
        ),
        ("mount", "cut -d' ' -f5 /proc/self/mountinfo | grep /run/maru-lab/root/"),
        ("route", "ip route show table all | grep -v -e eth0 -e 'dev lo'"),
    ];
    let mut found = Vec::new();
    for (what, script) in look {
        let text = home.sh(&format!("{script} || true")).unwrap();
        found.extend(text.lines().map(|line| format!("{what} {}", line.trim())));
    }
    found
}

/// The services that the lock of the instance names: their names and numbers inside the machine, and the supervisor's.
fn record(home: &Instance) -> (u64, BTreeMap<String, u64>) {
    let text = fs::read_to_string(home.root.join("run/maru/up.pid")).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    let child = |child: &Value| {
        (child["service"].as_str().unwrap().to_owned(), child["pid"].as_u64().unwrap())
    };
    let children = record["children"].as_array().unwrap().iter().map(child).collect();
    (record["pid"].as_u64().unwrap(), children)
}

#[test]
#[ignore = "needs: root, podman, model"]
fn up_killed_and_started_again_says_what_it_found_and_leaves_nothing() {
    let mut deployment = Deployment::start().unwrap();
    let laptop = deployment.member("laptop", "alice").unwrap();
    let (home, machine) = (deployment.home.clone(), deployment.home.machine.clone());
    let chat = || laptop.instance.ok(&["chat", "--max-tokens", "3", "--ask", "Hello!"]).unwrap();
    chat();
    let (killed, children) = record(&home);
    let before = processes(&machine);
    let there = things(&machine);
    for what in ["interface ", "table ", "socket ", "container "] {
        assert!(there.iter().any(|thing| thing.starts_with(what)), "no {what}is seen: {there:?}");
    }
    // Those that could not react: the agent, and what waits for each container.
    let slow = |name: &str| name == "agent" || !["coordinator", "relay"].contains(&name);
    for (service, pid) in children.iter().filter(|(service, _)| slow(service)) {
        machine.sh(&format!("kill -STOP {pid} # {service}")).unwrap();
    }
    deployment.up.signal_kill();
    deployment.up.wait_for(STOP).unwrap().expect("a killed process ends");
    assert!(things(&machine).iter().any(|thing| thing.starts_with("table ")), "it is left");

    // It remembers its model.
    let mut said = Vec::new();
    let again = home.up(&[], |line| said.push(line.to_owned()), || Ok(()));
    (deployment.up, _) = again.unwrap();
    let says = |text: &str| {
        assert!(said.iter().any(|line| line.contains(text)), "{text:?} is not said: {said:#?}");
    };
    says(&format!(
        "The last `maru up` here (process {killed}) was killed; cleaning up what it left."
    ));
    for (service, pid) in children.iter().filter(|(service, _)| slow(service)) {
        says(&format!("  stopping {service} (process {pid})"));
    }
    says("  removed 5 containers");
    says("  removed nftables table maru");

    let now = processes(&machine);
    let left: Vec<_> = before.iter().filter(|(id, _)| now.contains_key(id)).collect();
    assert!(left.is_empty(), "of the killed run there still are {left:?}");
    let count = |things: &[String], what: &str| {
        things.iter().filter(|thing| thing.starts_with(what)).count()
    };
    let again = things(&machine);
    for what in ["interface", "table", "container", "mount"] {
        assert_eq!(count(&again, what), count(&there, what), "{what}: {again:#?}");
    }
    eventually_within(AGAIN, "the laptop reaches home again", || laptop.instance.dial(80).is_ok());
    chat();

    assert!(deployment.up.stop(STOP).unwrap().success(), "a clean stop");
    eventually_within(AGAIN, "every process has ended", || processes(&machine).is_empty());
    assert_eq!(things(&machine), Vec::<String>::new(), "left after a clean stop");
}
