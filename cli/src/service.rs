//! The service table: what runs, as whom, with which rights.
//!
//! [`SERVICES`] is the one place where this is written. From it come the children and `podman run`
//! arguments of `maru up` ([`child`], [`podman`]), the order in which it starts and stops them
//! ([`Stage`]), how it sees that they are ready ([`Readiness`]), the systemd units ([`systemd`]) and
//! the Quadlets ([`quadlet`]) in `systemd/` and `podman/`; a test compares those files with the table.
//! [`SERVERS`] are the machines of a confidential deployment, which no household needs: only units are made of them.

mod entry;
mod table;

pub mod child;
pub mod podman;
pub mod quadlet;
pub mod servers;
pub mod systemd;

pub use entry::{
    Arg, Directory, Kind, Link, Memory, Mount, Probe, Readiness, Server, Service, Stage,
};
/// User and group of the agent, which calls the mesh services; uid and gid of the others are equal.
pub use mesh_identity::{AGENT_GID, AGENT_UID};
pub use node_agent_api::settings::DIALS;
pub use servers::{SERVER_DIRECTORIES, SERVERS, server_links};
pub use table::{
    ADMIN, AGENT_SERVICE, COORDINATOR, COORDINATOR_SERVICE, DIRECTORIES, ENGINE, GATEWAY,
    GATEWAY_HTTP, GATEWAY_SERVICE, INFERENCE, INFERENCE_2, INFERENCE_2_SERVICE, INFERENCE_SERVICE,
    LOCAL_API, METRICS, MODELS, PLUGIN, RELAY, RELAY_NODES, RELAY_SERVICE, RELAY_STATE, RESTORING,
    SERVICES, TELMEET, TELMEET_HTTP, TELMEET_SERVICE, links, stages,
};

#[cfg(test)]
mod tests;
