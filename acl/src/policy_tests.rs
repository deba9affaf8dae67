//! The policy's own tests: what a source must and must not reach.

use std::net::IpAddr;

use crate::{
    Error, Network, Policy,
    compile::Ports,
    document::Test,
    selector::{Selector, prefix},
    validate,
};

/// TCP, UDP and ICMP: what a rule without protocols means.
const USUAL: &[u8] = &[1, 6, 17, 58];

/// Runs every test.
pub(crate) fn run(policy: &Policy, network: &Network) -> Result<(), Error> {
    let failed: Vec<String> = policy
        .document
        .tests
        .iter()
        .enumerate()
        .filter_map(|(index, test)| {
            one(policy, network, test).err().map(|reason| format!("tests[{index}]: {reason}"))
        })
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(Error::Test(failed.join("; "))) }
}

fn one(policy: &Policy, network: &Network, test: &Test) -> Result<(), String> {
    if test.accept.is_empty() && test.deny.is_empty() {
        return Err("it says neither what to accept nor what to deny".to_owned());
    }
    let source = Selector::parse(&test.src, &policy.document)?;
    let from = addresses(policy, network, &source);
    if from.is_empty() {
        return Err(format!("src \"{}\" is nobody", test.src));
    }
    let protocols = match &test.proto {
        None => vec![6],
        Some(proto) => validate::protocol(proto)?,
    };
    for (texts, wanted) in [(&test.accept, true), (&test.deny, false)] {
        for text in texts {
            let (selector, ports) = validate::destination(&policy.document, text)?;
            let to = if selector == Selector::SelfDevices {
                from.clone()
            } else {
                addresses(policy, network, &selector)
            };
            for address in &from {
                let reached = !to.is_empty()
                    && to.iter().all(|target| {
                        ports.iter().all(|ports| {
                            allowed(policy, network, address, target, *ports, &protocols)
                        })
                    });
                if reached != wanted {
                    let verb = if wanted { "does not reach" } else { "reaches" };
                    return Err(format!("\"{}\" ({address}) {verb} \"{text}\"", test.src));
                }
            }
        }
    }
    Ok(())
}

/// The addresses that a selector stands for.
fn addresses(policy: &Policy, network: &Network, selector: &Selector) -> Vec<String> {
    if let Selector::Prefix(prefix) = selector {
        return vec![prefix.addr().to_string()];
    }
    network
        .nodes
        .iter()
        .filter(|node| selector.selects(node, network, &policy.document))
        .filter_map(|node| node.addresses.first())
        .map(ToString::to_string)
        .collect()
}

fn allowed(
    policy: &Policy,
    network: &Network,
    from: &str,
    to: &str,
    ports: Ports,
    protocols: &[u8],
) -> bool {
    (0..network.nodes.len()).any(|index| {
        policy.compile(network, index).iter().any(|rule| {
            let usual = if rule.ip_proto.is_empty() { USUAL } else { &rule.ip_proto };
            protocols.iter().all(|protocol| usual.contains(protocol))
                && rule.src_ips.iter().any(|src| covers(src, from))
                && rule.dst_ports.iter().any(|dst| {
                    dst.first <= ports.first && ports.last <= dst.last && covers(&dst.ip, to)
                })
        })
    })
}

/// Whether an address, prefix, range or `*` of a filter holds an address.
fn covers(filter: &str, address: &str) -> bool {
    if filter == "*" || filter == address {
        return true;
    }
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    if let Some((first, last)) = filter.split_once('-')
        && let (Ok(first), Ok(last)) = (first.parse::<IpAddr>(), last.parse::<IpAddr>())
    {
        return (first..=last).contains(&address);
    }
    prefix(filter).is_some_and(|prefix| prefix.contains(&address))
}
