//! The nodes, and what happens to them.
//!
//! Each has a slot, which is empty from the time when it leaves until a new machine joins with the same key.

use std::{
    net::SocketAddr,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use control_protocol::map::NodeId;
use hyper::Method;
use serde::Serialize;
use serde_json::Value;
use tokio::{task::AbortHandle, time::sleep};

use super::script::Step;
use crate::{
    Failure, Shape,
    agent::{Agent, Location, Marks, PATIENCE},
    coordinator::Target,
    crowd::Crowd,
    network_map::MapNode,
    numbers::Numbers,
};

/// Spreads seeds that are near each other.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// The first port to which a node moves, and how many there are.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 20_000;
/// The highest ports that the policies open, one policy after the other. The first is in force from the start.
const POLICIES: [u16; 3] = [u16::MAX, 8443, 443];
/// One slot of so many may be empty.
const SLOTS_PER_EMPTY: usize = 20;
/// Wait before a request that failed is sent again, such as one that came too often.
const RETRY: Duration = Duration::from_secs(1);
/// Interval of looking whether something has come.
const LOOK: Duration = Duration::from_millis(5);

/// What was done.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Counts {
    moved: u32,
    reconnected: u32,
    renewed: u32,
    expired: u32,
    removed: u32,
    joined: u32,
    left: u32,
    policies: u32,
    /// Endpoints that a node was seen to have by another one, which was chosen when the endpoint was acknowledged.
    endpoints_seen: u32,
    /// Endpoints that were not looked for any more: the node has moved on, or one of the two has left.
    endpoints_superseded: u32,
    /// Steps that need an admin where there is none.
    left_out: u32,
}

/// All nodes, and what the coordinator acknowledged besides them.
pub(super) struct Network {
    pub(super) slots: Vec<Slot>,
    /// Whether the coordinator is Maru's and has no other nodes.
    pub(super) is_own: bool,
    /// The highest port that the policy opens, if it is known.
    pub(super) opened: Option<u16>,
    /// The last answer to a new policy.
    pub(super) policy: Option<Value>,
    pub(super) counts: Counts,
    place: Location,
    shape: Shape,
    numbers: Numbers,
    /// The port to which a node moves next, from [`FIRST_PORT`].
    next_port: u16,
    awaited: Vec<AwaitedEndpoint>,
}

/// The place of a node.
pub(super) struct Slot {
    /// The node, or the one that has left.
    pub(super) agent: Agent,
    /// The task of its map stream; `None`: the slot is empty.
    stream: Option<AbortHandle>,
}

/// An endpoint that was acknowledged and that another node must see.
struct AwaitedEndpoint {
    node: usize,
    endpoint: SocketAddr,
    watcher: usize,
    since: Instant,
}

impl Slot {
    /// Whether a node is there.
    pub(super) fn is_taken(&self) -> bool {
        self.stream.is_some()
    }

    fn stop(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.abort();
        }
        self.agent.hang_up();
    }

    /// Begins its map stream, or begins it anew.
    fn begin(&mut self, place: &Location) {
        self.stop();
        let stream = tokio::spawn(self.agent.clone().watch(place.clone(), Marks::none()));
        self.stream = Some(stream.abort_handle());
    }

    /// First maps that it has received.
    fn maps(&self) -> usize {
        self.agent.progress.maps.load(Ordering::Relaxed)
    }

    /// Begins its map stream, and waits for the first map.
    async fn connect(&mut self, place: &Location) -> Result<(), Failure> {
        let before = self.maps();
        self.begin(place);
        until("a node has received no map", || self.maps() > before).await
    }

    /// Its number and what else it was told of itself.
    fn own(&self) -> Result<(NodeId, MapNode), Failure> {
        let own = self.agent.progress.map().own.clone();
        Ok(own.ok_or("a node was told nothing of itself")?)
    }
}

impl Network {
    /// Lets all join.
    pub(super) async fn start(target: &Target, crowd: Crowd, seed: u64) -> Result<Self, Failure> {
        crowd.register(target).await?;
        let place = target.place.clone();
        let slots = crowd.agents.into_iter().map(|agent| {
            let mut slot = Slot { agent, stream: None };
            slot.begin(&place);
            slot
        });
        let slots: Vec<Slot> = slots.collect();
        let network = Self {
            slots,
            is_own: target.has_admin(),
            opened: target.has_admin().then_some(POLICIES[0]),
            policy: None,
            counts: Counts::default(),
            place,
            shape: crowd.shape,
            numbers: Numbers::new(seed.wrapping_mul(SPREAD)),
            next_port: 0,
            awaited: Vec::new(),
        };
        network.until_newer(&vec![0; network.slots.len()]).await?;
        Ok(network)
    }

    /// How many first maps each has received.
    pub(super) fn maps(&self) -> Vec<usize> {
        self.slots.iter().map(Slot::maps).collect()
    }

    /// Waits until each has received one more than `before`.
    pub(super) async fn until_newer(&self, before: &[usize]) -> Result<(), Failure> {
        let all = || self.slots.iter().zip(before).all(|(slot, before)| slot.maps() > *before);
        until("not every node has received its map", all).await
    }

    /// Whether the node of one slot sees that of another.
    pub(super) fn sees(&self, one: usize, other: usize) -> bool {
        self.shape.sees(one, other, self.slots.len())
    }

    /// Does what the script has next.
    pub(super) async fn step(&mut self, target: &Target) -> Result<(), Failure> {
        self.look()?;
        let step = Step::draw(&mut self.numbers);
        if step.needs_admin() && !target.has_admin() {
            self.counts.left_out += 1;
            return Ok(());
        }
        match step {
            Step::Move => self.moves().await,
            Step::Reconnect => self.reconnect().await,
            Step::Renew => self.log_out_and_in().await,
            Step::Expire => self.expire(target).await,
            Step::Remove => self.remove(target).await,
            Step::Exchange => self.exchange(target).await,
            Step::Policy => self.set_policy(target).await,
        }
    }

    /// Counts the endpoints that have been seen by now.
    pub(super) fn look(&mut self) -> Result<(), Failure> {
        for it in std::mem::take(&mut self.awaited) {
            let (node, watcher) = (&self.slots[it.node], &self.slots[it.watcher]);
            let id = node.agent.progress.map().own.as_ref().map(|(id, _)| *id);
            let map = watcher.agent.progress.map();
            if !node.is_taken() || !watcher.is_taken() || node.agent.endpoint() != it.endpoint {
                self.counts.endpoints_superseded += 1;
            } else if id.is_some_and(|id| map.shows(id, it.endpoint)) {
                self.counts.endpoints_seen += 1;
            } else if it.since.elapsed() > PATIENCE {
                let (node, watcher) = (node.agent.index, watcher.agent.index);
                let endpoint = it.endpoint;
                return Err(
                    format!("{endpoint} of agent {node} never reached agent {watcher}").into()
                );
            } else {
                self.awaited.push(it);
            }
        }
        Ok(())
    }

    /// Lets new machines join where slots are empty.
    pub(super) async fn fill(&mut self) -> Result<(), Failure> {
        for at in 0..self.slots.len() {
            if !self.slots[at].is_taken() {
                self.join(at).await?;
            }
        }
        Ok(())
    }

    async fn moves(&mut self) -> Result<(), Failure> {
        let (at, port) = (self.draw_node(), self.draw_port());
        let agent = self.slots[at].agent.clone();
        patiently(|| agent.moves(port)).await?;
        self.counts.moved += 1;
        self.await_endpoint(at);
        Ok(())
    }

    async fn reconnect(&mut self) -> Result<(), Failure> {
        let (at, port) = (self.draw_node(), self.draw_port());
        self.slots[at].agent.set_port(port);
        self.slots[at].connect(&self.place).await?;
        self.counts.reconnected += 1;
        self.await_endpoint(at);
        Ok(())
    }

    async fn log_out_and_in(&mut self) -> Result<(), Failure> {
        let at = self.draw_node();
        let before = self.log_out(at).await?;
        self.renew(at, &before).await?;
        self.counts.renewed += 1;
        Ok(())
    }

    async fn expire(&mut self, target: &Target) -> Result<(), Failure> {
        let at = self.draw_node();
        let before = self.slots[at].own()?;
        let path = format!("/devices/{}/expire", before.0);
        let answer = target.admin(Method::POST, &path, Value::Null).await?;
        if answer["state"] != "expired" {
            return Err(format!("an expired key is answered with {answer}").into());
        }
        self.renew(at, &before).await?;
        self.counts.expired += 1;
        Ok(())
    }

    async fn remove(&mut self, target: &Target) -> Result<(), Failure> {
        let at = self.draw_node();
        let (id, _) = self.slots[at].own()?;
        target.admin(Method::DELETE, &format!("/devices/{id}"), Value::Null).await?;
        let agent = self.slots[at].agent.renewed()?;
        self.enter(at, agent).await?;
        if self.slots[at].own()?.0 == id {
            return Err(format!("node {id} was removed, and its number was given again").into());
        }
        self.counts.removed += 1;
        Ok(())
    }

    async fn exchange(&mut self, target: &Target) -> Result<(), Failure> {
        let all = 0..self.slots.len();
        let empty: Vec<usize> = all.filter(|at| !self.slots[*at].is_taken()).collect();
        let most = (self.slots.len() / SLOTS_PER_EMPTY).max(1);
        let is_join = !empty.is_empty() && (empty.len() >= most || self.numbers.below(2) == 0);
        if is_join {
            let at = empty[self.numbers.below(empty.len())];
            return self.join(at).await;
        }
        let at = self.draw_node();
        let (id, _) = self.log_out(at).await?;
        target.admin(Method::DELETE, &format!("/devices/{id}"), Value::Null).await?;
        self.counts.left += 1;
        Ok(())
    }

    async fn set_policy(&mut self, target: &Target) -> Result<(), Failure> {
        self.counts.policies += 1;
        let next = usize::try_from(self.counts.policies)? % POLICIES.len();
        self.policy = target.allow(POLICIES[next]).await?;
        self.opened = Some(POLICIES[next]);
        Ok(())
    }

    async fn join(&mut self, at: usize) -> Result<(), Failure> {
        let agent = self.slots[at].agent.successor()?;
        self.enter(at, agent).await?;
        self.counts.joined += 1;
        Ok(())
    }

    /// Logs a node out, which leaves its slot; what it was told of itself.
    async fn log_out(&mut self, at: usize) -> Result<(NodeId, MapNode), Failure> {
        let own = self.slots[at].own()?;
        self.slots[at].stop();
        let agent = &self.slots[at].agent;
        patiently(|| agent.log_out(&self.place)).await?;
        Ok(own)
    }

    /// Registers another node key of the machine in a slot. Maru's coordinator keeps its number, name and addresses.
    async fn renew(&mut self, at: usize, before: &(NodeId, MapNode)) -> Result<(), Failure> {
        let agent = self.slots[at].agent.renewed()?;
        self.enter(at, agent).await?;
        let after = self.slots[at].own()?;
        let identity =
            |(id, node): &(NodeId, MapNode)| (*id, node.name.clone(), node.addresses.clone());
        if self.is_own && identity(&after) != identity(before) {
            return Err(format!("with another node key {before:?} became {after:?}").into());
        }
        Ok(())
    }

    /// Registers an agent, which takes a slot, and waits for its map.
    async fn enter(&mut self, at: usize, agent: Agent) -> Result<(), Failure> {
        self.slots[at].stop();
        patiently(|| agent.register(&self.place)).await?;
        self.slots[at].agent = agent;
        self.slots[at].connect(&self.place).await
    }

    /// A node, by chance.
    fn draw_node(&mut self) -> usize {
        let all = 0..self.slots.len();
        let taken: Vec<usize> = all.filter(|at| self.slots[*at].is_taken()).collect();
        taken[self.numbers.below(taken.len())]
    }

    /// A port that no node had lately.
    fn draw_port(&mut self) -> u16 {
        self.next_port = (self.next_port + 1) % PORTS;
        FIRST_PORT + self.next_port
    }

    /// Has one of those that see a node look for its endpoint.
    fn await_endpoint(&mut self, node: usize) {
        let all = 0..self.slots.len();
        let watchers = all.filter(|at| self.sees(*at, node) && self.slots[*at].is_taken());
        let watchers: Vec<usize> = watchers.collect();
        if !watchers.is_empty() {
            let watcher = watchers[self.numbers.below(watchers.len())];
            let (endpoint, since) = (self.slots[node].agent.endpoint(), Instant::now());
            self.awaited.push(AwaitedEndpoint { node, endpoint, watcher, since });
        }
    }
}

/// Sends a request until it succeeds: a channel may be closing, and a node that changes often is told to wait.
async fn patiently<F>(attempt: impl Fn() -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let begun = Instant::now();
    loop {
        match attempt().await {
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => sleep(RETRY).await,
            Ok(()) => return Ok(()),
        }
    }
}

/// Waits until something holds; `otherwise` says what is wrong if it never does.
async fn until(otherwise: &str, holds: impl Fn() -> bool) -> Result<(), Failure> {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > PATIENCE {
            return Err(otherwise.into());
        }
        sleep(LOOK).await;
    }
    Ok(())
}
