//! The ways into the network: relay, peers that stay relayed, and this machine's clock.

use std::time::{Duration, SystemTime};

use coordinator_api::invitation::ServerUrl;
use messages::{Message, message};
use node_agent_api::{Peer, RelayReason, State, Status};
use reqwest::header::DATE;

use crate::finding::Finding;

/// Sealed requests are valid for a minute.
const CLOCK_MAX: Duration = Duration::from_secs(60);
/// How long the coordinator may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many relayed peers are named.
const NAMED_MAX: usize = 20;

/// Checks of a running node.
pub(super) async fn check(status: &Status, listen_port: u16) -> Vec<Finding> {
    if status.state != State::Running {
        return Vec::new();
    }
    let mut findings: Vec<_> = relay(status).into_iter().collect();
    let path = |peer| path(peer, listen_port);
    findings.extend(status.peers.iter().filter_map(path).take(NAMED_MAX));
    findings.extend(clock(status).await);
    findings
}

fn relay(status: &Status) -> Option<Finding> {
    let relay = status.home_relay.as_ref()?;
    let name = &relay.name;
    Some(match relay.connected {
        true => Finding::ok("relay", message!("relay-answers", name)),
        false => Finding::warning("relay", message!("relay-silent", name), message!("fix-relay")),
    })
}

/// Why a peer is relayed. Without traffic there is no path to tell of.
fn path(peer: &Peer, listen_port: u16) -> Option<Finding> {
    let name = &peer.name;
    // No router can be told to forward a port that the kernel chooses at each start.
    let forward = || match listen_port {
        0 => message!("fix-listen-port"),
        port => message!("fix-forward", port = port.to_string()),
    };
    let (text, fix): (Message, Message) = match peer.relay_reason? {
        RelayReason::NoUdpHere => (message!("relayed-no-udp-here", name), message!("fix-udp-here")),
        RelayReason::NoUdpThere => {
            (message!("relayed-no-udp-there", name), message!("fix-udp-there", name))
        }
        RelayReason::NoCommonFamily => {
            (message!("relayed-no-family", name), message!("fix-family"))
        }
        RelayReason::SymmetricNatHere => (message!("relayed-symmetric", name), forward()),
        RelayReason::NoAnswer => (message!("relayed-no-answer", name), forward()),
    };
    Some(Finding::warning("path", text, fix))
}

/// Compares this machine's clock with the coordinator's `Date` (RFC 9110, section 6.6.1), which proves nothing.
async fn clock(status: &Status) -> Option<Finding> {
    let server = ServerUrl::parse(&status.coordinator.as_ref()?.url).ok()?;
    let client = reqwest::Client::builder().timeout(PATIENCE).build().ok()?;
    let answer = client.head(format!("{server}/")).send().await.ok()?;
    let date = answer.headers().get(DATE)?.to_str().ok()?;
    difference(date, SystemTime::now())
}

fn difference(date: &str, now: SystemTime) -> Option<Finding> {
    let theirs: SystemTime = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().into();
    let (by, is_ahead) = match now.duration_since(theirs) {
        Ok(by) => (by, true),
        Err(error) => (error.duration(), false),
    };
    if by <= CLOCK_MAX {
        return None;
    }
    let by = crate::duration::shown(i64::try_from(by.as_secs()).unwrap_or(i64::MAX));
    let text = match is_ahead {
        true => message!("clock-before-coordinator", by),
        false => message!("clock-behind-coordinator", by),
    };
    Some(Finding::warning("clock", text, "sudo timedatectl set-ntp true"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::finding::Severity;

    #[test]
    fn a_relayed_peer_is_named_with_the_reason() {
        for (reason, word) in [
            ("no_udp_here", "UDP"),
            ("no_udp_there", "phone"),
            ("no_common_family", "IPv6"),
            ("symmetric_nat_here", "symmetric"),
            ("no_answer", "51820"),
        ] {
            let peer: Peer = serde_json::from_value(json!({
                "name": "phone", "stable_id": "n2", "addresses": [], "path": "relay", "relay_reason": reason,
            }))
            .unwrap();
            let finding = path(&peer, 51820).unwrap();
            let said = format!("{} {}", finding.text, finding.fix_text());
            assert!(said.contains(word) && said.contains("phone"), "{said}");
            let fix = path(&peer, 0).unwrap().fix_text();
            assert_eq!(fix.contains("listen_port"), said.contains("51820"), "{fix}");
        }
    }

    #[test]
    fn a_clock_that_differs_by_more_than_a_minute_is_a_warning() {
        let date = "Fri, 27 Nov 2026 02:00:00 GMT";
        let at = |seconds: i64| {
            let there: SystemTime = jiff::fmt::rfc2822::parse(date).unwrap().timestamp().into();
            let by = Duration::from_secs(seconds.unsigned_abs());
            difference(date, if seconds < 0 { there - by } else { there + by })
        };
        assert_eq!((at(0), at(60), at(-60)), (None, None, None));
        for (seconds, word) in [(120, "ahead"), (-120, "behind")] {
            let finding = at(seconds).unwrap();
            assert_eq!(finding.severity, Severity::Warning);
            assert!(finding.text.to_string().contains(word), "{}", finding.text);
        }
        assert_eq!(difference("yesterday", SystemTime::now()), None);
    }
}
