//! The network as a whole.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The network and its coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Network {
    /// DNS domain of the network, such as `maru.home.arpa`.
    pub network: String,
    /// URL of the coordinator for devices.
    pub server_url: String,
    /// The coordinator's Noise key, `mkey:…`.
    pub noise_public_key: String,
    /// Version of the coordinator.
    pub version: String,
}

/// A coordinator of the network: the only one, or one of several that share a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Coordinator {
    /// Process and machine.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it started; of one that is alone it is not known.
    pub started: Option<String>,
    /// Whether it serves. One that ended is listed for a minute.
    pub serving: bool,
}

/// The state of the coordinator and its database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `ok`; otherwise the response is a problem with status 503.
    pub status: String,
    /// Version of the coordinator.
    pub version: String,
}
