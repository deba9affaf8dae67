//! As whom each service of the running appliance runs, and with which rights: what the kernel says, beside what the
//! service table says and what `docs/security.md` claims.
//!
//! Fails if they differ in a user, a group, a capability of any set, or the way to more privileges; if a service is not
//! in the list of what is expected; or if another process of the house runs as one of the services' users.

use std::{collections::BTreeSet, path::Path};

use lab::{
    Deployment,
    inside::{processes, status_field},
};
use services::{Arg, SERVICES, Service};

use super::support::expected::{NET_ADMIN, NET_BIND_SERVICE, RIGHTS};

/// The capabilities that the table lets a service keep.
fn kept(service: &Service) -> u64 {
    let bit = |name: &&str| match *name {
        "NET_ADMIN" => NET_ADMIN,
        "NET_BIND_SERVICE" => NET_BIND_SERVICE,
        new => panic!("{}: which bit is {new}?", service.name),
    };
    service.capabilities.iter().map(bit).sum()
}

/// What tells its command line from that of another service with the same program.
fn word(service: &Service) -> String {
    let first = service.args.first().map(|arg| match arg {
        Arg::Text("--socket") => service.socket(Path::new("/")).unwrap().display().to_string(),
        Arg::Text(text) => format!(" {text} "),
        Arg::Socket | Arg::Model | Arg::Threads | Arg::Options => {
            panic!("{}: a value first", service.name)
        }
    });
    first.unwrap_or_default()
}

/// What the kernel says of a process that differs from these rights.
fn differences(pid: u32, (uid, gid, capabilities): (u32, u32, u64)) -> Vec<String> {
    // Real, effective, saved, of the file system.
    let four =
        |id: u32| [id.to_string(), id.to_string(), id.to_string(), id.to_string()].join("\t");
    let set = |set: u64| format!("{set:016x}");
    let expected = [
        ("Uid", four(uid)),
        ("Gid", four(gid)),
        ("Groups", String::new()),
        ("CapEff", set(capabilities)),
        ("CapPrm", set(capabilities)),
        ("CapInh", set(capabilities)),
        ("CapBnd", set(capabilities)),
        ("CapAmb", set(capabilities)),
        ("NoNewPrivs", "1".to_owned()),
    ];
    let mut wrong = Vec::new();
    for (field, expected) in expected {
        let found = status_field(pid, field).unwrap();
        // Podman names the user's own group once more.
        if found != expected && !(field == "Groups" && found == gid.to_string()) {
            wrong.push(format!("{field} is {found:?}, not {expected:?}"));
        }
    }
    wrong
}

fn uid(pid: u32) -> Option<u32> {
    status_field(pid, "Uid")?.split_whitespace().nth(1)?.parse().ok()
}

#[test]
#[ignore = "needs: root, podman, model"]
fn each_service_runs_with_the_rights_of_its_row_and_nobody_else_as_its_user() {
    let deployment = Deployment::start().unwrap();
    let (mut wrong, mut services) = (Vec::new(), BTreeSet::new());
    let listed: Vec<_> = RIGHTS.iter().map(|row| row.0).collect();
    assert_eq!(SERVICES.iter().map(|service| service.name).collect::<Vec<_>>(), listed);
    for (service, &(name, uid, gid, capabilities)) in SERVICES.iter().zip(RIGHTS) {
        assert_eq!((service.uid, service.gid, kept(service)), (uid, gid, capabilities), "{name}");
        let found = deployment.processes(service.binary, &word(service)).unwrap();
        let [pid] = found[..] else { panic!("{} processes are the {name}", found.len()) };
        let found = differences(pid, (uid, gid, capabilities));
        wrong.extend(found.into_iter().map(|difference| format!("{name}: {difference}")));
        services.insert(pid);
    }
    assert_eq!(wrong, Vec::<String>::new());

    let users: BTreeSet<u32> = RIGHTS.iter().map(|row| row.1).collect();
    let mut others = processes(deployment.home.machine.pid()).unwrap();
    others.retain(|(pid, _)| !services.contains(pid));
    // The supervisor is root's, so that a look at a process that has more is one that finds it.
    let [supervisor] = deployment.processes("maru", " up ").unwrap()[..] else {
        panic!("one runs")
    };
    assert!(differences(supervisor, (61001, 61001, 0)).len() >= 5);
    others.retain(|(pid, _)| uid(*pid).is_some_and(|uid| users.contains(&uid)));
    assert_eq!(others, [], "processes as a service's user");
}
