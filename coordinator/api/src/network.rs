//! The network as a whole.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The network and its coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Network {
    /// DNS domain of the network, such as `maru.internal`.
    pub network: String,
    /// Where devices reach the coordinator.
    pub server_url: String,
    /// The coordinator's Noise key, `mkey:…`.
    pub noise_public_key: String,
    /// Version of the coordinator.
    pub version: String,
}

/// That the coordinator and its database answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `ok`; what is not is a problem with status 503.
    pub status: String,
    /// Version of the coordinator.
    pub version: String,
}
