//! `maru netcheck`: what the network around this device allows, one sentence a line.

use std::{net::IpAddr, path::Path, process::ExitCode};

use messages::{Message, message};
use node_agent_api::{
    NetCheck, RelayDelay, Router, RouterPort, TcpAddress, Transport, endpoints::NETCHECK,
};

use crate::{
    client::Client,
    output::{self, Format, OutputArgs},
};

/// Asks the agent, which asks STUN servers.
pub(crate) async fn run(args: OutputArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let check = Client::agent(root).call(&NETCHECK, &[], &()).await?;
    if args.output == Format::Table {
        lines(&check).iter().try_for_each(output::line)?;
    } else {
        output::structured(args.output, &check)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(check: &NetCheck) -> Vec<Message> {
    let mut lines = vec![match check.udp {
        Some(true) => message!("netcheck-udp"),
        Some(false) => message!("netcheck-no-udp"),
        None => message!("netcheck-udp-unknown"),
    }];
    for (family, addresses) in [("IPv4", &check.ipv4), ("IPv6", &check.ipv6)] {
        lines.push(if addresses.is_empty() {
            message!("netcheck-no-address", family)
        } else {
            message!("netcheck-address", family, addresses = list(addresses))
        });
    }
    lines.extend(check.mapping_varies.map(|varies| match varies {
        true => message!("netcheck-varies"),
        false => message!("netcheck-steady"),
    }));
    match &check.router {
        Some(router) => lines.extend(router.ports.iter().map(|port| forwarded(router, port))),
        None => lines.push(message!("netcheck-no-router")),
    }
    lines.extend(check.relays.iter().map(delay));
    lines.extend(check.endpoints.iter().map(|endpoint| {
        let kind = output::word(&endpoint.kind);
        let reached = match endpoint.reached {
            Some(true) => "yes",
            Some(false) => "no",
            None => "untried",
        };
        message!("netcheck-endpoint", address = endpoint.address, kind, reached)
    }));
    lines.extend(check.tcp.iter().map(reached));
    lines
}

/// Whether a member elsewhere reached coordinator or relay there.
pub(crate) fn reached(tcp: &TcpAddress) -> Message {
    let address = tcp.address;
    match tcp.reached {
        true => message!("netcheck-tcp", address),
        false => message!("netcheck-no-tcp", address),
    }
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn delay(relay: &RelayDelay) -> Message {
    let name = &relay.name;
    match relay.delay_ms {
        Some(delay) => message!("netcheck-relay", name, delay),
        None => message!("netcheck-relay-silent", name),
    }
}

/// What the router does with a port.
pub(crate) fn forwarded(router: &Router, port: &RouterPort) -> Message {
    let gateway = router.gateway;
    let RouterPort { service, port: number, .. } = port;
    let transport = match port.transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
    };
    let outside = port.outside.map(|outside| outside.to_string()).unwrap_or_default();
    let Some(problem) = port.problem else {
        let via = port.via.map(|via| output::word(&via)).unwrap_or_default();
        let until = port.until.as_deref().unwrap_or_default();
        return message!(
            "router-forwards",
            gateway,
            transport,
            outside,
            number = number.to_string(),
            service,
            until,
            via
        );
    };
    let problem = message!("router-problem", problem = output::word(&problem), outside);
    message!(
        "router-forwards-not",
        gateway,
        transport,
        number = number.to_string(),
        service,
        problem
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(check: &serde_json::Value) -> Vec<String> {
        let check: NetCheck = serde_json::from_value(check.clone()).unwrap();
        lines(&check).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_line_is_one_sentence() {
        let port = |outside, problem| {
            serde_json::json!({ "service": "agent", "transport": "udp", "port": 41641, "via": "pcp",
                "outside": outside, "until": "2027-01-01T00:00:00Z", "problem": problem })
        };
        let check = serde_json::json!({
            "udp": true, "ipv4": ["203.0.113.9"], "ipv6": [], "mapping_varies": true,
            "router": { "gateway": "192.168.1.1", "ports": [
                port("203.0.113.9:7000", None), port("10.0.0.1:7000", Some("other_address")),
            ] },
            "relays": [{ "region": 1, "name": "Home", "delay_ms": 12 }, { "region": 2, "name": "Far", "delay_ms": null }],
            "endpoints": [
                { "address": "203.0.113.9:7000", "kind": "port_mapped", "reached": true },
                { "address": "192.168.1.2:41641", "kind": "local", "reached": null },
            ],
            "tcp": [
                { "address": "203.0.113.9:8443", "reached": true },
                { "address": "203.0.113.9:8444", "reached": false },
            ],
        });
        let expected = "\
            UDP works: a STUN server answered.
            Others see this device at 203.0.113.9 (IPv4).
            No outer IPv6 address is known.
            The router uses another port for each destination (a hard NAT): some direct connections fail, and the relay carries them.
            The router 192.168.1.1 forwards UDP 203.0.113.9:7000 to port 41641 of the agent until 2027-01-01T00:00:00Z; asked by PCP.
            The router 192.168.1.1 does not forward UDP port 41641 of the agent: it names the outer address 10.0.0.1:7000, but others see another one; there may be a second router.
            The relay Home answered after 12 ms.
            The relay Far did not answer.
            Peers try 203.0.113.9:7000, which the router forwards; a member elsewhere reached this device there.
            Peers try 192.168.1.2:41641, an address of this machine.
            A member elsewhere reached TCP 203.0.113.9:8443.
            A member elsewhere did not reach TCP 203.0.113.9:8444.";
        let expected: Vec<_> = expected.lines().map(str::trim).collect();
        assert_eq!(said(&check), expected);
    }
}
