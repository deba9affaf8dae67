//! `maru up --ollama`: finds a running Ollama and lets the gateway ask it.
//!
//! Ollama is asked first; only what answers is written down: a dial in `agent.toml` ([`dial`]) and a provider in
//! `openclaw.json` ([`provider`]). What an admin wrote there stays, comments included; a file that cannot be changed
//! without a doubt is left alone, and it is said what to add.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ai_gateway_api::settings::gateway;
use anyhow::bail;
use chassis::settings;
use messages::message;
use services::Instance;

use crate::{
    ollama::{
        Ollama,
        answer::{self, Models},
    },
    output,
    up::config::{self, ConfigPlan},
};

mod dial;
mod provider;
mod server;

pub(crate) use dial::dialled;
pub(crate) use provider::NAME as PROVIDER;
pub(super) use server::OllamaServer;
use server::{Edit, Model};

/// Maximum tokens of a conversation. Ollama reserves memory for all of them, and a model's own limit, often 128 Ki tokens,
/// exceeds the memory of most machines.
const CONTEXT: u64 = 8192;

/// The rule that a policy's `acls` need for the home node to reach Ollama on another node.
pub(super) fn policy_line(at: SocketAddr) -> String {
    format!(
        r#"{{ "action": "accept", "proto": "tcp", "src": ["{}"], "dst": ["{}:{}"] }},"#,
        config::TAG,
        at.ip(),
        at.port()
    )
}

/// A client of the Ollama at `at` for the instance at `root`.
///
/// # Errors
///
/// The agent's settings cannot be read.
pub(crate) fn client(root: &Path, at: SocketAddr) -> anyhow::Result<Ollama> {
    let interface = config::agent(root)?.interface(&Instance::of(root));
    Ollama::new(at, &interface)
}

/// Asks Ollama for its models.
///
/// # Errors
///
/// Nothing answers, the server is not Ollama, or it has no model.
pub(super) async fn ask(ollama: &Ollama) -> anyhow::Result<OllamaServer> {
    let at = ollama.at;
    let Models { here, left_out } = ollama.models().await?;
    if here.is_empty() {
        bail!(message!("ollama-empty", at));
    }
    let mut models = Vec::with_capacity(here.len());
    for answer::Model { name: id, .. } in here {
        let described = ollama.describe(&id).await.ok();
        let context = described.and_then(|it| it.context_tokens).map(bounded);
        models.push(Model { id, context });
    }
    Ok(OllamaServer { at, models, left_out })
}

/// The tokens of a conversation with a model that was trained for so many.
pub(crate) fn bounded(tokens: u64) -> u64 {
    tokens.min(CONTEXT)
}

/// How many tokens a conversation with a model holds, by an answer to `/api/show`.
pub(crate) fn context(answer: &[u8]) -> Option<u64> {
    answer::description(answer)?.context_tokens.map(bounded)
}

/// The texts of `agent.toml` and `openclaw.json` after an Ollama at `at` with these models was written into them; nothing
/// for one that stays.
pub(crate) fn edits(
    at: SocketAddr,
    models: &[(String, Option<u64>)],
    texts: [&str; 2],
) -> [Option<String>; 2] {
    let models = models.iter().map(|(id, context)| Model { id: id.clone(), context: *context });
    let found = OllamaServer { at, models: models.collect(), left_out: 0 };
    [dial::edit(texts[0], &found), provider::edit(texts[1], &found)].map(|edit| match edit {
        Edit::New(text) => Some(text),
        Edit::Same | Edit::ByHand | Edit::Foreign => None,
    })
}

/// The text of `agent.toml` with a dial to the Ollama at `at`; `None` if it cannot be edited safely.
pub(crate) fn with_dial(text: &str, at: SocketAddr) -> Option<String> {
    applied(text, dial::edit(text, &OllamaServer { at, models: Vec::new(), left_out: 0 }))
}

/// The text of `openclaw.json` with this model of the Ollama at `at`; `None` if it cannot be edited safely.
pub(crate) fn with_model(
    text: &str,
    at: SocketAddr,
    name: &str,
    context: Option<u64>,
) -> Option<String> {
    let models = vec![Model { id: name.to_owned(), context }];
    applied(text, provider::edit(text, &OllamaServer { at, models, left_out: 0 }))
}

fn applied(text: &str, edit: Edit) -> Option<String> {
    match edit {
        Edit::Same => Some(text.to_owned()),
        Edit::New(text) => Some(text),
        Edit::ByHand | Edit::Foreign => None,
    }
}

/// Adds the server to the planned configuration, reports it, and returns whether anything changes. An `openclaw.json` that
/// Maru did not write changes only if `write` says so.
///
/// # Errors
///
/// A file cannot be read.
pub(super) fn connect(
    found: &OllamaServer,
    config: &mut ConfigPlan,
    root: &Path,
    write: bool,
) -> anyhow::Result<bool> {
    let OllamaServer { at, models, left_out } = found;
    let names: Vec<_> =
        models.iter().map(|model| format!("{}/{}", provider::NAME, model.id)).collect();
    output::note(message!("ollama-found", at, names = names.join(", ")));
    if *left_out > 0 {
        output::note(message!("ollama-left-out", left_out));
    }
    let agent = PathBuf::from(node_agent_api::settings::FILE);
    let settings: gateway::Settings = settings::load(None, &root.join(gateway::FILE), Ok)?;
    let provider = if write { provider::edit } else { provider::edit_of_maru };
    let mut changed = false;
    for (path, edit, by_hand) in [
        (agent, dial::edit as fn(&str, &OllamaServer) -> Edit, dial::block(*at)),
        (settings.openclaw, provider, provider::block(found)),
    ] {
        let shown = path.display();
        match config.text(root, &path)?.map_or(Edit::ByHand, |text| edit(&text, found)) {
            Edit::Same => output::note(message!("file-up-to-date", path = shown)),
            Edit::Foreign => output::note(message!("file-not-of-maru", path = shown, by_hand)),
            Edit::New(text) => {
                output::note(message!("file-leads-there", path = shown));
                config.change(root, &path, text);
                changed = true;
            }
            Edit::ByHand => output::note(message!("file-changed-by-hand", path = shown, by_hand)),
        }
    }
    if let (true, Some(first)) = (changed, names.first()) {
        output::note(message!("ollama-primary", first = format!("{first:?}")));
    }
    Ok(changed)
}

#[cfg(test)]
mod tests;
