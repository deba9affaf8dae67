//! The table of faults, row by row.

use std::time::Duration;

use llm_backend::Timeouts;

use super::{
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
    pub(super) shows: Shows,
    /// After how long.
    pub(super) soon: Soon,
    /// Whether the next node is asked.
    pub(super) next: bool,
    /// Whether the breaker counts it.
    pub(super) counts: bool,
}

/// What the person is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shows {
    /// No model answers.
    Down,
    /// Every model is busy.
    Busy,
    /// The model's refusal.
    Refused,
    /// That the model cannot do what was asked.
    Unsupported,
    /// Text, then an error.
    Cut,
    /// The whole reply.
    Whole,
}

/// After how long it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Soon {
    /// As soon as it happens.
    AtOnce,
    /// As it comes.
    AsItComes,
    /// As soon as so much has come.
    Bytes,
    /// After this time of the provider's.
    First,
    /// After that for health checks, a few times.
    Health,
    /// Likewise.
    Idle,
    /// Likewise.
    Reply,
}

impl Soon {
    /// The settings that are shortened for a test, and to how many seconds; all others are as ever.
    pub(super) const fn limits(self) -> &'static [(&'static str, f64)] {
        match self {
            Self::AtOnce | Self::Bytes => &[],
            // A health check is made, and one that is late on a busy machine changes nothing: two have to be missed.
            Self::AsItComes => &[("idleSeconds", 1.5), ("healthSeconds", 1.0)],
            Self::First => &[("firstSeconds", 1.5), ("healthSeconds", 0.5)],
            Self::Health => &[("healthSeconds", 0.15)],
            Self::Idle => &[("idleSeconds", 0.5)],
            Self::Reply => &[("replySeconds", 0.6)],
        }
    }

    /// How long it then takes at least.
    pub(super) fn least(self) -> Duration {
        let times = if self == Self::Health { 2.0 } else { 1.0 };
        Duration::from_secs_f64(self.limits().first().map_or(0.0, |(_, seconds)| seconds * times))
    }

    /// What the table says.
    fn cell(self) -> String {
        let usual = Timeouts::default();
        let after = |times: u32, name: &str, time: Duration| {
            let seconds = (time * times).as_secs();
            format!("after {}`{name}` ({seconds} s)", if times > 1 { "two to four " } else { "" })
        };
        match self {
            Self::AtOnce => "at once".to_owned(),
            Self::AsItComes => "as it comes".to_owned(),
            Self::Bytes => "after 256 KiB; a line of Ollama's 1 MiB".to_owned(),
            Self::First => after(1, "firstSeconds", usual.first),
            Self::Health => after(4, "healthSeconds", usual.health),
            Self::Idle => after(1, "idleSeconds", usual.idle),
            Self::Reply => after(1, "replySeconds", usual.budget),
        }
    }
}

impl Row {
    /// What a surface shows, in the table's words.
    pub(super) fn shown(&self, surface: Surface) -> &'static str {
        match (self.shows, surface) {
            (Shows::Whole, _) => WHOLE,
            (Shows::Down, Surface::OpenAi { .. }) => "502 `model`, Retry-After",
            (Shows::Down, Surface::Ollama { .. }) => "502, Retry-After",
            (Shows::Down, Surface::Sealed) => "`error` `model`",
            (Shows::Busy, Surface::OpenAi { .. }) => "503 `busy`, Retry-After",
            (Shows::Busy, Surface::Ollama { .. }) => "503, Retry-After",
            (Shows::Busy, Surface::Sealed) => "`error` `busy`",
            (Shows::Refused, Surface::OpenAi { .. }) => "400 `body`",
            (Shows::Unsupported, Surface::OpenAi { .. }) => "400 `unsupported_parameter`",
            (Shows::Refused | Shows::Unsupported, Surface::Ollama { .. }) => "400",
            (Shows::Refused | Shows::Unsupported, Surface::Sealed) => "`error` `body`",
            (Shows::Cut, Surface::OpenAi { stream: true } | Surface::Sealed) => {
                "text, `error` `model`"
            }
            (Shows::Cut, Surface::Ollama { stream: true }) => "text, `error`",
            // Nothing was sent yet.
            (Shows::Cut, Surface::OpenAi { stream: false }) => "502 `model`",
            (Shows::Cut, Surface::Ollama { stream: false }) => "502",
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
    shows: Shows::Down,
    soon: Soon::AtOnce,
    next: true,
    counts: true,
};

/// One after it.
const CUT: Row = Row { shows: Shows::Cut, next: false, ..DOWN };

/// What is no fault.
const WHOLLY: Row =
    Row { shows: Shows::Whole, soon: Soon::AsItComes, next: false, counts: false, ..DOWN };

const BUSY: Row = Row { shows: Shows::Busy, counts: false, ..DOWN };

pub(super) const ROWS: &[Row] = &[
    Row { name: "refuses the connection", ..DOWN },
    Row { name: "speaks no HTTP", steps: &[NotHttp], ..DOWN },
    Row { name: "hangs up before its headers", steps: &[Pause(1)], ..DOWN },
    Row { name: "answers 500, 502 or 504", steps: &[Status("500 Internal Server Error")], ..DOWN },
    Row {
        name: "answers 500 and says that it does not support images, sound or tools",
        steps: &[Unsupported],
        shows: Shows::Unsupported,
        next: false,
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
        shows: Shows::Refused,
        next: false,
        counts: false,
        ..DOWN
    },
    Row { name: "answers with another content type", steps: &[Page], ..DOWN },
    Row {
        name: "hangs before its headers, and answers health checks",
        steps: &[Hang],
        soon: Soon::First,
        ..DOWN
    },
    Row {
        name: "hangs before its headers, and answers no health check",
        steps: &[Hang],
        healthy: false,
        soon: Soon::Health,
        ..DOWN
    },
    Row {
        name: "hangs before its first token, and answers health checks",
        steps: &[Head, Hang],
        soon: Soon::First,
        ..DOWN
    },
    Row {
        name: "hangs before its first token, and answers no health check",
        steps: &[Head, Hang],
        healthy: false,
        soon: Soon::Health,
        ..DOWN
    },
    Row {
        name: "sends comments or empty lines, and no token",
        steps: &[Head, Comments],
        soon: Soon::First,
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
        soon: Soon::Bytes,
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
    Row { name: "hangs later", steps: &[Head, Text, Hang], soon: Soon::Idle, ..CUT },
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
        soon: Soon::Bytes,
        ..CUT
    },
    Row {
        name: "sends comments or empty lines later, and no token",
        steps: &[Head, Text, Comments],
        soon: Soon::Reply,
        counts: false,
        ..CUT
    },
];
