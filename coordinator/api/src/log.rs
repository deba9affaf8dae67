//! The audit log.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// Increasing and unique.
    pub id: u64,
    /// The time, RFC 3339.
    pub at: String,
    /// Who made the change, as [`Actor`](crate::Actor) is displayed.
    pub actor: String,
    /// The action, such as `device.approve`.
    pub action: String,
    /// The target: a name, a number or both.
    pub target: String,
    /// Details; never a secret.
    pub details: String,
}

/// Selects a part of the log, in a URL's query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ReadLog {
    /// Only entries of this many last seconds. Default: all.
    pub last_s: Option<u64>,
    /// Only entries of this actor.
    pub actor: Option<String>,
    /// Only entries after this number.
    pub after: Option<u64>,
    /// Maximum number of entries, up to 1000. Default: 1000.
    pub limit: Option<u32>,
}

/// A page of the log, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// The entries.
    pub entries: Vec<LogEntry>,
    /// The value of `after` for the next page; `None` if there are no more entries.
    pub next: Option<u64>,
}
