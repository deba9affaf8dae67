//! Metrics of the coordinator, in Prometheus' format, without names, addresses or keys.
//!
//! Root reads them on `run/maru/coordinator/metrics.sock`; with `metrics_listen`, every user of this machine reads them.

use ::store::DatabaseMetrics;
use coordinator_core::{
    model::{Node, NodeId},
    time::Millis,
};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use crate::hub::Snapshot;

/// The one label of a metric, and its value.
type Label = [(&'static str, &'static str); 1];

/// All metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    nodes: Family<Label, Gauge>,
    waiting: Gauge,
    users: Gauge,
    streams: Gauge,
    revision: Gauge,
    responses: Family<Label, Counter>,
    registrations: Family<Label, Counter>,
    connections: Counter,
    refused: Family<Label, Counter>,
    answers: Family<[(&'static str, u16); 1], Counter>,
}

impl Metrics {
    pub(crate) fn new(database: &DatabaseMetrics) -> Self {
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
        metrics.register(database);
        metrics
    }

    fn register(&mut self, database: &DatabaseMetrics) {
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        let registry = &mut self.registry;
        registry.register("build", "Version of the program", build);
        registry.register("nodes", "Nodes by state: online, offline, expired", self.nodes.clone());
        let help = "Devices that wait for approval";
        registry.register("waiting_devices", help, self.waiting.clone());
        registry.register("users", "Users", self.users.clone());
        registry.register(
            "map_streams",
            "Nodes that are reported as connected",
            self.streams.clone(),
        );
        let help = "Revision of the network: changes stored so far, in earlier runs too";
        registry.register("revision", help, self.revision.clone());
        let help = "Responses in map streams by kind: map, change, keep_alive";
        registry.register("map_responses", help, self.responses.clone());
        let help = "Requests to register by result: node, waiting, expired, refused, busy, failed";
        registry.register("registrations", help, self.registrations.clone());
        let help = "Connections to the public port";
        registry.register("connections", help, self.connections.clone());
        let help = "Refusals by limit: newcomers (evicted by newer connections), requests (of one origin), \
                    api_keys (invalid ones)";
        registry.register("refused", help, self.refused.clone());
        let help = "HTTP answers on the public port by status";
        registry.register("answers", help, self.answers.clone());
        let help = "Changes of the network stored by this process";
        registry.register("changes", help, database.changes.clone());
        let help = "Time that a change waited for its turn to write";
        registry.register("change_wait_seconds", help, database.wait.clone());
        let help = "Time from the beginning of a change to its commit";
        registry.register("change_seconds", help, database.write.clone());
        let help = "Time to read the whole network from the database";
        registry.register("load_seconds", help, database.load.clone());
    }

    /// Counts a response in a map stream: `map`, `change` or `keep_alive`.
    pub(crate) fn map_response(&self, kind: &'static str) {
        self.responses.get_or_create(&[("kind", kind)]).inc();
    }

    /// Counts a request to register.
    pub(crate) fn registration(&self, result: &'static str) {
        self.registrations.get_or_create(&[("result", result)]).inc();
    }

    /// Counts a connection to the public port.
    pub(crate) fn connection(&self) {
        self.connections.inc();
    }

    /// Counts a refusal by a limit.
    pub(crate) fn refuse(&self, limit: &'static str) {
        self.refused.get_or_create(&[("limit", limit)]).inc();
    }

    /// Counts an answer on the public port.
    pub(crate) fn answer(&self, status: u16) {
        self.answers.get_or_create(&[("status", status)]).inc();
    }

    /// Encodes the metrics, after setting the gauges from the network.
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
            self.nodes.get_or_create(&[("state", state)]).set(count);
        }
        self.waiting.set(number(network.loaded.pending.len()));
        self.users.set(number(network.loaded.users.len()));
        self.streams.set(number(network.online.len()));
        self.revision.set(network.loaded.revision);
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => {
                tracing::error!(%error, "cannot encode the metrics");
                String::new()
            }
        }
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_every_metric() {
        let metrics = Metrics::new(&DatabaseMetrics::default());
        // A family is only encoded once it has a value.
        metrics.nodes.get_or_create(&[("state", "online")]).set(1);
        metrics.map_response("map");
        metrics.registration("node");
        metrics.refuse("requests");
        metrics.answer(200);
        let mut text = String::new();
        encode(&mut text, &metrics.registry).unwrap();

        testkit::metrics::listed(&text, "maru_coordinator_");
    }
}
