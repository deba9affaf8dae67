//! Model names that belong to no provider.

/// The household's AI: the primary model with the workspace's prompt.
pub(crate) const HOUSEHOLD: &str = "maru";

/// OpenClaw's names for it.
const ALIASES: [&str; 2] = ["openclaw", "openclaw/default"];

/// What Ollama's clients append to a name without a tag.
pub(super) const LATEST: &str = ":latest";

/// Whether a name means the household's AI.
pub(super) fn is_household(asked: &str) -> bool {
    let bare = asked.strip_suffix(LATEST).unwrap_or(asked);
    bare == HOUSEHOLD || ALIASES.contains(&bare)
}
