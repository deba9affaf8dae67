//! Below which domain names are taken.

use std::collections::BTreeMap;

use control_protocol::map::{DnsConfig, NodeId};
use serde::{Deserialize, Serialize};

use crate::domain::Domain;

/// Below which domain the coordinator may set names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Naming {
    /// No map came since this device joined.
    #[default]
    Open,
    /// The first map named no domain that may be used: there are no names.
    Nameless,
    /// Below this one, for as long as this device belongs to the network.
    Domain(Domain),
}

/// Names as they were before a message, of those that it may change.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) own: Option<String>,
    pub(super) peers: BTreeMap<NodeId, String>,
    pub(super) dns: Option<DnsConfig>,
}
