//! The coordinator's endpoints other than the admin API.
//!
//! Their bodies belong to other protocols: Tailscale's control protocol (`control-protocol`), HTML, Prometheus.

use control_protocol::{UPGRADE_PATH, admit, certificate, key_response, map, register};
use endpoint::Raw;

use crate::invitation;

endpoint::declare! {
    /// Endpoints of the public port.
    ENDPOINTS for Anyone;

    /// Returns the coordinator's Noise key.
    KEY: GET {key_response::PATH} => Raw;
    /// Upgrades the connection to a Noise channel.
    UPGRADE: POST {UPGRADE_PATH} => Raw;
    /// Shows the page of an invitation.
    JOIN_PAGE: GET {invitation::PATH} => Raw;
    /// Shows the page of a waiting device.
    DEVICE_PAGE: GET "/register/{ticket}" => Raw;
    /// Redeems an invitation for a waiting device.
    REDEEM: POST "/register/{ticket}" (Raw) => Raw, callers(endpoint::Callers::Invited);
    /// The admin API.
    ADMIN: ANY "/api/v1/{*rest}" (Raw) => Raw, callers(endpoint::Callers::ApiKey);
    /// Returns whether a relay should serve a node key.
    VERIFY: POST {admit::PATH} (Raw) => Raw, read_only;
}

endpoint::declare! {
    /// Endpoints inside the Noise channel.
    CHANNEL for Machine;

    /// Registers a device.
    REGISTER: POST {register::PATH} (Raw) => Raw;
    /// Returns network maps.
    MAP: POST {map::PATH} (Raw) => Raw;
    /// Orders a public certificate for a name of the node.
    CERTIFICATE: POST {certificate::PATH} (Raw) => Raw;
    /// Refuses what is not implemented.
    MACHINE: ANY "/machine/{*rest}" (Raw) => Raw;
}

endpoint::declare! {
    /// Endpoints of the metrics socket.
    COUNTERS for Root;

    /// Returns the metrics, in Prometheus' text format.
    METRICS: GET "/metrics" => Raw;
}
