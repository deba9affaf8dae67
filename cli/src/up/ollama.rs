//! `maru up --ollama`: finds a running Ollama and lets the gateway ask it.
//!
//! Ollama is asked first; only what answers is written down: a dial in `agent.toml` ([`dial`]) and a provider in
//! `openclaw.json` ([`provider`]). What an admin wrote there stays, comments included; a file that cannot be changed
//! without a doubt is left alone, and it is said what to add.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use ai_gateway_api::settings::gateway;
use anyhow::{Context as _, bail};
use chassis::settings;
use common::mesh;
use messages::message;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use supervisor::local;

use crate::{output, up::config::ConfigPlan};

mod dial;
mod provider;
mod server;

pub(super) use server::OllamaServer;
use server::{Edit, Model};

/// Where Ollama listens unless it is told otherwise.
pub(super) const USUAL: &str = "http://127.0.0.1:11434";
const PORT: u16 = 11434;
/// Connect timeout; in the mesh the tunnel may have to be established first.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// Largest answer, in bytes. A model's licence is part of one.
const MAX_ANSWER: usize = 8 << 20;
/// Most models that are written down.
const MAX_MODELS: usize = 200;
/// Longest name of a model, in bytes.
const MAX_NAME: usize = 200;
/// Maximum tokens of a conversation. Ollama reserves memory for all of them, and a model's own limit, often 128 Ki tokens,
/// exceeds the memory of most machines.
const CONTEXT: u64 = 8192;

/// Parses the option's value.
///
/// # Errors
///
/// It is not an address that a dial may have.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let place = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let place = match place.strip_prefix("localhost") {
        Some(port) => format!("{}{port}", Ipv4Addr::LOCALHOST),
        None => place.to_owned(),
    };
    let bare = place.trim_start_matches('[').trim_end_matches(']');
    let address = match bare.parse::<IpAddr>() {
        Ok(ip) => Some(SocketAddr::new(ip, PORT)),
        Err(_) => place.parse().ok(),
    };
    let fits = |at: &SocketAddr| at.port() != 0 && (at.ip().is_loopback() || is_mesh(*at));
    address
        .filter(fits)
        .ok_or_else(|| message!("not-an-ollama-address", usual = USUAL, port = PORT).to_string())
}

/// Whether the address is reachable only while this machine's agent runs.
pub(super) fn is_mesh(at: SocketAddr) -> bool {
    mesh::contains(at.ip())
}

/// The rule that a policy's `acls` need for the home node to reach Ollama on another node.
pub(super) fn policy_line(at: SocketAddr) -> String {
    format!(
        r#"{{ "action": "accept", "proto": "tcp", "src": ["{}"], "dst": ["{}:{}"] }},"#,
        super::config::TAG,
        at.ip(),
        at.port()
    )
}

/// RequestSender Ollama for its models, through one interface alone if it is named.
///
/// # Errors
///
/// Nothing answers, the server is not Ollama, or it has no model.
pub(super) async fn ask(at: SocketAddr, interface: Option<&str>) -> anyhow::Result<OllamaServer> {
    let mut client = local::plain()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .timeout(ANSWER);
    if let Some(interface) = interface {
        client = client.interface(interface);
    }
    let client = client.build().context(message!("no-http-client"))?;
    let Ok(tags) = body(client.get(format!("http://{at}/api/tags"))).await else {
        bail!(message!("ollama-away", at));
    };
    let Some((names, left_out)) = names(&tags) else {
        bail!(message!("not-ollama", at));
    };
    if names.is_empty() {
        bail!(message!("ollama-empty", at));
    }
    let mut models = Vec::with_capacity(names.len());
    for id in names {
        let show = client.post(format!("http://{at}/api/show")).json(&json!({ "model": id }));
        let context = body(show).await.ok().and_then(|answer| context(&answer));
        models.push(Model { id, context });
    }
    Ok(OllamaServer { at, models, left_out })
}

/// The body of a successful answer of limited length.
async fn body(request: reqwest::RequestBuilder) -> anyhow::Result<Vec<u8>> {
    let mut response = request.send().await?.error_for_status()?;
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        body.extend_from_slice(&piece);
        anyhow::ensure!(body.len() <= MAX_ANSWER, message!("answer-too-long"));
    }
    Ok(body)
}

#[derive(Deserialize)]
struct Tags {
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    #[serde(default)]
    remote_model: String,
    #[serde(default)]
    remote_host: String,
}

impl Tag {
    /// Whether it runs on that machine and not in a cloud.
    fn is_local(&self) -> bool {
        let elsewhere = !self.remote_model.is_empty() || !self.remote_host.is_empty();
        !elsewhere && !self.name.ends_with(":cloud") && !self.name.ends_with("-cloud")
    }

    fn is_plain(&self) -> bool {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/".contains(&byte);
        (1..=MAX_NAME).contains(&self.name.len()) && self.name.bytes().all(fits)
    }
}

/// The models that an answer to `/api/tags` lists, and how many were left out; nothing if it is no such answer.
pub(crate) fn names(answer: &[u8]) -> Option<(Vec<String>, usize)> {
    let Tags { models } = serde_json::from_slice(answer).ok()?;
    let all = models.len();
    let usable = models.into_iter().filter(|tag| tag.is_local() && tag.is_plain());
    let mut names: Vec<_> = usable.map(|tag| tag.name).take(MAX_MODELS).collect();
    names.sort();
    names.dedup();
    let left_out = all - names.len();
    Some((names, left_out))
}

/// How many tokens a conversation with a model holds, by an answer to `/api/show`.
pub(crate) fn context(answer: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Show {
        model_info: Map<String, Value>,
    }
    let Show { model_info } = serde_json::from_slice(answer).ok()?;
    let found = model_info.iter().find(|(key, _)| key.ends_with(".context_length"))?;
    found.1.as_u64().filter(|tokens| *tokens > 0).map(|tokens| tokens.min(CONTEXT))
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
