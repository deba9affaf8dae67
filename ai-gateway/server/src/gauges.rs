//! Gauges, in Prometheus' format.

use ai_gateway_api::config::ConfigReport;

use crate::{
    arena,
    models::{Models, State},
    queue::{QueueState, Queues},
    sessions::Size,
};

/// The state of `models`, `queues`, `sessions` and the arena.
pub(crate) fn render(
    models: &Models,
    queues: &Queues,
    sessions: Size,
    config: &ConfigReport,
) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, rows: &[(String, usize)]| {
        text.push_str(&format!(
            "# HELP maru_gateway_{name} {help}.\n# TYPE maru_gateway_{name} gauge\n"
        ));
        for (labels, value) in rows {
            text.push_str(&format!("maru_gateway_{name}{labels} {value}\n"));
        }
    };
    let nodes = models.nodes();
    let rows = |value: fn(&State) -> usize| -> Vec<_> {
        let row = |(provider, state): &(String, State)| {
            (format!("{{provider={provider:?},node={:?}}}", state.name), value(state))
        };
        nodes.iter().map(row).collect()
    };
    gauge("breaker_open", "Whether a node's breaker is open", &rows(|it| usize::from(it.spared)));
    gauge("node_well", "Whether a node takes new requests", &rows(|it| usize::from(it.well)));
    let busy = rows(|it| usize::try_from(it.busy).unwrap_or(usize::MAX));
    gauge("node_busy", "Requests in progress at a node", &busy);
    let queue = queues.state();
    let rows = |value: fn(&QueueState) -> usize| -> Vec<_> {
        let row = |(name, it): &(String, QueueState)| (format!("{{provider={name:?}}}"), value(it));
        queue.iter().map(row).collect()
    };
    gauge("line_waiting", "Requests that wait for a slot of a provider", &rows(|it| it.waiting));
    gauge("line_running", "Requests that hold a slot of a provider", &rows(|it| it.running));
    gauge("line_slots", "Slots of a provider", &rows(|it| it.slots));
    let help = "Whether the database of conversations is open";
    gauge("conversations_open", help, &[(String::new(), sessions.open.into())]);
    gauge("conversations", "Conversations that are stored", &[(String::new(), sessions.sessions)]);
    let help = "Bytes of all conversations as they are stored";
    gauge("conversation_bytes", help, &[(String::new(), sessions.bytes)]);
    let help = "Whether openclaw.json can be used as it is now; otherwise the former one is in use";
    gauge("config_usable", help, &[(String::new(), config.trouble.is_none().into())]);
    let help = "Whether a part of openclaw.json applies after a restart only";
    gauge("config_waits", help, &[(String::new(), config.restart.into())]);
    let arena = arena::usage();
    gauge("locked_bytes", "Locked memory in use", &[(String::new(), arena.used)]);
    gauge("locked_size_bytes", "Size of the locked memory", &[(String::new(), arena.size)]);
    let help = "Allocations that did not fit into the locked memory";
    gauge("locked_spills", help, &[(String::new(), arena.spilled)]);
    text
}
