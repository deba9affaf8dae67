//! The service table: programs, users and rights.
//!
//! Each service of a home has one row in [`SERVICES`]: program, user, sockets, mesh port and name, folders with their limits,
//! memory. From the rows come the processes and `podman run` arguments of `maru up` ([`child`], [`podman`]), the order of
//! start and stop ([`Stage`]), readiness probes ([`Readiness`]), directories ([`directories`]), the mesh services of
//! `agent.toml` and the ports of the first policy ([`mesh_services`]), the contents of a backup ([`saved`]), the programs that
//! `xtask` builds, the systemd units ([`systemd`]) and the Quadlets ([`quadlet`]) in `systemd/` and `podman/`; a test compares
//! those files with the table. [`jobs`] are what timers start. [`SERVERS`] are the servers of a confidential deployment, for which only units are made.
#![forbid(unsafe_code)]

mod engine;
mod entry;
mod instance;
mod link;
mod mesh;
mod mount;
mod rows;
mod table;

pub mod child;
pub mod jobs;
pub mod podman;
pub mod quadlet;
pub mod seccomp;
pub mod servers;
pub mod systemd;

pub use engine::EngineOptions;
pub use entry::{Arg, Kind, Memory, Probe, Readiness, Service, Stage};
pub use instance::Instance;
pub use link::Link;
pub use mesh::{HTTPS_PORT, Mesh};
pub use mount::{Access, Directory, Mount};
pub use rows::{
    ADMIN, AGENT_GID, AGENT_SERVICE, AGENT_UID, COORDINATOR, COORDINATOR_SERVICE, COUNTERS,
    DATABASE_SERVICES, DIALS, ENGINE, FORMER, GATEWAY, GATEWAY_HTTP, GATEWAY_KEY, GATEWAY_MESH,
    GATEWAY_SERVICE, GATEWAY_STATE, INFERENCE, INFERENCE_2, INFERENCE_2_SERVICE, INFERENCE_SERVICE,
    LOCAL_API, METRICS, MODELS, PARTICIPANT, PARTICIPANT_ADMIN, PARTICIPANT_KEY,
    PARTICIPANT_SERVICE, PARTICIPANT_STATE, PARTICIPANT_UID, PLUGIN, RELAY, RELAY_EMBEDDED,
    RELAY_NODES, RELAY_SERVICE, RELAY_STATE, RESTORING, ROOMS, ROOMS_ADMIN, ROOMS_LINK, SERVICES,
    TELMEET, TELMEET_HTTP, TELMEET_KEY, TELMEET_MEMBERS, TELMEET_MESH, TELMEET_SERVICE,
    TELMEET_STATE, WORKSPACE,
};
pub use servers::{SERVER_DIRECTORIES, SERVERS, Server, server_links};
pub use table::{
    directories, https_names, links, mesh_names, mesh_ports, mesh_services, saved, stages,
};

#[cfg(test)]
mod tests;
