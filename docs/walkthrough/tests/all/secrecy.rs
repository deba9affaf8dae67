//! Where a sealed prompt is not: the memory of who passes it on, and any disk.
//!
//! Fails if, while the reply is under way or after it, the planted prompt is in the memory of any
//! process but the client, the gateway and the engines, or in any file. The same search finds it in
//! the gateway's memory during the reply, finds in every process that passes it on what that one must know, and finds
//! planted files; what it cannot read is no success.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime},
};

use lab::{Deployment, Member, inside::processes, search::Search};
use rustix::process::Signal;

use super::support::{memory::memory_holds, search::files_that_hold};

/// The processes that pass a sealed prompt on or serve those who do, and what each of them must know.
fn must_be_searched(deployment: &Deployment, laptop: &Member) -> Vec<(u32, Search)> {
    let home = |name, text| {
        let found = deployment.processes(name, text).unwrap();
        assert_eq!(found.len(), 1, "{name} {text}");
        found[0]
    };
    // Each knows the nodes by their keys, as bytes or as text.
    let mut nodes = Vec::new();
    for instance in [&deployment.home, &laptop.instance] {
        let key = instance.status().unwrap()["node"]["node_key"].as_str().unwrap().to_owned();
        nodes.push(hex::decode(key.strip_prefix("nodekey:").unwrap()).unwrap());
        nodes.push(key.into_bytes());
    }
    let nodes = Search::as_they_are(nodes).unwrap();
    let name = Search::as_they_are(["chat.maru.home.arpa"]).unwrap();
    vec![
        (home("maru-coordinator", "serve"), nodes.clone()),
        (home("maru-coordinator", "relay"), nodes.clone()),
        (home("maru-agent", ""), nodes.clone()),
        (laptop.agent.pid(), nodes),
        (home("maru-telmeet", ""), name),
    ]
}

/// The names of all processes whose memory holds the canary, by number; `must` were among those searched.
fn holders(
    deployment: &Deployment,
    laptop: &Member,
    canary: &Search,
    must: &[(u32, Search)],
) -> BTreeMap<u32, String> {
    let machines =
        [&deployment.home.machine, &laptop.instance.machine, &deployment.topology.router];
    let (mut holders, mut searched) = (BTreeMap::new(), Vec::new());
    for machine in machines {
        for (pid, name) in processes(machine.pid()).unwrap() {
            let Some(found) = memory_holds(pid, canary) else { continue };
            searched.push(pid);
            if found {
                holders.insert(pid, name);
            }
        }
    }
    for (pid, known) in must {
        assert!(searched.contains(pid), "{pid} was not searched");
        assert_eq!(memory_holds(*pid, known), Some(true), "{pid}: not even what it must know");
    }
    holders
}

/// Everything that a process of the deployment could have written: all state whatever its age, and what
/// is new in each machine's `/run` and the places for temporary files.
fn files(
    deployment: &Deployment,
    laptop: &Member,
    began: SystemTime,
    canary: &Search,
) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files_that_hold(deployment.state(), SystemTime::UNIX_EPOCH, canary, &mut found);
    for machine in [&deployment.home.machine, &laptop.instance.machine, &deployment.topology.router]
    {
        files_that_hold(&machine.path("/run"), SystemTime::UNIX_EPOCH, canary, &mut found);
    }
    for folder in ["/tmp", "/var/tmp", "/dev/shm"].map(Path::new) {
        // The state may lie there: it was searched.
        let mut new = Vec::new();
        if folder.exists() {
            files_that_hold(folder, began, canary, &mut new);
        }
        found.extend(new.into_iter().filter(|path| !path.starts_with(deployment.state())));
    }
    found.sort();
    found
}

#[test]
#[ignore = "needs: root, podman, model"]
fn a_sealed_prompt_is_in_the_gateways_memory_and_nowhere_else() {
    // Made here, so that it is in no file but where this run put it.
    let began = SystemTime::now();
    let nanos = began.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let canary = format!("quince-{:x}-canary", nanos ^ u128::from(std::process::id()));
    let wanted = Search::new([&canary]).unwrap();
    let began = began - Duration::from_secs(5);
    let mut deployment = Deployment::start().unwrap();
    let laptop = deployment.member("laptop", "alice").unwrap();
    let must = must_be_searched(&deployment, &laptop);

    // While a long reply is under way.
    let mut command =
        laptop.instance.maru(&["chat", "--ignore-eos", "--max-tokens", "7000", "--ask"]);
    command.arg(&canary).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut chat = laptop.instance.machine.spawn(&mut command).unwrap();
    chat.child().stdout.as_mut().unwrap().read_exact(&mut [0]).expect("a reply begins");
    let mut during = holders(&deployment, &laptop, &wanted, &must);
    assert!(during.values().any(|name| name == "maru-gateway"), "the search finds: {during:?}");
    assert_eq!(deployment.busy_slots("inference").unwrap(), 1, "the reply ended before the search");
    assert!(during.remove(&chat.pid()).is_some(), "the client knows what it asked: {during:?}");
    during.retain(|_, name| name != "maru-gateway" && name != "maru-llm");
    assert_eq!(during, BTreeMap::new(), "who must not know it, knows it during the reply");
    assert_eq!(files(&deployment, &laptop, began, &wanted), Vec::<PathBuf>::new());
    chat.signal(Signal::KILL);
    chat.wait_for(Duration::from_secs(60)).unwrap().expect("the client ends");

    // After a reply that came to its end. The gateway keeps it sealed, and may have left traces in its own memory.
    laptop.instance.ok(&["chat", "--max-tokens", "8", "--ask", &canary]).unwrap();
    let mut after = holders(&deployment, &laptop, &wanted, &must);
    after.retain(|_, name| name != "maru-gateway" && name != "maru-llm");
    assert_eq!(after, BTreeMap::new(), "who must not know it, knows it after the reply");
    assert_eq!(files(&deployment, &laptop, began, &wanted), Vec::<PathBuf>::new());

    // The same search finds each file that does hold it.
    let mut planted = vec![
        deployment.state().join("home/var/lib/maru/telmeet/planted"),
        deployment.state().join("laptop/planted"),
        deployment.home.machine.path("/run/planted"),
        laptop.instance.machine.path("/run/planted"),
        PathBuf::from(format!("/tmp/{canary}")),
    ];
    for path in &planted {
        fs::write(path, format!("before {canary} after")).unwrap();
    }
    planted.sort();
    let found = files(&deployment, &laptop, began, &wanted);
    fs::remove_file(format!("/tmp/{canary}")).unwrap();
    assert_eq!(found, planted, "the search of files");
}
