//! The coordinator's endpoints beside the admin API.
//!
//! Their bodies are those of other protocols: Tailscale's control protocol (`control-protocol`), pages, Prometheus.

use control_protocol::{UPGRADE_PATH, admit, key_response, map, register};
use endpoint::Raw;

use crate::invitation;

endpoint::declare! {
    /// Those of the port for everyone.
    ENDPOINTS for Anyone;

    /// Tells the coordinator's Noise key.
    KEY: GET {key_response::PATH} => Raw;
    /// Turns the connection into a Noise channel.
    UPGRADE: POST {UPGRADE_PATH} => Raw;
    /// Shows the page that an invitation's link leads to.
    JOIN_PAGE: GET {invitation::PATH} => Raw;
    /// Shows the page of a waiting device.
    DEVICE_PAGE: GET "/register/{ticket}" => Raw;
    /// Lets a waiting device in by an invitation.
    REDEEM: POST "/register/{ticket}" (Raw) => Raw, callers(endpoint::Callers::Invited);
    /// Answers as the admin API does.
    ADMIN: ANY "/api/v1/{*rest}" (Raw) => Raw, callers(endpoint::Callers::ApiKey);
    /// Tells a relay whether it should serve a node key.
    VERIFY: POST {admit::PATH} (Raw) => Raw, read_only;
}

endpoint::declare! {
    /// Those inside the Noise channel.
    CHANNEL for Machine;

    /// Registers a device.
    REGISTER: POST {register::PATH} (Raw) => Raw;
    /// Answers with network maps.
    MAP: POST {map::PATH} (Raw) => Raw;
    /// Says what is not implemented.
    MACHINE: ANY "/machine/{*rest}" (Raw) => Raw;
}

endpoint::declare! {
    /// Those of the socket for counters.
    COUNTERS for Root;

    /// Tells the counters, in Prometheus' text format.
    METRICS: GET "/metrics" => Raw;
}
