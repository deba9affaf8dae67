//! Counters without content, in Prometheus' format.

use std::time::{Duration, Instant};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{
    arena,
    line::Lines,
    models::{Models, State},
    sessions::Sessions,
};

/// Where a chat came in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Surface {
    /// `sealed` or `openai`.
    pub surface: &'static str,
}

/// How a chat ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// `sealed` or `openai`.
    pub surface: &'static str,
    /// `done`, `failed`, or `left` (by the client).
    pub outcome: &'static str,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Refusal {
    /// The problem's kind; for sealed requests the reason, which the caller is not told.
    pub reason: String,
}

/// Why a line refused a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LineRefusal {
    /// `person` or `total` (as many wait as may), or `late` (it waited for as long as one may).
    reason: &'static str,
}

/// Prompt or reply.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Direction {
    direction: &'static str,
}

/// All counters.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    active: Family<Surface, Gauge>,
    chats: Family<Outcome, Counter>,
    refused: Family<Refusal, Counter>,
    tokens: Family<Direction, Counter>,
    first_delta: Histogram,
    line_wait: Histogram,
    line_refused: Family<LineRefusal, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0];
        let mut metrics = Self {
            registry: Registry::with_prefix("maru_gateway"),
            active: Family::default(),
            chats: Family::default(),
            refused: Family::default(),
            tokens: Family::default(),
            first_delta: Histogram::new(seconds),
            line_wait: Histogram::new(seconds),
            line_refused: Family::default(),
        };
        let registry = &mut metrics.registry;
        let help = "Replies under way, those in a line included";
        registry.register("active_chats", help, metrics.active.clone());
        registry.register("chats", "Chats by how they ended", metrics.chats.clone());
        registry.register("refused", "Requests refused", metrics.refused.clone());
        registry.register("tokens", "Tokens counted by the models", metrics.tokens.clone());
        let help = "From a chat's arrival to its first delta";
        registry.register("first_delta_seconds", help, metrics.first_delta.clone());
        let help = "How long requests waited in a line, also in vain";
        registry.register("line_wait_seconds", help, metrics.line_wait.clone());
        registry.register(
            "line_refused",
            "Requests refused by a line",
            metrics.line_refused.clone(),
        );
        metrics
    }
}

impl Metrics {
    /// Counts a refused request.
    pub fn refuse(&self, reason: impl ToString) {
        self.refused.get_or_create(&Refusal { reason: reason.to_string() }).inc();
    }

    /// Counts a request that a line refused.
    pub fn refuse_line(&self, reason: &'static str) {
        self.line_refused.get_or_create(&LineRefusal { reason }).inc();
    }

    /// Counts a request that waited so long in a line.
    pub fn waited(&self, time: Duration) {
        self.line_wait.observe(time.as_secs_f64());
    }

    /// Counts tokens.
    pub fn count_tokens(&self, usage: ai_gateway_api::chat::Usage) {
        let add = |direction, count: u32| {
            self.tokens.get_or_create(&Direction { direction }).inc_by(count.into());
        };
        add("prompt", usage.prompt_tokens);
        add("reply", usage.completion_tokens);
    }

    /// All counters as text, with the state of `models`, `lines`, `sessions` and the arena.
    #[must_use]
    pub fn render(&self, models: &Models, lines: &Lines, sessions: &Sessions) -> String {
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
        gauge("breaker_open", "Nodes that are spared", &rows(|it| usize::from(it.spared)));
        gauge("node_well", "Nodes that take new requests", &rows(|it| usize::from(it.well)));
        let busy = rows(|it| usize::try_from(it.busy).unwrap_or(usize::MAX));
        gauge("node_busy", "Requests under way there", &busy);
        let label = |(name, count): (String, usize)| (format!("{{provider={name:?}}}"), count);
        let waiting: Vec<_> = lines.waiting().into_iter().map(label).collect();
        gauge("line_waiting", "Requests that wait for a provider", &waiting);
        let (count, bytes) = sessions.size();
        gauge("sessions", "Sessions in memory", &[(String::new(), count)]);
        gauge("session_bytes", "Their text", &[(String::new(), bytes)]);
        let arena = arena::usage();
        gauge("locked_bytes", "Locked memory in use", &[(String::new(), arena.used)]);
        gauge("locked_bytes_total", "Locked memory in all", &[(String::new(), arena.size)]);
        gauge(
            "locked_spills",
            "Blocks that found no room in it",
            &[(String::new(), arena.spilled)],
        );
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => {
                tracing::error!(%error, "metrics cannot be written");
                String::new()
            }
        }
    }
}

/// One chat, counted from its arrival to its end.
#[derive(Debug)]
pub struct Watch {
    metrics: std::sync::Arc<Metrics>,
    surface: &'static str,
    begun: Instant,
    outcome: &'static str,
}

impl Watch {
    /// Begins to count.
    #[must_use]
    pub fn start(metrics: std::sync::Arc<Metrics>, surface: &'static str) -> Self {
        metrics.active.get_or_create(&Surface { surface }).inc();
        Self { metrics, surface, begun: Instant::now(), outcome: "left" }
    }

    /// The first delta is there.
    pub fn first_delta(&self) {
        self.metrics.first_delta.observe(self.begun.elapsed().as_secs_f64());
    }

    /// The reply ended, whole or not. Without it, the client left.
    pub fn end(&mut self, whole: bool) {
        self.outcome = if whole { "done" } else { "failed" };
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.metrics.active.get_or_create(&Surface { surface: self.surface }).dec();
        let outcome = Outcome { surface: self.surface, outcome: self.outcome };
        self.metrics.chats.get_or_create(&outcome).inc();
    }
}
