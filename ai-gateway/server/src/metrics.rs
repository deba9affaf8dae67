//! Counters without content, in Prometheus' format.

use std::time::{Duration, Instant};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// The API of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SurfaceLabel {
    /// `sealed`, `openai`, `ollama` or `rooms`.
    pub(crate) surface: &'static str,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResponseLabels {
    /// `own`, `openai`, `ollama` or `rooms`.
    surface: &'static str,
    status: u16,
}

/// A provider, by its name in `openclaw.json`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderLabel {
    provider: String,
}

/// How a chat ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabels {
    /// `sealed`, `openai`, `ollama` or `rooms`.
    pub(crate) surface: &'static str,
    /// `done`, `failed`, or `left` (the client disconnected).
    pub(crate) outcome: &'static str,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RefusalLabel {
    /// The problem's kind; for sealed requests the reason, which is not sent.
    pub(crate) reason: String,
}

/// Why a queue refused a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueRefusalLabel {
    /// `person` or `total` (too many are waiting), or `late` (it waited too long).
    reason: &'static str,
}

/// Prompt or reply.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DirectionLabel {
    direction: &'static str,
}

/// All counters.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    active: Family<SurfaceLabel, Gauge>,
    chats: Family<OutcomeLabels, Counter>,
    refused: Family<RefusalLabel, Counter>,
    tokens: Family<DirectionLabel, Counter>,
    first_delta: Histogram,
    whole: Family<SurfaceLabel, Histogram>,
    backends: Backends,
    answers: Family<ResponseLabels, Counter>,
    line_wait: Histogram,
    line_refused: Family<QueueRefusalLabel, Counter>,
}

/// Speed of each provider.
#[derive(Debug)]
struct Backends {
    first_delta: Family<ProviderLabel, Histogram>,
    whole: Family<ProviderLabel, Histogram>,
    speed: Family<ProviderLabel, Histogram>,
}

/// Bounds of histograms of time, in seconds: a reply may take ten minutes, and as long again before its first token.
const SECONDS: [f64; 12] =
    [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0];
/// Bounds of histograms of tokens in a second.
const SPEEDS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

impl Default for Metrics {
    fn default() -> Self {
        let by_seconds: fn() -> Histogram = || Histogram::new(SECONDS);
        let mut metrics = Self {
            registry: Registry::with_prefix("maru_gateway"),
            active: Family::default(),
            chats: Family::default(),
            refused: Family::default(),
            tokens: Family::default(),
            first_delta: by_seconds(),
            whole: Family::new_with_constructor(by_seconds),
            backends: Backends {
                first_delta: Family::new_with_constructor(by_seconds),
                whole: Family::new_with_constructor(by_seconds),
                speed: Family::new_with_constructor(|| Histogram::new(SPEEDS)),
            },
            answers: Family::default(),
            line_wait: by_seconds(),
            line_refused: Family::default(),
        };
        let registry = &mut metrics.registry;
        let help = "Replies in progress, waiting ones included";
        registry.register("active_chats", help, metrics.active.clone());
        registry.register("chats", "Chats by how they ended", metrics.chats.clone());
        registry.register("refused", "Requests refused", metrics.refused.clone());
        registry.register("tokens", "Tokens counted by the models", metrics.tokens.clone());
        let help = "From a chat's arrival to its first delta";
        registry.register("first_delta_seconds", help, metrics.first_delta.clone());
        metrics.register_times();
        let registry = &mut metrics.registry;
        let help = "How long requests waited in a queue, refused ones included";
        registry.register("line_wait_seconds", help, metrics.line_wait.clone());
        registry.register(
            "line_refused",
            "Requests refused by a queue",
            metrics.line_refused.clone(),
        );
        metrics
    }
}

impl Metrics {
    fn register_times(&mut self) {
        let registry = &mut self.registry;
        let help = "From a chat's arrival to its end, of complete chats";
        registry.register("chat_seconds", help, self.whole.clone());
        let help = "From the request to a provider to its first delta";
        registry.register("backend_first_delta_seconds", help, self.backends.first_delta.clone());
        let help = "From the request to a provider to the end of its reply, of complete replies";
        registry.register("backend_seconds", help, self.backends.whole.clone());
        let help =
            "Tokens a second from a reply's first delta to its end, as its backend counts them";
        registry.register("tokens_per_second", help, self.backends.speed.clone());
        let help = "Answers by their status; a stream that fails later has begun with 200";
        registry.register("answers", help, self.answers.clone());
    }

    /// Counts a response of this API.
    pub(crate) fn answer(&self, surface: &'static str, status: u16) {
        self.answers.get_or_create(&ResponseLabels { surface, status }).inc();
    }

    /// Counts a refused request.
    pub(crate) fn refuse(&self, reason: impl ToString) {
        self.refused.get_or_create(&RefusalLabel { reason: reason.to_string() }).inc();
    }

    /// Counts a request that a queue refused.
    pub(crate) fn refuse_queued(&self, reason: &'static str) {
        self.line_refused.get_or_create(&QueueRefusalLabel { reason }).inc();
    }

    /// Counts a request that waited so long in a queue.
    pub(crate) fn waited(&self, time: Duration) {
        self.line_wait.observe(time.as_secs_f64());
    }

    /// Counts tokens.
    pub(crate) fn count_tokens(&self, usage: chat_vocabulary::Usage) {
        let add = |direction, count: u32| {
            self.tokens.get_or_create(&DirectionLabel { direction }).inc_by(count.into());
        };
        add("prompt", usage.prompt_tokens);
        add("reply", usage.completion_tokens);
    }

    /// All counters as text, after the gauges.
    #[must_use]
    pub(crate) fn render(&self, gauges: String) -> String {
        let mut text = gauges;
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => {
                tracing::error!(%error, "metrics cannot be encoded");
                String::new()
            }
        }
    }
}

/// Counts a chat from its arrival to its end.
#[derive(Debug)]
pub(crate) struct ChatTimer {
    metrics: std::sync::Arc<Metrics>,
    surface: &'static str,
    begun: Instant,
    /// The provider's reply, once there is one.
    reply: Option<ReplyTiming>,
    outcome: &'static str,
}

/// Times of a provider's reply.
#[derive(Debug)]
struct ReplyTiming {
    by: ProviderLabel,
    /// When the request was sent, and when the first delta arrived.
    asked: Instant,
    first: Option<Instant>,
    tokens: u32,
}

impl ChatTimer {
    /// Starts counting.
    #[must_use]
    pub(crate) fn start(metrics: std::sync::Arc<Metrics>, surface: &'static str) -> Self {
        metrics.active.get_or_create(&SurfaceLabel { surface }).inc();
        Self { metrics, surface, begun: Instant::now(), reply: None, outcome: "left" }
    }

    /// Records that this provider, which was asked at `asked`, has answered.
    pub(crate) fn answered(&mut self, provider: &str, asked: Instant) {
        let by = ProviderLabel { provider: provider.to_owned() };
        self.reply = Some(ReplyTiming { by, asked, first: None, tokens: 0 });
    }

    /// Records the first delta of that answer.
    pub(crate) fn first_delta(&mut self) {
        let now = Instant::now();
        self.metrics.first_delta.observe((now - self.begun).as_secs_f64());
        if let Some(reply) = &mut self.reply {
            reply.first = Some(now);
            let family = &self.metrics.backends.first_delta;
            family.get_or_create(&reply.by).observe((now - reply.asked).as_secs_f64());
        }
    }

    /// Counts the tokens that the model reports.
    pub(crate) fn count_tokens(&mut self, usage: chat_vocabulary::Usage) {
        self.metrics.count_tokens(usage);
        if let Some(reply) = &mut self.reply {
            reply.tokens = usage.completion_tokens;
        }
    }

    /// Records the end of the reply, complete or not. Without a call the client has disconnected.
    pub(crate) fn end(&mut self, whole: bool) {
        self.outcome = if whole { "done" } else { "failed" };
        if !whole {
            return;
        }
        let (now, metrics) = (Instant::now(), &self.metrics);
        let surface = SurfaceLabel { surface: self.surface };
        metrics.whole.get_or_create(&surface).observe((now - self.begun).as_secs_f64());
        let Some(reply) = &self.reply else { return };
        let duration = now - reply.asked;
        metrics.backends.whole.get_or_create(&reply.by).observe(duration.as_secs_f64());
        let generation = reply.first.map_or(0.0, |first| (now - first).as_secs_f64());
        // The time before the first token is not included.
        if reply.tokens > 1 && generation > 0.0 {
            let speed = f64::from(reply.tokens - 1) / generation;
            metrics.backends.speed.get_or_create(&reply.by).observe(speed);
        }
    }
}

impl Drop for ChatTimer {
    fn drop(&mut self) {
        self.metrics.active.get_or_create(&SurfaceLabel { surface: self.surface }).dec();
        let outcome = OutcomeLabels { surface: self.surface, outcome: self.outcome };
        self.metrics.chats.get_or_create(&outcome).inc();
    }
}
