//! How `openclaw.json` and the database of conversations stand, for `maru doctor`; served on root's socket only.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Half tokens of the workspace files in a prompt at most, by an estimate at which a byte costs one at least, unless
/// `bootstrapTotalMaxChars` says otherwise. So the prompt for a short question stays under 2,000 tokens.
pub const PROMPT_HALF_TOKENS: usize = 2 * 1700;

/// How the file and the database stand while the gateway runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigReport {
    /// Why the file that is there now is not in use, and what to do; the last one that could be used is. It contains no
    /// key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Whether a part of the file applies after a restart of the gateway only.
    pub restart: bool,
    /// Each part of the file in use that has no effect.
    pub warnings: Vec<String>,
    /// Why conversations are answered but not kept, because their database is closed; none if it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_kept: Option<String>,
}
