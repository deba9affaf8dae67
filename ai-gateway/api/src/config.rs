//! How `openclaw.json` stands, for `maru doctor`; served on root's socket only.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the file stands while the gateway runs.
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
}
