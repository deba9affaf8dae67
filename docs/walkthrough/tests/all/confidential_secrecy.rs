//! Nobody on the confidential chain knows both who asks and what: the memory, the logs and the disks of its servers.
//!
//! Fails if the planted prompt or the reply is in the memory of relay, gateway, router, auth, or of a node's processes
//! but its engine, or in any file of any of them; if home's address is in the memory of whom the gateway hands the
//! question to, or in any file of the chain; if the process that answered is there after its request. The same search
//! finds the prompt in the memory of the engine that answers it, the address in the relay's, and planted files. The
//! engine's memory is searched for the address as text alone: in hundreds of megabytes its four bytes may stand by chance.

use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    net::Ipv4Addr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{self, Stdio},
    time::{Duration, SystemTime},
};

use lab::{
    STOP,
    confidential::{Holder, Host, Measurement, Node},
    inside,
    search::Search,
    topology::HOME,
};
use testkit::blocking::eventually_within;

use super::support::{
    chain_house::ConfidentialDeployment,
    memory::{Part, memory_holds, part_holds},
    search::{searchable, still_there},
};

/// How the laptop names the model.
const MODEL: &str = "confidential/smollm2";
/// The nodes.
const NODES: [(Holder, Measurement); 2] =
    [(Holder::Enclave, Measurement::TheImage), (Holder::Tpm, Measurement::TheImage)];

/// A text that is in no file but where this run put it.
fn canary(what: &str) -> String {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    format!("{what}-{:x}-canary", nanos ^ u128::from(process::id()))
}

/// The machines of the chain.
fn hosts(house: &ConfidentialDeployment) -> Vec<&Host> {
    let chain = &house.chain;
    let nodes = chain.nodes.iter().map(|node| &node.host);
    [&chain.relay, &chain.gateway, &chain.auth].into_iter().chain(nodes).collect()
}

/// The processes on machines of the chain whose memory holds one of these texts.
fn holders(house: &ConfidentialDeployment, texts: &[&str]) -> BTreeSet<u32> {
    let texts = Search::new(texts).unwrap();
    let machines = hosts(house).into_iter().map(|host| host.instance.machine.pid());
    let all = machines.flat_map(|init| inside::processes(init).unwrap());
    all.filter(|(pid, _)| memory_holds(*pid, &texts) == Some(true)).map(|(pid, _)| pid).collect()
}

/// The workers of a node: what its `boot` started.
fn workers(node: &Node) -> BTreeSet<u32> {
    let boot = Some(node.boot.pid().to_string());
    let all = inside::processes(node.host.instance.machine.pid()).unwrap();
    let all = all.into_iter().map(|(pid, _)| pid);
    all.filter(|pid| inside::status_field(*pid, "PPid") == boot).collect()
}

/// The files of the chain that hold one of these texts.
fn files(house: &ConfidentialDeployment, texts: &[&str]) -> Vec<PathBuf> {
    let mut folders = vec![house.deployment.state().join("confidential")];
    folders.extend(hosts(house).into_iter().map(|host| host.instance.machine.path("/run")));
    let texts = Search::new(texts).unwrap();
    let mut found = Vec::new();
    // Our programs, with this one's text, lie on another file system.
    let device = |folder: &PathBuf| fs::metadata(folder).unwrap().dev();
    let mut folders: Vec<_> = folders.into_iter().map(|it| (device(&it), it)).collect();
    while let Some((device, folder)) = folders.pop() {
        let Some(entries) = still_there(&folder, fs::read_dir(&folder)) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let Some(meta) = still_there(&path, fs::symlink_metadata(&path)) else { continue };
            if meta.is_dir() && meta.dev() == device {
                folders.push((device, path));
            } else if meta.is_file() && file_holds(&path, &texts) {
                found.push(path);
            }
        }
    }
    found
}

fn file_holds(path: &Path, texts: &Search) -> bool {
    texts.finds_in(still_there(path, fs::read(path)).unwrap_or_default())
}

/// Home's address, as text and in memory.
fn address() -> Search {
    let octets = HOME.parse::<Ipv4Addr>().unwrap().octets();
    Search::as_they_are([HOME.as_bytes(), &octets]).unwrap()
}

/// While a reply is under way: who knows the prompt, who knows the address.
fn while_it_answers(house: &ConfidentialDeployment) {
    let prompt = canary("medlar");
    let mut command = house.laptop.instance.maru(&["chat", "--ignore-eos", "--max-tokens", "7000"]);
    command.args(["--model", MODEL, "--ask", &prompt]).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut chat = house.laptop.instance.machine.spawn(&mut command).unwrap();
    chat.child().stdout.as_mut().unwrap().read_exact(&mut [0]).expect("a reply begins");

    let knows = holders(house, &[&prompt]);
    let nodes = &house.chain.nodes;
    let busy = nodes.iter().position(|node| node.busy_slots().unwrap() == 1);
    let node = &nodes[busy.expect("the reply ended before the search")];
    // One that works, and one that waits for the next request.
    let working = workers(node);
    assert_eq!(working.len(), 2, "{working:?}");
    assert!(knows.contains(&node.engine.pid()), "the engine knows what it is asked: {knows:?}");
    // The worker that passed it on wipes it, as far as it can: nobody counts on that before it is gone.
    let others: BTreeSet<_> =
        knows.difference(&working).filter(|pid| **pid != node.engine.pid()).collect();
    assert_eq!(others, BTreeSet::new(), "who must not know the prompt knows it");

    let address = address();
    let knows_home = |pid| part_holds(pid, Part::Writable, &address);
    let [relay, gateway, router, _auth] = &house.chain.servers;
    assert_eq!(knows_home(relay.pid()), Some(true), "the search for the address finds it");
    for server in [gateway, router] {
        assert_eq!(knows_home(server.pid()), Some(false), "{}", server.pid());
    }
    for node in nodes {
        for pid in workers(node).into_iter().chain([node.boot.pid(), node.router_com.pid()]) {
            assert_ne!(knows_home(pid), Some(true), "{pid}");
        }
        let text = Search::as_they_are([HOME]).unwrap();
        assert_eq!(part_holds(node.engine.pid(), Part::Writable, &text), Some(false));
    }
    assert_eq!(files(house, &[&prompt, HOME]), Vec::<PathBuf>::new());

    chat.stop(STOP).unwrap();
    eventually_within(Duration::from_secs(30), "the worker ends with its request", || {
        !working.is_subset(&workers(node))
    });
}

/// After a reply that came to its end: nobody but the engine knows prompt or reply.
fn after_it_answered(house: &ConfidentialDeployment) {
    let prompt = canary("loquat");
    let ask = ["chat", "--model", MODEL, "--max-tokens", "24", "--ignore-eos", "--ask", &prompt];
    let out = house.laptop.instance.run(&ask).unwrap();
    let reply = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

    let texts = [prompt.as_str(), searchable(&reply)];
    let mut knows = holders(house, &texts);
    for node in &house.chain.nodes {
        knows.remove(&node.engine.pid());
    }
    assert_eq!(knows, BTreeSet::new(), "who must not know {texts:?} knows it");
    assert_eq!(files(house, &texts), Vec::<PathBuf>::new());

    // The same search finds a file that does hold it.
    let planted = house.chain.gateway.path("var/lib/maru/planted");
    fs::write(&planted, &prompt).unwrap();
    assert_eq!(files(house, &texts), [planted]);
}

#[test]
#[ignore = "needs: root, podman, model, swtpm"]
fn nobody_on_the_chain_knows_both_who_asks_and_what() {
    let house = ConfidentialDeployment::new(&NODES, |_| {}, |text| text);
    while_it_answers(&house);
    after_it_answered(&house);
}
