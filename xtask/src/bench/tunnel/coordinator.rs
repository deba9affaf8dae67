//! The coordinator and the relay of the agents that are measured; both idle meanwhile, unless packets are relayed.

use std::{
    fs,
    os::unix::net::UnixStream,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{Instance, Process, ROOT, STOP};
use serde_json::{Value, json};

use super::{bed::TestBed, iperf, probe};

/// The example of the coordinator that makes silent peers.
pub(in crate::bench) const EXAMPLE: &str = "crowd";
/// Who all devices belong to.
pub(super) const PERSON: &str = "alice";
/// Tag of the home.
const HOME: &str = "tag:home";
/// Its port.
const PORT: u16 = 8443;
/// How long it may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);
/// Rules of the policy, of which each agent is sent as many.
const RULES: u8 = 20;
/// Holds every node's address.
const MESH: &str = "100.64.0.0/10";

/// Both, on the server's machine.
#[derive(Debug)]
pub(super) struct Coordinator {
    /// The server's machine, with Maru's programs.
    pub(super) instance: Instance,
    /// Where devices reach it.
    pub(super) url: String,
    _processes: [Process; 2],
}

impl Coordinator {
    /// Starts them, with a policy of 20 rules.
    pub(super) fn start(bed: &TestBed) -> Result<Self> {
        Self::start_with(bed, 0)
    }

    /// The same in a network with so many devices besides that never say anything.
    pub(super) fn start_with(bed: &TestBed, silent: u32) -> Result<Self> {
        let instance = Instance::new(&bed.server, &bed.state().join("server"))?;
        let url = format!("http://{}", bed.server_port(PORT));
        write(
            &instance,
            "etc/maru/coordinator.toml",
            // The relay passes on as much as it can: otherwise its limit would be measured.
            &format!(
                "listen = \"[::]:{PORT}\"\nserver_url = {url:?}\n[relay]\nlisten = \"[::]:8444\"\n\
                 stun_listen = \"[::]:3478\"\nbytes_per_second = 0\n"
            ),
        )?;
        let relay = spawn(bed, &instance, "relay")?;
        let mut serve = serve(bed, &instance)?;
        instance.ok(&["user", "create", PERSON])?;
        write(&instance, "policy.json", &policy().to_string())?;
        instance.ok(&["policy", "set", "--yes", &format!("{ROOT}/policy.json")])?;
        if silent > 0 {
            serve.stop(STOP)?;
            fill(&instance, silent)?;
            serve = self::serve(bed, &instance)?;
        }
        Ok(Self { instance, url, _processes: [serve, relay] })
    }

    /// Makes a key with which one device joins.
    pub(super) fn key(&self) -> Result<String> {
        self.key_of(["--user", PERSON])
    }

    /// The same for the home, which is nobody's.
    pub(super) fn key_of_home(&self) -> Result<String> {
        self.key_of(["--tag", HOME])
    }

    fn key_of(&self, whose: [&str; 2]) -> Result<String> {
        let key = self.ask(&[&["key", "create", "--approved"], &whose[..]].concat())?;
        Ok(key["key"].as_str().context("there is no key")?.to_owned())
    }

    /// What `maru ARGS` prints as JSON.
    pub(super) fn ask(&self, args: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&self.instance.ok(&[args, &["-o", "json"]].concat())?)?)
    }
}

/// Starts the coordinator, and waits until it answers.
fn serve(bed: &TestBed, instance: &Instance) -> Result<Process> {
    let mut process = spawn(bed, instance, "serve")?;
    let socket = instance.root.join("run/maru/coordinator/admin.sock");
    let deadline = Instant::now() + PATIENCE;
    while UnixStream::connect(&socket).is_err() {
        let ended = process.wait_for(Duration::from_millis(50))?;
        ensure!(
            ended.is_none() && Instant::now() < deadline,
            "the coordinator does not start: {}",
            bed.log(&bed.server, "serve").trim()
        );
    }
    Ok(process)
}

/// Starts a part of the coordinator.
fn spawn(bed: &TestBed, instance: &Instance, what: &str) -> Result<Process> {
    let mut command = instance.program("maru-coordinator");
    command.args(["--root", ROOT, what]);
    bed.spawn(&bed.server, &mut command, what)
}

/// Puts devices into the coordinator's database while it does not run.
fn fill(instance: &Instance, silent: u32) -> Result<()> {
    let database = instance.root.join("var/lib/maru/coordinator/db.sqlite");
    let mut crowd = Command::new(lab::binaries()?.join("examples").join(EXAMPLE));
    let out = crowd.arg(&database).arg(silent.to_string()).output();
    let out = out.context("the example crowd does not run: run this again without --no-build")?;
    ensure!(out.status.success(), "no silent peers: {}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

/// Puts a file below the root of an instance.
pub(super) fn write(instance: &Instance, path: &str, text: &str) -> Result<()> {
    let path = instance.root.join(path);
    fs::create_dir_all(path.parent().context("no folder")?)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// What is measured is let through by the last rule. The others open ports of every node, so that each is sent all of
/// them, to sources that differ, so that none is joined with another; and these are written before the mesh's, as the
/// coordinator puts rules in the order of their sources.
fn policy() -> Value {
    let others = (1..RULES).map(|number| {
        json!({
            "action": "accept",
            "src": [format!("10.80.0.{number}")],
            "dst": [format!("{MESH}:{number}")],
        })
    });
    let ports = format!("autogroup:member:{},{}", iperf::PORT, probe::PORT);
    let ours = json!({ "action": "accept", "src": ["autogroup:member"], "dst": [ports] });
    json!({ "tagOwners": { HOME: [] }, "acls": others.chain([ours]).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_agent_is_sent_twenty_rules_of_which_the_last_lets_through_what_is_measured() {
        let policy = acl::Policy::parse(&policy().to_string()).unwrap();
        let user = acl::User { id: 1, name: PERSON.to_owned(), email: String::new() };
        let node = |number: u8| acl::Node {
            name: format!("node-{number}"),
            user: Some(1),
            tags: Vec::new(),
            addresses: vec![[100, 64, 0, number].into()],
            routable_ips: Vec::new(),
            approved_routes: Vec::new(),
        };
        let network = acl::Network { users: vec![user], nodes: vec![node(1), node(2)] };
        for at in 0..network.nodes.len() {
            let rules = policy.compile(&network, at);
            assert_eq!(rules.len(), 20);
            let own = network.nodes[at].addresses[0].to_string();
            let port = |port| acl::DstPort { ip: own.clone(), first: port, last: port };
            assert_eq!(rules[19].src_ips, ["100.64.0.1", "100.64.0.2"]);
            assert_eq!(rules[19].dst_ports, [port(iperf::PORT), port(probe::PORT)]);
        }
    }
}
