//! `maru ping PEER` and `maru whois NODE`.

use std::{path::Path, process::ExitCode, time::Duration};

use clap::Args;
use messages::message;
use node_agent_api::{
    Pong,
    endpoints::{PING, WHOIS},
};

use crate::{
    client::{Client, Refused},
    output::{self, Format, OutputArgs},
};

/// Between two pings; the agent lets a user send five a second.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Args)]
pub(crate) struct PingArgs {
    /// Name, full name, mesh address or stable id of the peer
    #[arg(value_name = "PEER")]
    peer: String,
    /// How many pings to send, one a second
    #[arg(short, long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Stop at the first direct answer; exit status 1 if none came
    #[arg(long)]
    until_direct: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct WhoisArgs {
    /// Mesh address, name, full name or stable id
    #[arg(value_name = "NODE")]
    node: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Pings a peer; exit status 1 without an answer, or without a direct one if that was asked for.
pub(crate) async fn run(args: PingArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let agent = Client::agent(root);
    let format = args.output.output;
    // A name that finds nobody is an error at once, and each ping goes to the same node.
    let peer = agent.call(&WHOIS, &[&args.peer], &()).await?;
    let mut answers = Vec::new();
    for sent in 0..args.count {
        if sent > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        match agent.call(&PING, &[&peer.stable_id], &()).await {
            Ok(pong) => {
                if format == Format::Table {
                    output::line(shown(&pong))?;
                }
                answers.push(pong);
            }
            Err(error) if error.is::<Refused>() => return Err(error),
            Err(error) => output::note(format!("{error:#}")),
        }
        if args.until_direct && answers.last().is_some_and(is_direct) {
            break;
        }
    }
    if format != Format::Table {
        output::structured(format, &answers)?;
    }
    let is_reached = match args.until_direct {
        true => answers.last().is_some_and(is_direct),
        false => !answers.is_empty(),
    };
    if args.until_direct && !is_reached && !answers.is_empty() {
        output::note(message!("ping-not-direct", name = peer.name));
    }
    Ok(if is_reached { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Shows who has a name or an address.
pub(crate) async fn whois(args: WhoisArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let node = Client::agent(root).call(&WHOIS, &[&args.node], &()).await?;
    let addresses: Vec<_> = node.addresses.iter().map(ToString::to_string).collect();
    let values = [
        node.name.clone(),
        node.user.clone().unwrap_or_default(),
        node.tags.join(" "),
        addresses.join(" "),
        node.online.map(output::yes).unwrap_or_default(),
        node.stable_id.clone(),
        output::yes(node.this_node),
    ];
    output::one(args.output.output, &node, &message!("whois-labels"), values)?;
    Ok(ExitCode::SUCCESS)
}

fn is_direct(pong: &Pong) -> bool {
    pong.relay.is_none() && pong.path != "relay"
}

fn shown(pong: &Pong) -> String {
    let ms = format!("{:.1}", Duration::from_micros(pong.latency_us).as_secs_f64() * 1e3);
    let (name, address) = (&pong.name, pong.address);
    let text = match &pong.relay {
        Some(relay) => message!("ping-relayed", name, address, ms, relay),
        None => message!("ping-answer", name, address, ms, path = pong.path),
    };
    common::foreign::line(&text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pong(name: &str, path: &str, relay: Option<&str>) -> Pong {
        Pong {
            name: name.to_owned(),
            stable_id: "n2".to_owned(),
            address: "100.64.0.2".parse().unwrap(),
            latency_us: 4_210,
            path: path.to_owned(),
            relay: relay.map(str::to_owned),
        }
    }

    #[test]
    fn an_answer_is_a_line_with_time_and_path() {
        let direct = pong("phone", "direct 203.0.113.7:41641", None);
        assert_eq!(
            shown(&direct),
            "phone (100.64.0.2) answers in 4.2 ms, direct 203.0.113.7:41641"
        );
        assert!(is_direct(&direct));
        let relayed = pong("phone", "relay", Some("maru"));
        assert_eq!(shown(&relayed), "phone (100.64.0.2) answers in 4.2 ms, by the relay maru");
        assert!(!is_direct(&relayed) && !is_direct(&pong("phone", "relay", None)));
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let text = shown(&pong("a\u{1b}[2J\nb", "relay", Some("m\u{9b}")));
        assert!(!text.chars().any(common::foreign::steers), "{text:?}");
    }
}
