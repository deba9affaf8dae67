//! `agents.defaults.model`: the model that answers, and its fallbacks.

use std::collections::BTreeMap;

use common::nearest::nearest;
use serde::Deserialize;

use super::{
    api::Api,
    error::{OpenClawError, wrong},
    provider::{Model, ModelRef, Provider},
};

/// Where the file chooses.
const AT: &str = "agents.defaults.model";
/// The warning where the file describes no provider that can be used.
pub(super) const EMBEDDED: &str = "`models.providers` describes no provider that this version supports: the embedded engine answers";

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RawModelChoice {
    One(String),
    List {
        primary: String,
        #[serde(default)]
        fallbacks: Vec<String>,
    },
}

/// Gives a provider that lists no models those that the settings choose: an engine with one model accepts any name.
pub(super) fn name_unlisted(choice: &RawModelChoice, providers: &mut BTreeMap<String, Provider>) {
    let names = match choice {
        RawModelChoice::One(primary) => vec![primary],
        RawModelChoice::List { primary, fallbacks } => {
            [primary].into_iter().chain(fallbacks).collect()
        }
    };
    let unlisted: Vec<String> = providers
        .iter()
        .filter(|(_, provider)| provider.models.is_empty())
        .map(|(name, _)| name.clone())
        .collect();
    for named in names.into_iter().filter_map(|name| name.parse::<ModelRef>().ok()) {
        let Some(provider) = providers.get_mut(&named.provider) else {
            continue;
        };
        let listed = provider.models.iter().any(|model| model.id == named.model);
        if unlisted.contains(&named.provider) && !listed {
            provider.models.push(Model { id: named.model, ..Model::default() });
        }
    }
}

/// The primary model and its fallbacks; `None` if the file chooses none that Maru has.
///
/// A model of a provider that the file does not describe, such as one that OpenClaw brings along, is left out with a
/// warning. If that is nearly the name of one that it does describe, it is an error.
pub(super) fn choose(
    choice: Option<RawModelChoice>,
    providers: &BTreeMap<String, Provider>,
    warnings: &mut Vec<String>,
) -> Result<Option<(ModelRef, Vec<ModelRef>)>, OpenClawError> {
    let names = match choice {
        Some(RawModelChoice::One(primary)) => vec![primary],
        Some(RawModelChoice::List { primary, fallbacks }) => {
            [primary].into_iter().chain(fallbacks).collect()
        }
        None => Vec::new(),
    };
    let mut chosen = Vec::new();
    for text in names {
        if let Some(found) = find(&text, providers)? {
            chosen.push(found);
        } else {
            warnings.push(format!(
                "`{AT}`: {text} is left out: models.providers does not describe its provider"
            ));
        }
    }
    let mut chosen = chosen.into_iter();
    Ok(chosen.next().map(|primary| (primary, chosen.collect())))
}

/// The model of this name; `None` if its provider is another's.
fn find(
    text: &str,
    providers: &BTreeMap<String, Provider>,
) -> Result<Option<ModelRef>, OpenClawError> {
    let found: ModelRef = text
        .parse()
        .map_err(|()| wrong(AT, format!("{text:?} is not written as provider/model")))?;
    let provider = providers.get(&found.provider);
    if provider.is_some_and(|it| it.models.iter().any(|model| model.id == found.model)) {
        return Ok(Some(found));
    }
    let deployments = providers.iter().filter(|(_, it)| it.api == Api::Confidential);
    let deployments = deployments.map(|(name, it)| (name.as_str(), it.models.as_slice()));
    if let Some(found) = find_confidential(text, deployments) {
        return Ok(Some(found));
    }
    let is_meant = provider.is_some()
        || text.starts_with(CONFIDENTIAL)
        || nearest(&found.provider, providers.keys().map(String::as_str)).is_some();
    if is_meant {
        return Err(wrong(AT, format!("{text:?} is not among models.providers; add it there")));
    }
    Ok(None)
}

/// The model that answers if the file chooses none.
pub(super) fn first(providers: &BTreeMap<String, Provider>) -> Result<ModelRef, OpenClawError> {
    // A confidential model runs on a machine outside the home, so it is the default only if the file says so.
    let may_be_default = |(_, provider): &(&String, &Provider)| provider.api != Api::Confidential;
    let first = providers.iter().filter(may_be_default).find_map(|(name, provider)| {
        let model = provider.models.first()?.id.clone();
        Some(ModelRef { provider: name.clone(), model })
    });
    first.ok_or_else(|| {
        wrong("models.providers", "no model is configured; add a provider with a model")
    })
}

/// References to a deployment's only model, or to a model by its bare name.
const CONFIDENTIAL: &str = "confidential/";

/// The model that `confidential/NAME` means: the first of the deployment with that name, or the only model with that
/// id.
pub(crate) fn find_confidential<'a>(
    asked: &str,
    deployments: impl Iterator<Item = (&'a str, &'a [Model])> + Clone,
) -> Option<ModelRef> {
    let name = asked.strip_prefix(CONFIDENTIAL)?;
    let named = |provider: &str, model: &Model| ModelRef {
        provider: provider.to_owned(),
        model: model.id.clone(),
    };
    if let Some((provider, models)) = deployments.clone().find(|(provider, _)| *provider == name) {
        return Some(named(provider, models.first()?));
    }
    let mut all = deployments.flat_map(|(provider, models)| {
        models.iter().filter(|model| model.id == name).map(move |model| named(provider, model))
    });
    all.next().filter(|_| all.next().is_none())
}
