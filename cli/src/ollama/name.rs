//! Names of Ollama's models.

use chat_vocabulary::ollama::is_cloud;
use messages::message;

use crate::error::Usage;

/// Longest name, in bytes.
const MAX: usize = 200;
/// The tag of a name without one.
const LATEST: &str = "latest";
/// The host of a name without one.
const HOST: &str = "registry.ollama.ai/";
/// The namespace of a name without one.
const NAMESPACE: &str = "library/";

/// Whether Ollama gives such names: `[HOST[:PORT]/][NAMESPACE/]MODEL[:TAG]`. No scheme, no path and no option passes.
pub(crate) fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_word = |word: &str| {
        word.bytes().all(fits) && word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
    };
    let parts: Vec<_> = text.split('/').collect();
    let is_part = |(at, part): (usize, &&str)| match part.split_once(':') {
        Some((host, port)) if at == 0 && parts.len() > 1 => {
            is_word(host) && port.parse::<u16>().is_ok()
        }
        Some((model, tag)) => at + 1 == parts.len() && is_word(model) && is_word(tag),
        None => is_word(part),
    };
    text.len() <= MAX && parts.len() <= 3 && parts.iter().enumerate().all(is_part)
}

/// Fails if nothing may be asked of Ollama under this name: it is none, or its model runs in a cloud.
pub(crate) fn check(name: &str) -> anyhow::Result<()> {
    if !is_name(name) {
        return Err(Usage(message!("not-an-ollama-name", name = format!("{name:?}"))).into());
    }
    if is_cloud(name) {
        return Err(Usage(message!("ollama-cloud-model", name)).into());
    }
    Ok(())
}

/// Whether Ollama means the same model by both: it adds the host, the namespace and the tag that are missing, and ignores case
/// (`types/model/name.go` of Ollama).
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    short(one) == short(other)
}

fn short(name: &str) -> String {
    let whole = tagged(name).to_ascii_lowercase();
    let short = whole.strip_prefix(HOST).unwrap_or(&whole);
    short.strip_prefix(NAMESPACE).unwrap_or(short).to_owned()
}

/// The name with the tag that Ollama adds.
pub(crate) fn tagged(name: &str) -> String {
    if has_tag(name) { name.to_owned() } else { format!("{name}:{LATEST}") }
}

/// Whether the name has a tag.
pub(crate) fn has_tag(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|last| last.contains(':'))
}
