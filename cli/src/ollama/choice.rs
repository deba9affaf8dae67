//! Which model a typed name means.

use anyhow::bail;
use messages::message;

use crate::ollama::{
    answer::Model,
    name::{check, has_tag, tagged},
};

/// Most names in an error.
const NAMED: usize = 20;

/// The model of this name; without a tag the latest one, or the only one. An ambiguous name is nobody's.
pub(crate) fn find<'a>(models: &'a [Model], wanted: &str) -> anyhow::Result<&'a Model> {
    check(wanted)?;
    let whole = tagged(wanted);
    if let Some(found) = models.iter().find(|model| model.name == whole || model.name == wanted) {
        return Ok(found);
    }
    let is_of = |model: &&Model| {
        let tag = model.name.strip_prefix(wanted).and_then(|rest| rest.strip_prefix(':'));
        !has_tag(wanted) && tag.is_some()
    };
    let mut found = models.iter().filter(is_of);
    let name = format!("{wanted:?}");
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => {
            let names = named(models.iter().filter(is_of));
            bail!(message!("ollama-ambiguous", name, names))
        }
        (None, _) if models.is_empty() => bail!(message!("ollama-has-none", name)),
        (None, _) => {
            let names = named(models.iter());
            bail!(message!("ollama-no-such-model", wanted = name, names))
        }
    }
}

fn named<'a>(models: impl Iterator<Item = &'a Model>) -> String {
    let mut names: Vec<_> = models.map(|model| model.name.as_str()).collect();
    if names.len() > NAMED {
        names.truncate(NAMED);
        names.push("…");
    }
    names.join(", ")
}
