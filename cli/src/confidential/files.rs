//! A deployment in the three files. In the TOML ones it is between two comments, by which it is found again.

use std::path::Path;

use ai_gateway_api::settings::gateway;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::settings;
use confidential_api::policy::Policy;
use node_agent_api::settings::{FILE as AGENT, Settings as Agent};
use serde_json::{Value, json};
use services::{AGENT_UID, DIALS, GATEWAY};

use super::deployment::{Deployment, ServerAddress};
use crate::openclaw;

/// What the provider speaks.
const API: &str = "maru-confidential";
/// Keys of what is pinned that options say.
const WRITTEN: [&str; 3] = ["identity", "simulated", "anchors"];
/// Keys that a policy says, where one is given.
pub(super) const OF_A_POLICY: [&str; 2] = ["images", "min_epoch"];
/// What options say of an anchor.
const WRITTEN_OF_AN_ANCHOR: [&str; 4] = ["name", "kind", "certificate", "key"];

/// The name of the dial to the configuration, or to a relay, counted from 1.
fn dial(name: &str, relay: Option<usize>) -> String {
    relay.map_or_else(|| format!("{name}-auth"), |number| format!("{name}-relay-{number}"))
}

/// Whether a dial is one of this deployment's.
pub(super) fn is_of(dial: &str, name: &str) -> bool {
    dial.strip_prefix(name).is_some_and(|rest| {
        let number = rest.strip_prefix("-relay-").map(str::parse::<u32>);
        rest == "-auth" || matches!(number, Some(Ok(_)))
    })
}

fn socket(dial: &str) -> String {
    format!("{DIALS}/{dial}/http.sock")
}

/// Each place with its dial, the configuration's first.
fn places(deployment: &Deployment) -> impl Iterator<Item = (String, &ServerAddress)> {
    let Deployment { name, auth, relays, .. } = deployment;
    let relays = (1..).zip(relays).map(move |(number, place)| (dial(name, Some(number)), place));
    [(dial(name, None), auth)].into_iter().chain(relays)
}

/// Adds the dials to the text of `agent.toml`, or exchanges them; nothing if that cannot be done without a doubt.
pub(super) fn dials(text: &str, deployment: &Deployment) -> Option<String> {
    let block: String = places(deployment)
        .map(|(dial, place)| {
            let (socket, to, outside) = (socket(&dial), place.at, place.is_outside());
            let outside = if outside { "outside = true\n" } else { "" };
            format!(
                "[[dial]]\nname = {dial:?}\nsocket = {socket:?}\nuid = {GATEWAY}\nto = \"{to}\"\n{outside}"
            )
        })
        .collect();
    let name = &deployment.name;
    let new = with_block(&without_block(text, name)?, name, &block);
    let (before, after) = (agent(text)?, agent(&new)?);
    let others = |settings: &Agent| {
        let mut settings = settings.clone();
        settings.dial.retain(|it| !is_of(&it.name, name));
        settings
    };
    let own = after.dial.iter().filter(|it| is_of(&it.name, name)).count();
    (own == 1 + deployment.relays.len() && others(&before) == others(&after)).then_some(new)
}

/// Takes the dials out of the text of `agent.toml`.
pub(super) fn without_dials(text: &str, name: &str) -> Option<String> {
    let new = without_block(text, name)?;
    let after = agent(&new)?;
    after.dial.iter().all(|it| !is_of(&it.name, name)).then_some(new)
}

/// Adds the pins to the text of `gateway.toml`, or replaces them. Keys that no option sets stay: those of the table, and those of
/// an anchor that is pinned again.
pub(super) fn pins(text: &str, deployment: &Deployment) -> Option<String> {
    let Deployment { name, identity, simulated, anchors, policy, .. } = deployment;
    let before = gateway(text)?.confidential.remove(name);
    let mut table = table(text, name);
    if let Some(policy) = policy {
        table.extend(of_policy(policy)?);
    }
    let mut block = format!("[confidential.{name:?}]\nidentity = \"{identity}\"\n");
    if *simulated {
        block.push_str("simulated = true\n");
    }
    block.push_str(&lines(&table, &WRITTEN));
    for anchor in anchors {
        let (kind, what, bytes) = match (&anchor.certificate, &anchor.key) {
            (Some(der), None) => ("nitro", "certificate", der),
            (None, Some(area)) => ("tpm", "key", area),
            _ => return None,
        };
        let (bytes, called) = (URL_SAFE_NO_PAD.encode(&bytes.0), &anchor.name);
        block.push_str(&format!(
            "[[confidential.{name:?}.anchors]]\nname = {called:?}\nkind = \"{kind}\"\n{what} = \"{bytes}\"\n"
        ));
        let same =
            |it: &&toml::Table| it.get(what).and_then(toml::Value::as_str) == Some(bytes.as_str());
        let there = table.get("anchors").and_then(toml::Value::as_array).into_iter().flatten();
        if let Some(there) = there.filter_map(toml::Value::as_table).find(same) {
            block.push_str(&lines(there, &WRITTEN_OF_AN_ANCHOR));
        }
    }
    let new = with_block(&without_block(text, name)?, name, &block);
    (others(text, name)? == others(&new, name)? && is_pinned(&new, deployment, before)?)
        .then_some(new)
}

/// What a policy pins: itself as the oldest, and its images.
fn of_policy(policy: &Policy) -> Option<toml::Table> {
    let epoch = i64::try_from(policy.epoch).ok()?;
    // By way of JSON, whose keys are texts as those of TOML are.
    let images = toml::Value::try_from(serde_json::to_value(&policy.images).ok()?).ok()?;
    Some(OF_A_POLICY.map(str::to_owned).into_iter().zip([images, epoch.into()]).collect())
}

/// Names of the keys in a deployment's table that no option sets: they were written by hand, or come from a policy.
pub(super) fn by_hand(text: &str, name: &str) -> Vec<String> {
    table(text, name)
        .into_iter()
        .map(|(key, _)| key)
        .filter(|key| !WRITTEN.contains(&key.as_str()))
        .collect()
}

/// The table of a deployment, empty if there is none.
fn table(text: &str, name: &str) -> toml::Table {
    let mut all: toml::Table = text.parse().unwrap_or_default();
    let mut deployments = match all.remove("confidential") {
        Some(toml::Value::Table(deployments)) => deployments,
        Some(_) | None => return toml::Table::new(),
    };
    match deployments.remove(name) {
        Some(toml::Value::Table(table)) => table,
        Some(_) | None => toml::Table::new(),
    }
}

/// The lines of a table but for those of these keys; a table in it is written inline.
fn lines(table: &toml::Table, without: &[&str]) -> String {
    let others = table.iter().filter(|(key, _)| !without.contains(&key.as_str()));
    others.map(|(key, value)| format!("{key} = {value}\n")).collect()
}

/// The settings without what is pinned of a deployment.
fn others(text: &str, name: &str) -> Option<gateway::Settings> {
    let mut settings = gateway(text)?;
    settings.confidential.remove(name);
    Some(settings)
}

/// Whether this text pins the deployment as it is described, and beside that what was pinned before.
fn is_pinned(
    text: &str,
    deployment: &Deployment,
    before: Option<gateway::Deployment>,
) -> Option<bool> {
    let Deployment { name, identity, simulated, anchors, policy, .. } = deployment;
    let pinned = gateway(text)?.confidential.remove(name)?;
    let what = |it: &gateway::PinnedAnchor| (it.anchor.certificate.clone(), it.anchor.key.clone());
    let vendors = before.iter().flat_map(|it| &it.anchors).filter(|it| it.vendor);
    let vendors: Vec<_> = vendors.map(what).collect();
    let is_kept = |it: &gateway::PinnedAnchor| it.vendor == vendors.contains(&what(it));
    let described = pinned.identity == *identity
        && pinned.simulated == *simulated
        && pinned.anchors.iter().map(|it| &it.anchor).eq(anchors)
        && pinned.anchors.iter().all(is_kept)
        && policy.as_ref().is_none_or(|policy| {
            pinned.min_epoch == policy.epoch && pinned.images.as_ref() == Some(&policy.images)
        });
    let kept = before.is_none_or(|mut before| {
        if policy.is_some() {
            before.min_epoch = pinned.min_epoch;
            before.images.clone_from(&pinned.images);
        }
        let (identity, simulated, anchors) = (*identity, *simulated, pinned.anchors.clone());
        pinned == gateway::Deployment { identity, simulated, anchors, ..before }
    });
    Some(described && kept)
}

/// Takes what is pinned out of the text of `gateway.toml`.
pub(super) fn without_pins(text: &str, name: &str) -> Option<String> {
    let new = without_block(text, name)?;
    (!gateway(&new)?.confidential.contains_key(name)).then_some(new)
}

/// Adds the provider to the text of `openclaw.json`, or exchanges it.
pub(super) fn provider(text: &str, deployment: &Deployment) -> Option<String> {
    let tls =
        |place: &ServerAddress| json!({ "tls": { "ca": deployment.ca, "serverName": place.name } });
    let base_url = |dial: &str| format!("unix:///{}", socket(dial));
    let relays: Vec<_> = places(deployment)
        .skip(1)
        .map(|(dial, place)| json!({ "baseUrl": base_url(&dial), "request": tls(place) }))
        .collect();
    let models: Vec<_> = deployment.models.iter().map(|model| json!({ "id": model })).collect();
    let name = &deployment.name;
    let value = json!({
        "api": API,
        "baseUrl": base_url(&dial(name, None)),
        "uid": AGENT_UID,
        "request": tls(&deployment.auth),
        "relays": relays,
        "models": models,
    });
    change(text, name, Some(&value))
}

/// Takes the provider out of the text of `openclaw.json`.
pub(super) fn without_provider(text: &str, name: &str) -> Option<String> {
    change(text, name, None)
}

fn change(text: &str, name: &str, value: Option<&Value>) -> Option<String> {
    let mut expected = openclaw::read(text)?;
    let known = openclaw::providers_of(&mut expected)?;
    // A provider of that name with another API is left alone.
    if known.get(name).is_some_and(|it| it["api"] != json!(API)) {
        return None;
    }
    match value {
        Some(value) => drop(known.insert(name.to_owned(), value.clone())),
        None => drop(known.remove(name)),
    }
    let (root, providers) = openclaw::providers(text)?;
    match (providers.get(name), value) {
        (Some(there), Some(value)) => there.set_value(openclaw::input(value, &[])),
        (Some(there), None) => there.remove(),
        (None, Some(value)) => drop(providers.append(name, openclaw::input(value, &[]))),
        (None, None) => {}
    }
    let text = root.to_string();
    // The edit is used only if the file now means the old value with this change.
    (openclaw::read(&text)? == expected).then_some(text)
}

fn begin(name: &str) -> String {
    format!("# maru confidential {name}: begin; `maru confidential remove {name}` takes it out")
}

fn end(name: &str) -> String {
    format!("# maru confidential {name}: end")
}

/// The text with a block at its end.
fn with_block(text: &str, name: &str, block: &str) -> String {
    let space = if text.trim().is_empty() { "" } else { "\n\n" };
    format!("{}{space}{}\n{block}{}\n", text.trim_end(), begin(name), end(name))
}

/// The text without the block, if there is one; nothing if its end is missing.
fn without_block(text: &str, name: &str) -> Option<String> {
    let (begin, end) = (begin(name), end(name));
    let Some(from) = text.find(&begin) else { return Some(text.to_owned()) };
    let to = from + text[from..].find(&end)? + end.len();
    let (before, after) = (text[..from].trim_end(), text[to..].trim_start());
    let space = if before.is_empty() || after.is_empty() { "" } else { "\n\n" };
    let last = if before.is_empty() && after.is_empty() { "" } else { "\n" };
    Some(format!("{before}{space}{}{last}", after.trim_end()))
}

fn agent(text: &str) -> Option<Agent> {
    settings::parse(Path::new(AGENT), text).ok()
}

fn gateway(text: &str) -> Option<gateway::Settings> {
    settings::parse(Path::new(gateway::FILE), text).ok()
}
