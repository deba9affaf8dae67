//! Who has a name, and pings.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use chassis::quota::Quota;
use common::{foreign, mesh};
use control_protocol::map::Node;
use messages::message;
use node_agent_api::{Pong, State, Whois};
use node_agent_core::{
    netmap::{FindError, Netmap},
    path::Source,
};
use tokio::{sync::oneshot, time::timeout};

use super::{refused::Refused, status};
use crate::agent::Agent;

/// How long an answer to a ping may take, a handshake included.
const PONG_WAIT: Duration = Duration::from_secs(5);
/// Pings of one user within [`PERIOD`].
pub(super) const PINGS: usize = 5;
/// Pings of all users but root within [`PERIOD`]; root has [`PINGS`] of its own.
const PINGS_OF_ALL: usize = 40;
/// How long a ping counts.
pub(super) const PERIOD: Duration = Duration::from_secs(1);
/// Characters of a name that an error repeats.
const NAME_MAX: usize = 80;

/// How many pings each user sent within the last [`PERIOD`].
#[derive(Clone, Debug)]
pub(super) struct PingQuota {
    root: Quota<u32>,
    others: Quota<u32>,
}

impl Default for PingQuota {
    fn default() -> Self {
        Self { root: Quota::new(PINGS, PINGS), others: Quota::new(PINGS_OF_ALL, PINGS) }
    }
}

impl PingQuota {
    /// Counts a ping of this user for [`PERIOD`].
    pub(super) fn count(&self, uid: u32) -> Result<(), Refused> {
        let quota = if uid == 0 { &self.root } else { &self.others };
        let permit = quota.take(uid).map_err(|_| Refused::PingRate)?;
        tokio::spawn(async move {
            tokio::time::sleep(PERIOD).await;
            drop(permit);
        });
        Ok(())
    }
}

pub(super) fn whois(agent: &Agent, text: &str) -> Result<Whois, Refused> {
    let netmap = Arc::clone(&agent.netmap.borrow());
    let node = find(&netmap, text)?;
    let this_node = netmap.node.as_ref().is_some_and(|own| own.stable_id == node.stable_id);
    Ok(Whois {
        name: netmap.short_name(node),
        stable_id: node.stable_id.clone(),
        addresses: addresses(node),
        user: status::user(&netmap, node),
        tags: node.tags.clone(),
        online: if this_node { Some(agent.progress.borrow().connected) } else { node.online },
        this_node,
    })
}

pub(super) async fn ping(agent: &Agent, text: &str) -> Result<Pong, Refused> {
    let netmap = Arc::clone(&agent.netmap.borrow());
    let node = find(&netmap, text)?;
    if netmap.node.as_ref().is_some_and(|own| own.stable_id == node.stable_id) {
        return Err(Refused::NodeSelf);
    }
    let state = status::of(agent).state;
    if state != State::Running {
        return Err(Refused::NotANode(message!("problem-not-a-node", state = state.name())));
    }
    let name = netmap.short_name(node);
    let answer = send(agent, &netmap, node).await;
    let (address, source, latency) = answer.ok_or_else(|| Refused::NoPong(name.clone()))?;
    let relay = agent.home.borrow().as_ref().map(|home| home.name.clone());
    let (path, relay) = match source {
        Source::Udp(address) => (format!("direct {address}"), None),
        Source::Relay => ("relay".to_owned(), relay),
    };
    let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    Ok(Pong { name, stable_id: node.stable_id.clone(), address, latency_us, path, relay })
}

/// Pings the first address of the node that is of a family of this one; `None` without an answer.
async fn send(agent: &Agent, netmap: &Netmap, node: &Node) -> Option<(IpAddr, Source, Duration)> {
    let own = netmap.addresses();
    let (from, to) = addresses(node).into_iter().find_map(|to| {
        let from = own.iter().find(|from| from.is_ipv4() == to.is_ipv4())?;
        Some((*from, to))
    })?;
    let (sender, answered) = oneshot::channel();
    let sent = Instant::now();
    let answer = move |path| {
        let _ = sender.send((path, sent.elapsed()));
    };
    let _ping = agent.device()?.ping(from, to, answer)?;
    let (source, latency) = timeout(PONG_WAIT, answered).await.ok()?.ok()?;
    Some((to, source, latency))
}

fn find<'a>(netmap: &'a Netmap, text: &str) -> Result<&'a Node, Refused> {
    if netmap.node.is_none() {
        let state = State::NeedsJoin.name();
        return Err(Refused::NotANode(message!("problem-not-a-node", state)));
    }
    netmap.find(text).map_err(|error| {
        let name = foreign::short(text, NAME_MAX);
        match error {
            FindError::Unknown => Refused::NodeUnknown(name),
            FindError::Ambiguous => Refused::NodeAmbiguous(name),
        }
    })
}

fn addresses(node: &Node) -> Vec<IpAddr> {
    let all = node.addresses.iter().map(ipnet::IpNet::addr);
    all.filter(|address| mesh::contains(*address)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_user_has_few_pings_and_root_its_own() {
        let quota = PingQuota::default();
        let sent = |uid| (0..2 * PINGS).filter(|_| quota.count(uid).is_ok()).count();
        assert_eq!((sent(1000), sent(1001)), (PINGS, PINGS));
        let others: usize = (2000..2100).map(sent).sum();
        assert_eq!(others, PINGS_OF_ALL - 2 * PINGS, "all users together are bounded");
        assert_eq!(sent(0), PINGS, "they take nothing from root");
    }
}
