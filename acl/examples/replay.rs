//! Replays access-policy cases: `cargo run -p acl --release --example replay -- FILE…`.
//!
//! Prints the id of each case that comes out otherwise than the reference, then one line of counts. A refusal must hold
//! the reference's message, and give a line and a column; rules must mean the same, in whatever order and form.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a tool for the terminal")]

use std::{collections::BTreeMap, fs, net::IpAddr, process::ExitCode};

use acl::{CanonicalFilter, DstPort, Network, Node, Policy, Rule, User};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    id: String,
    policy: String,
    status: u16,
    message: Option<String>,
    topology: Topology,
    rules: Option<BTreeMap<String, Option<Vec<WireRule>>>>,
}

#[derive(Deserialize)]
struct Topology {
    users: Vec<WireUser>,
    nodes: BTreeMap<String, WireNode>,
}

#[derive(Deserialize)]
struct WireUser {
    id: u64,
    name: String,
    email: String,
}

#[derive(Deserialize)]
struct WireNode {
    #[serde(default)]
    user: Option<String>,
    tags: Option<Vec<String>>,
    ipv4: IpAddr,
    ipv6: IpAddr,
    routable_ips: Option<Vec<ipnet::IpNet>>,
    approved_routes: Option<Vec<ipnet::IpNet>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct WireRule {
    #[serde(rename = "SrcIPs")]
    src_ips: Vec<String>,
    dst_ports: Vec<WirePort>,
    #[serde(rename = "IPProto")]
    ip_proto: Vec<u8>,
    cap_grant: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct WirePort {
    #[serde(rename = "IP")]
    ip: String,
    #[serde(rename = "Ports")]
    ports: WirePorts,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WirePorts {
    first: u16,
    last: u16,
}

fn main() -> ExitCode {
    let (mut passed, mut failed) = (0, 0);
    for file in std::env::args().skip(1) {
        let text = fs::read_to_string(&file).expect("the file can be read");
        let cases: Vec<Case> = serde_json::from_str(&text).expect("the file holds cases");
        for case in cases {
            match replay(&case) {
                Ok(()) => passed += 1,
                Err(reason) => {
                    failed += 1;
                    println!("{}\t{reason}", case.id);
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}

fn replay(case: &Case) -> Result<(), String> {
    let (network, names) = network(&case.topology);
    let policy =
        Policy::parse(&case.policy).and_then(|policy| policy.check(&network).map(|_| policy));
    match (policy, case.status) {
        (Err(error), 200) => Err(format!("refused: {error}")),
        (Ok(_), status) if status != 200 => Err("accepted, but should be refused".to_owned()),
        (Err(error), _) => refused(&error.to_string(), case.message.as_deref()),
        (Ok(policy), _) => {
            for (index, name) in names.iter().enumerate() {
                let ours = policy.compile(&network, index);
                let rules = case.rules.as_ref().and_then(|rules| rules.get(name)?.as_ref());
                let theirs: Vec<Rule> =
                    rules.map_or(&[][..], Vec::as_slice).iter().map(rule).collect();
                if CanonicalFilter::of(&ours) != CanonicalFilter::of(&theirs) {
                    return Err(format!("{name}\n  ours   {ours:?}\n  theirs {theirs:?}"));
                }
            }
            Ok(())
        }
    }
}

/// A refusal says what the reference's says, and where.
fn refused(ours: &str, theirs: Option<&str>) -> Result<(), String> {
    let numbers = |word: &str| {
        let (_, after) = ours.split_once(word)?;
        after.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok()
    };
    let has_place = numbers("line ").is_some() && numbers("column ").is_some();
    match theirs {
        Some(theirs) if !ours.contains(theirs) => {
            Err(format!("refused otherwise\n  ours   {ours}\n  theirs {theirs}"))
        }
        _ if !has_place => Err(format!("refused without a place: {ours}")),
        _ => Ok(()),
    }
}

fn network(topology: &Topology) -> (Network, Vec<String>) {
    let users = topology.users.iter().map(|user| User {
        id: user.id,
        name: user.name.clone(),
        email: user.email.clone(),
    });
    let users: Vec<_> = users.collect();
    let nodes = topology.nodes.iter().map(|(name, node)| Node {
        name: name.clone(),
        user: users.iter().find(|user| Some(&user.name) == node.user.as_ref()).map(|user| user.id),
        tags: node.tags.clone().unwrap_or_default(),
        addresses: vec![node.ipv4, node.ipv6],
        routable_ips: node.routable_ips.clone().unwrap_or_default(),
        approved_routes: approved(node),
    });
    let nodes = nodes.collect();
    (Network { users, nodes }, topology.nodes.keys().cloned().collect())
}

/// Routes that are approved, and offered.
fn approved(node: &WireNode) -> Vec<ipnet::IpNet> {
    let offered = node.routable_ips.clone().unwrap_or_default();
    let approved = node.approved_routes.iter().flatten().copied();
    approved.filter(|route| offered.contains(route)).collect()
}

fn rule(wire: &WireRule) -> Rule {
    let port = |port: &WirePort| DstPort {
        ip: port.ip.clone(),
        first: port.ports.first,
        last: port.ports.last,
    };
    Rule {
        src_ips: wire.src_ips.clone(),
        dst_ports: wire.dst_ports.iter().map(port).collect(),
        ip_proto: wire.ip_proto.clone(),
        cap_grant: wire.cap_grant.clone(),
    }
}
