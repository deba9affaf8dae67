//! The table of faults, row by row.

use std::time::Duration;

use llm_backend::Timeouts;

use super::{
    KINDS,
    backend::Step::{self, *},
    surface::{Surface, WHOLE},
};

/// A fault, and what comes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// What the table calls it.
    pub(super) name: &'static str,
    /// What the backend does; it is not there if this is empty.
    pub(super) steps: &'static [Step],
    /// Whether it answers health checks meanwhile.
    pub(super) healthy: bool,
    /// What is shown.
    pub(super) shows: Expected,
    /// After how long.
    pub(super) soon: Deadline,
    /// Whether the request goes to the next node.
    pub(super) next: bool,
    /// Whether the breaker counts it.
    pub(super) counts: bool,
}

/// What the person is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// No model answers.
    Down,
    /// Every model is busy.
    Busy,
    /// The model's refusal.
    Refused,
    /// The model does not support the request.
    Unsupported,
    /// Text, then an error.
    Cut,
    /// The whole reply.
    Whole,
}

/// One of the times that a provider's settings say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    First,
    Health,
    Idle,
    Reply,
}

impl Setting {
    /// Its name in `openclaw.json`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::First => "firstSeconds",
            Self::Health => "healthSeconds",
            Self::Idle => "idleSeconds",
            Self::Reply => "replySeconds",
        }
    }

    /// How long it is if it is not set.
    pub(super) fn usual(self) -> Duration {
        let Timeouts { first, health, idle, budget, .. } = Timeouts::default();
        match self {
            Self::First => first,
            Self::Health => health,
            Self::Idle => idle,
            Self::Reply => budget,
        }
    }
}

/// After how long it is shown, at least and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    /// As soon as it happens: no time of the settings passes, and no health check is made.
    AtOnce,
    /// As it comes: likewise.
    AsItComes,
    /// As soon as a line is longer than is taken: likewise.
    Bytes,
    /// After so many times this setting, and no more than so many.
    Times(u32, u32, Setting),
}

/// Once a time to the first token has passed.
const FIRST: Deadline = Deadline::Times(1, 1, Setting::First);
/// Two health checks in a row have no answer: each is sent after this time, and has the same time to answer.
const HEALTH: Deadline = Deadline::Times(2, 4, Setting::Health);
const IDLE: Deadline = Deadline::Times(1, 1, Setting::Idle);
const REPLY: Deadline = Deadline::Times(1, 1, Setting::Reply);

impl Deadline {
    /// The settings that are shortened for a test, and to how many milliseconds; all others are as ever.
    const fn limits(self) -> &'static [(Setting, u64)] {
        match self {
            Self::AtOnce | Self::Bytes => &[],
            Self::AsItComes => &[(Setting::Idle, 1500), (Setting::Health, 1000)],
            Self::Times(_, _, Setting::First) => &[(Setting::First, 1500), (Setting::Health, 500)],
            Self::Times(_, _, Setting::Health) => &[(Setting::Health, 150)],
            Self::Times(_, _, Setting::Idle) => &[(Setting::Idle, 500)],
            Self::Times(_, _, Setting::Reply) => &[(Setting::Reply, 600)],
        }
    }

    /// How many times as long as in [`Self::limits`] the settings are in the cases of a row. Where they say how soon it
    /// is shown, there are two cases, so that nothing but the setting can be what was waited for.
    pub(super) const fn sizes(self) -> &'static [u32] {
        match self {
            Self::AtOnce | Self::AsItComes | Self::Bytes => &[1],
            Self::Times(..) => &[1, 3],
        }
    }

    /// The settings of a case that are not as ever.
    pub(super) fn set(self, size: u32) -> impl Iterator<Item = (Setting, Duration)> {
        let limits = self.limits().iter();
        limits.map(move |&(setting, ms)| (setting, Duration::from_millis(ms) * size))
    }

    /// How long a setting is in a case.
    pub(super) fn long(self, size: u32, setting: Setting) -> Duration {
        let set = self.set(size).find_map(|(it, long)| (it == setting).then_some(long));
        set.unwrap_or_else(|| setting.usual())
    }

    /// How long it takes at least and at most, in a case of this size.
    fn bounds(self, size: u32) -> (Duration, Duration) {
        match self {
            Self::AtOnce | Self::AsItComes | Self::Bytes => (Duration::ZERO, Duration::ZERO),
            Self::Times(least, most, setting) => {
                let long = self.long(size, setting);
                (long * least, long * most)
            }
        }
    }

    /// What the table says.
    fn cell(self) -> String {
        match self {
            Self::AtOnce => "at once".to_owned(),
            Self::AsItComes => "as it comes".to_owned(),
            Self::Bytes => {
                let [openai, ollama] = KINDS.map(|kind| kind.line_max() >> 10);
                format!("after {openai} KiB; a line of Ollama's {} MiB", ollama >> 10)
            }
            Self::Times(least, most, setting) => {
                let (name, usual) = (setting.name(), setting.usual().as_secs());
                match (least, most) {
                    (1, 1) => format!("after `{name}` ({usual} s)"),
                    _ => {
                        let seconds = [least, most].map(|times| usual * u64::from(times));
                        let [from, to] = seconds;
                        format!("after {least} to {most} `{name}` ({from} to {to} s)")
                    }
                }
            }
        }
    }
}

impl Row {
    /// How long it takes at least and at most until it is shown, in a case of this size. What the backend itself lets
    /// pass counts in.
    pub(super) fn bounds(&self, size: u32) -> (Duration, Duration) {
        let pauses: u64 = self.steps.iter().map(|step| step.pause_ms()).sum();
        let (least, most) = self.soon.bounds(size);
        let pauses = Duration::from_millis(pauses);
        (pauses + least, pauses + most)
    }

    /// What a surface shows, in the table's words.
    pub(super) fn shown(&self, surface: Surface) -> &'static str {
        match (self.shows, surface) {
            (Expected::Whole, _) => WHOLE,
            (Expected::Down, Surface::OpenAi { .. }) => "502 `model`, Retry-After",
            (Expected::Down, Surface::Ollama { .. }) => "502, Retry-After",
            (Expected::Down, Surface::Sealed) => "`error` `model`",
            (Expected::Busy, Surface::OpenAi { .. }) => "503 `busy`, Retry-After",
            (Expected::Busy, Surface::Ollama { .. }) => "503, Retry-After",
            (Expected::Busy, Surface::Sealed) => "`error` `busy`",
            (Expected::Refused, Surface::OpenAi { .. }) => "400 `body`",
            (Expected::Unsupported, Surface::OpenAi { .. }) => "400 `unsupported_parameter`",
            (Expected::Refused | Expected::Unsupported, Surface::Ollama { .. }) => "400",
            (Expected::Refused | Expected::Unsupported, Surface::Sealed) => "`error` `body`",
            (Expected::Cut, Surface::OpenAi { stream: true } | Surface::Sealed) => {
                "text, `error` `model`"
            }
            (Expected::Cut, Surface::Ollama { stream: true }) => "text, `error`",
            // Nothing was sent yet.
            (Expected::Cut, Surface::OpenAi { stream: false }) => "502 `model`",
            (Expected::Cut, Surface::Ollama { stream: false }) => "502",
        }
    }

    /// The row as the table has it.
    pub(super) fn cells(&self) -> String {
        let surfaces =
            [Surface::OpenAi { stream: true }, Surface::Ollama { stream: true }, Surface::Sealed];
        let [openai, ollama, sealed] = surfaces.map(|surface| self.shown(surface));
        let soon = self.soon.cell();
        let said = |yes: bool| if yes { "yes" } else { "no" };
        let (next, counts) = (said(self.next), said(self.counts));
        format!("| {} | {openai} | {ollama} | {sealed} | {soon} | {next} | {counts} |", self.name)
    }
}

/// A fault before the first token, which the breaker counts.
const DOWN: Row = Row {
    name: "",
    steps: &[],
    healthy: true,
    shows: Expected::Down,
    soon: Deadline::AtOnce,
    next: true,
    counts: true,
};

/// One after it.
const CUT: Row = Row { shows: Expected::Cut, next: false, ..DOWN };

/// What is no fault.
const WHOLLY: Row =
    Row { shows: Expected::Whole, soon: Deadline::AsItComes, next: false, counts: false, ..DOWN };

const BUSY: Row = Row { shows: Expected::Busy, counts: false, ..DOWN };

pub(super) const ROWS: &[Row] = &[
    Row { name: "refuses the connection", ..DOWN },
    Row { name: "speaks no HTTP", steps: &[NotHttp], ..DOWN },
    Row { name: "hangs up before its headers", steps: &[Pause(1)], ..DOWN },
    Row { name: "answers 500, 502 or 504", steps: &[Status("500 Internal Server Error")], ..DOWN },
    Row {
        name: "answers 500 and says that it does not support images, sound or tools",
        steps: &[Unsupported],
        shows: Expected::Unsupported,
        next: false,
        counts: false,
        ..DOWN
    },
    Row {
        name: "answers 400 with the code `unsupported_parameter`",
        steps: &[Code("unsupported_parameter")],
        shows: Expected::Unsupported,
        next: false,
        counts: false,
        ..DOWN
    },
    Row {
        name: "answers 400 with the code `invalid_api_key`",
        steps: &[Code("invalid_api_key")],
        counts: false,
        ..DOWN
    },
    Row { name: "answers 429", steps: &[Status("429 Too Many Requests")], ..BUSY },
    Row { name: "answers 503", steps: &[Status("503 Service Unavailable")], ..BUSY },
    Row {
        name: "answers 401, 403, 404, 405 or 407",
        steps: &[Status("404 Not Found")],
        counts: false,
        ..DOWN
    },
    Row { name: "redirects", steps: &[Status("302 Found")], counts: false, ..DOWN },
    Row {
        name: "answers another 4xx",
        steps: &[Status("400 Bad Request")],
        shows: Expected::Refused,
        next: false,
        counts: false,
        ..DOWN
    },
    Row { name: "answers with another content type", steps: &[Page], ..DOWN },
    Row {
        name: "hangs before its headers, and answers health checks",
        steps: &[Hang],
        soon: FIRST,
        ..DOWN
    },
    Row {
        name: "hangs before its headers, and answers no health check",
        steps: &[Hang],
        healthy: false,
        soon: HEALTH,
        ..DOWN
    },
    Row {
        name: "hangs before its first token, and answers health checks",
        steps: &[Head, Hang],
        soon: FIRST,
        ..DOWN
    },
    Row {
        name: "hangs before its first token, and answers no health check",
        steps: &[Head, Hang],
        healthy: false,
        soon: HEALTH,
        ..DOWN
    },
    Row {
        name: "sends comments or empty lines, and no token",
        steps: &[Head, Comments],
        soon: FIRST,
        ..DOWN
    },
    Row { name: "hangs up before its first token", steps: &[Head], ..DOWN },
    Row { name: "sends garbage before its first token", steps: &[Head, Garbage, Hang], ..DOWN },
    Row {
        name: "reports an error under status 200 before its first token",
        steps: &[Head, Error, Hang],
        ..DOWN
    },
    Row {
        name: "begins with a line that never ends",
        steps: &[Head, EndlessLine],
        soon: Deadline::Bytes,
        ..DOWN
    },
    Row {
        name: "reads a long prompt, and answers health checks",
        steps: &[Pause(600), Head, Pause(1200), Text, End],
        ..WHOLLY
    },
    Row {
        name: "sends a token each 30 s",
        steps: &[Head, Text, Pause(600), Text, Pause(600), Text, Pause(600), Text, End],
        ..WHOLLY
    },
    Row { name: "hangs later", steps: &[Head, Text, Hang], soon: IDLE, ..CUT },
    Row { name: "hangs up later", steps: &[Head, Text], ..CUT },
    Row { name: "sends garbage later", steps: &[Head, Text, Garbage, Hang], ..CUT },
    Row {
        name: "reports an error under status 200 later",
        steps: &[Head, Text, Error, Hang],
        ..CUT
    },
    Row {
        name: "sends a line that never ends later",
        steps: &[Head, Text, EndlessLine],
        soon: Deadline::Bytes,
        ..CUT
    },
    Row {
        name: "sends comments or empty lines later, and no token",
        steps: &[Head, Text, Comments],
        soon: REPLY,
        counts: false,
        ..CUT
    },
];
