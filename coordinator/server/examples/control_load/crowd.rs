//! All agents.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use control_protocol::key::NodePublic;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    Failure, Shape,
    agent::{Agent, Marks, Notification, PATIENCE},
    coordinator::Target,
};

/// Agents that register at once.
const AT_ONCE: usize = 32;

/// All agents.
pub(crate) struct Crowd {
    pub(crate) agents: Vec<Agent>,
    pub(crate) shape: Shape,
    /// Whether the coordinator may have other nodes, of earlier runs.
    has_others: bool,
    marks: Marks,
    told: mpsc::UnboundedReceiver<Notification>,
}

impl Crowd {
    pub(crate) async fn new(target: &Target, shape: Shape, agents: usize) -> Result<Self, Failure> {
        let keys = target.keys(shape, agents).await?.into_iter().enumerate();
        let agents = keys.map(|(index, key)| Agent::new(index, key)).collect::<Result<_, _>>()?;
        let (sender, told) = mpsc::unbounded_channel();
        let marks = Marks { awaited: Arc::new(AtomicU16::new(1)), told: sender };
        Ok(Self { agents, shape, has_others: !target.has_admin(), marks, told })
    }

    /// Registers all.
    pub(crate) async fn register(&self, target: &Target) -> Result<(), Failure> {
        let registered = self.agents.iter().map(|agent| agent.register(&target.place));
        stream::iter(registered).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Lets all watch their maps, and waits until each is whole.
    pub(crate) async fn watch(&self, target: &Target) -> Result<(), Failure> {
        for agent in &self.agents {
            tokio::spawn(agent.clone().watch(target.place.clone(), self.marks.clone()));
        }
        self.until_whole(&vec![0; self.agents.len()]).await
    }

    /// How many first maps each has received.
    pub(crate) fn maps(&self) -> Vec<usize> {
        self.agents.iter().map(|agent| agent.progress.maps.load(Ordering::Relaxed)).collect()
    }

    /// Waits until each has received one more than `before`, and sees all whom it should.
    pub(crate) async fn until_whole(&self, before: &[usize]) -> Result<(), Failure> {
        let begun = Instant::now();
        let count = self.agents.len();
        let is_whole = |(agent, before): (&Agent, &usize)| {
            let peers = agent.progress.map().peers.len();
            let expected = self.shape.seen(agent.index, count);
            agent.progress.maps.load(Ordering::Relaxed) > *before
                && (peers == expected || self.has_others && peers > expected)
        };
        loop {
            let whole = self.agents.iter().zip(before).filter(|pair| is_whole(*pair)).count();
            if whole == count && (!self.has_others || self.is_known_to_itself()) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("{whole} of {count} agents see all whom they should").into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Whether each sees all whom it should among the agents, by their node keys.
    fn is_known_to_itself(&self) -> bool {
        let keys: HashSet<NodePublic> = self.agents.iter().map(Agent::node_key).collect();
        let count = self.agents.len();
        self.agents.iter().all(|agent| {
            let map = agent.progress.map();
            let known = map.peers.values().filter(|peer| keys.contains(&peer.key));
            known.count() >= self.shape.seen(agent.index, count)
        })
    }

    /// How many agents see one.
    pub(crate) fn watchers(&self, agent: &Agent) -> usize {
        self.shape.seen(agent.index, self.agents.len())
    }

    /// Lets all look for a port.
    pub(crate) fn await_port(&self, port: u16) {
        self.marks.awaited.store(port, Ordering::Relaxed);
    }

    /// Waits until so many have seen it; when the last did.
    pub(crate) async fn seen(&mut self, port: u16, by: usize) -> Result<Instant, Failure> {
        let (mut seen, mut last) = (0, Instant::now());
        while seen < by {
            let told = timeout(PATIENCE, self.told.recv()).await;
            let told = told.map_err(|_| format!("{seen} of {by} agents were told of a change"))?;
            let told = told.ok_or("no agent is left")?;
            if told.port == port {
                (seen, last) = (seen + 1, told.at);
            }
        }
        Ok(last)
    }
}
