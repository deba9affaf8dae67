//! Counters of the coordinator, in Prometheus' format, without names, addresses or keys.
//!
//! For root on a socket of its own, `run/maru/coordinator/metrics.sock`, and where `metrics_listen` says so, for everybody
//! on this machine.

use ::store::Times;
use coordinator_core::{
    model::{Node, NodeId},
    time::Millis,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use crate::hub::Snapshot;

/// One of a few words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limit {
    limit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    status: u16,
}

/// All counters.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    nodes: Family<Of, Gauge>,
    waiting: Gauge,
    users: Gauge,
    streams: Gauge,
    revision: Gauge,
    responses: Family<Kind, Counter>,
    registrations: Family<Ended, Counter>,
    connections: Counter,
    refused: Family<Limit, Counter>,
    answers: Family<Answer, Counter>,
}

impl Metrics {
    pub(crate) fn new(times: &Times) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("maru_coordinator"),
            nodes: Family::default(),
            waiting: Gauge::default(),
            users: Gauge::default(),
            streams: Gauge::default(),
            revision: Gauge::default(),
            responses: Family::default(),
            registrations: Family::default(),
            connections: Counter::default(),
            refused: Family::default(),
            answers: Family::default(),
        };
        metrics.register_network();
        let registry = &mut metrics.registry;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", build);
        let help = "Connections to the port for everyone";
        registry.register("connections", help, metrics.connections.clone());
        let help = "What a limit turned away, by the limit";
        registry.register("refused", help, metrics.refused.clone());
        registry.register("answers", "HTTP answers to everyone", metrics.answers.clone());
        let help = "Changes of the network that were stored";
        registry.register("changes", help, times.changes.clone());
        let help = "From asking for a turn to change the network to getting it";
        registry.register("change_wait_seconds", help, times.turn.clone());
        let help = "From the turn to the change being stored";
        registry.register("change_seconds", help, times.change.clone());
        let help = "Reading the whole network from the database";
        registry.register("load_seconds", help, times.load.clone());
        metrics
    }

    fn register_network(&mut self) {
        let registry = &mut self.registry;
        registry.register("nodes", "Nodes", self.nodes.clone());
        let help = "Devices that wait for approval";
        registry.register("waiting_devices", help, self.waiting.clone());
        registry.register("users", "People", self.users.clone());
        registry.register("map_streams", "Nodes that are told of changes", self.streams.clone());
        let help = "Counts the changes of the network, also those of earlier runs";
        registry.register("revision", help, self.revision.clone());
        registry.register("map_responses", "What map streams were sent", self.responses.clone());
        let help = "Requests to register, by what came of them";
        registry.register("registrations", help, self.registrations.clone());
    }

    /// Counts what a map stream was sent: `map`, `change` or `keep_alive`.
    pub(crate) fn map_response(&self, kind: &'static str) {
        self.responses.get_or_create(&Kind { kind }).inc();
    }

    /// Counts a request to register.
    pub(crate) fn registration(&self, result: &'static str) {
        self.registrations.get_or_create(&Ended { result }).inc();
    }

    /// Counts a connection to the port for everyone.
    pub(crate) fn connection(&self) {
        self.connections.inc();
    }

    /// Counts what a limit turned away.
    pub(crate) fn refuse(&self, limit: &'static str) {
        self.refused.get_or_create(&Limit { limit }).inc();
    }

    /// Counts an answer on the port for everyone.
    pub(crate) fn answer(&self, status: u16) {
        self.answers.get_or_create(&Answer { status }).inc();
    }

    /// All counters as text, with the network as it is.
    pub(crate) fn render(&self, network: &Snapshot, now: Millis) -> String {
        let nodes = &network.loaded.nodes;
        let count =
            |is_it: &dyn Fn(&Node) -> bool| number(nodes.iter().filter(|node| is_it(node)).count());
        let is_online = |id: &NodeId| network.online.contains(id);
        let expired = count(&|node| node.is_expired(now));
        let online = count(&|node| !node.is_expired(now) && is_online(&node.id));
        let states = [
            ("expired", expired),
            ("online", online),
            ("offline", number(nodes.len()) - expired - online),
        ];
        for (state, count) in states {
            self.nodes.get_or_create(&Of { state }).set(count);
        }
        self.waiting.set(number(network.loaded.pending.len()));
        self.users.set(number(network.loaded.users.len()));
        self.streams.set(number(network.online.len()));
        self.revision.set(network.loaded.revision);
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => {
                tracing::error!(%error, "metrics cannot be written");
                String::new()
            }
        }
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
