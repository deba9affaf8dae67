//! The audit log: who changed what, and when.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// Counts up; none is given twice.
    pub id: u64,
    /// When, as RFC 3339.
    pub at: String,
    /// By whom, as [`Actor`](crate::Actor) is displayed.
    pub actor: String,
    /// What, such as `device.approve`.
    pub action: String,
    /// To what: a name, a number or both.
    pub target: String,
    /// What else is worth a line; never a secret.
    pub details: String,
}

/// Which part of the log is wanted, in a URL's query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ReadLog {
    /// Entries of the last so many seconds. Default: all that are kept.
    pub last_s: Option<u64>,
    /// Entries of this actor alone.
    pub actor: Option<String>,
    /// Entries after the one of this number.
    pub after: Option<u64>,
    /// At most so many, and never more than 1000. Default: 1000.
    pub limit: Option<u32>,
}

/// A page of the log, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// The entries.
    pub entries: Vec<LogEntry>,
    /// What `after` is for the next page; `None` if there is nothing more so far.
    pub next: Option<u64>,
}
