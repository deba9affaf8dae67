//! Names of models that no provider gives.

/// The household's AI: the primary model, told who it is by the workspace.
pub(crate) const HOUSEHOLD: &str = "maru";

/// Other names of it: OpenClaw's.
const ALIASES: [&str; 2] = ["openclaw", "openclaw/default"];

/// What Ollama's clients append to a name without a tag.
pub(super) const LATEST: &str = ":latest";

/// Whether a name means the household's AI.
pub(super) fn is_household(asked: &str) -> bool {
    let bare = asked.strip_suffix(LATEST).unwrap_or(asked);
    bare == HOUSEHOLD || ALIASES.contains(&bare)
}
