//! The household's AI: the only agent, its models and its commands.

use serde_json::{Value, json};

use crate::{
    App,
    commands::{self, Verb},
    models::HOUSEHOLD,
    operator::key::{AGENT, MAIN},
};

/// What people call the AI.
const NAME: &str = "Maru";

/// A method of this file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    List,
    Identity,
    Models,
    Commands,
    Metadata,
}

impl Call {
    pub(super) fn run(self, app: &App) -> Value {
        match self {
            Self::List => list(),
            Self::Identity => json!({"agentId": AGENT, "name": NAME, "nameSource": "default"}),
            Self::Models => json!({"models": models(app)}),
            Self::Commands => json!({"commands": commands()}),
            Self::Metadata => metadata(app),
        }
    }
}

/// Agents (`AgentsListResult`). The Control UI sends nothing to an agent without a model.
pub(super) fn list() -> Value {
    let model = format!("{HOUSEHOLD}/{HOUSEHOLD}");
    json!({
        "defaultId": AGENT,
        "mainKey": MAIN,
        "scope": "per-sender",
        "agents": [{
            "id": AGENT,
            "name": NAME,
            "identity": {"name": NAME},
            "model": {"primary": model},
        }],
    })
}

/// What a chat's screen shows beside its messages.
pub(super) fn metadata(app: &App) -> Value {
    json!({"models": models(app), "commands": commands()})
}

/// Models (`ModelChoice`): the household's AI first.
fn models(app: &App) -> Vec<Value> {
    let models = app.models.list();
    let window = models.first().and_then(|(_, window)| *window);
    let named = models.iter().map(|(model, window)| choice(&model.model, &model.provider, *window));
    [choice(HOUSEHOLD, HOUSEHOLD, window)].into_iter().chain(named).collect()
}

fn choice(id: &str, provider: &str, window: Option<u32>) -> Value {
    let mut choice = json!({"id": id, "name": id, "provider": provider, "available": true});
    if let Some(window) = window.filter(|window| *window > 0) {
        choice["contextWindow"] = window.into();
    }
    choice
}

/// Commands that a message may be (`CommandEntry`).
fn commands() -> Vec<Value> {
    let entry = |(name, verb, takes_word): (&str, Verb, bool)| {
        json!({
            "name": name,
            "nativeName": name,
            "textAliases": [format!("/{name}")],
            "description": description(verb),
            "category": "session",
            "source": "native",
            "scope": "both",
            "acceptsArgs": takes_word,
        })
    };
    // To write a file is the client's.
    commands::all().filter(|(_, verb, _)| *verb != Verb::Export).map(entry).collect()
}

/// OpenClaw's clients show it in English alone.
fn description(verb: Verb) -> &'static str {
    match verb {
        Verb::New => "Begin a new conversation",
        Verb::Status => "Show which model answers",
        Verb::Model => "List the models, or choose one",
        Verb::Stop => "Stop the reply",
        Verb::Export => "Write the conversation to a file",
        Verb::Help => "List the commands",
    }
}
