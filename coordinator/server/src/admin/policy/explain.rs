//! `/policy/explain`: whether a source reaches a destination, and by which rule.

use std::net::IpAddr;

use acl::{Attempt, Decision, Network, Party, PartyError, Policy};
use coordinator_api::{ExplainPolicy, PolicyDecision, PolicyProtocol};
use messages::{Message, message};

use super::convert;

/// Limit of pairs of devices in one question.
const PAIRS_MAX: usize = 1000;

/// Decides each pair of source and destination. The error says what is wrong with the question.
pub(super) fn answer(
    policy: &Policy,
    network: &Network,
    question: &ExplainPolicy,
) -> Result<Vec<PolicyDecision>, Message> {
    let from = policy.parties(network, &question.src).map_err(unknown)?;
    let to = policy.parties(network, &question.dst).map_err(unknown)?;
    if from.len().saturating_mul(to.len()) > PAIRS_MAX {
        return Err(message!("problem-question-pairs", most = PAIRS_MAX));
    }
    let pairs = from.iter().flat_map(|from| to.iter().map(move |to| (from, to)));
    let others = pairs.filter(|(from, to)| from.addresses != to.addresses);
    let decisions: Vec<_> =
        others.flat_map(|(from, to)| pair(policy, network, question, from, to)).collect();
    if decisions.is_empty() {
        return Err(message!("problem-question-same"));
    }
    Ok(decisions)
}

fn unknown(error: PartyError) -> Message {
    match error {
        PartyError::Selector(reason) => message!("problem-question-selector", reason),
        PartyError::Nobody(word) => message!("problem-question-nobody", word),
    }
}

/// One decision; one for each address family if they differ.
fn pair(
    policy: &Policy,
    network: &Network,
    question: &ExplainPolicy,
    from: &Party,
    to: &Party,
) -> Vec<PolicyDecision> {
    let mut answers: Vec<(IpAddr, IpAddr, Option<Decision>)> = Vec::new();
    for &source in &from.addresses {
        for &target in to.addresses.iter().filter(|target| target.is_ipv4() == source.is_ipv4()) {
            let attempt = attempt(question, source, target);
            answers.push((source, target, policy.decide(network, &attempt)));
        }
    }
    let is_same = answers.windows(2).all(|pair| pair[0].2 == pair[1].2);
    if is_same {
        let first = answers.into_iter().take(1);
        return first.map(|(_, _, by)| decision(network, &from.name, &to.name, to, by)).collect();
    }
    let named = |name: &str, ip: IpAddr| {
        if name == ip.to_string() { name.to_owned() } else { format!("{name} ({ip})") }
    };
    let decide = |(source, target, by)| {
        decision(network, &named(&from.name, source), &named(&to.name, target), to, by)
    };
    answers.into_iter().map(decide).collect()
}

fn attempt(question: &ExplainPolicy, from: IpAddr, to: IpAddr) -> Attempt {
    let protocol = match question.protocol {
        PolicyProtocol::Tcp => 6,
        PolicyProtocol::Udp => 17,
        PolicyProtocol::Icmp if from.is_ipv4() => 1,
        PolicyProtocol::Icmp => 58,
    };
    Attempt { from, to, protocol, port: question.port }
}

fn decision(
    network: &Network,
    from: &str,
    to: &str,
    party: &Party,
    by: Option<Decision>,
) -> PolicyDecision {
    let router = by.as_ref().and_then(|by| network.nodes.get(by.node));
    let through =
        router.filter(|node| !party.addresses.iter().any(|ip| node.addresses.contains(ip)));
    PolicyDecision {
        from: from.to_owned(),
        to: to.to_owned(),
        allowed: by.is_some(),
        through: through.map(|node| node.name.clone()),
        rule: by.map(|by| convert::place(by.at, by.place)),
    }
}
