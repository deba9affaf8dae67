//! The admin API's types, and the text of an invitation.
//!
//! HTTP/1.1 with JSON over `run/maru/coordinator/admin.sock`, only for uid 0; and over HTTPS at
//! its address for everyone, with an API key (`Authorization: Bearer maru-api-…`, RFC 6750).
//! Names on the wire are `snake_case`, times are RFC 3339 in UTC, errors are RFC 9457 problems (`common`).
//!
//! [`endpoints`] declares all of it; `GET /api/v1/openapi.json` answers with the same as an `OpenAPI` document.
#![forbid(unsafe_code)]

mod actor;
mod api_key;
mod device;
pub mod endpoints;
pub mod invitation;
mod key;
mod log;
mod network;
mod policy;
pub mod public;
mod route;
mod secret;
pub mod settings;
mod user;
mod wireguard;

pub use actor::Actor;
pub use api_key::{
    API_KEY_PREFIX, API_KEY_RANDOM_LEN, Access, ApiKey, CreateApiKey, CreatedApiKey,
};
pub use device::{
    Approve, Capabilities, Device, DeviceState, Extend, Record, Rename, SetRecord, SetTags,
};
pub use key::{
    AUTH_KEY_PREFIX, AUTH_KEY_RANDOM_LEN, CreateInvitation, CreateKey, CreatedInvitation,
    CreatedKey, Key, KeyState,
};
pub use log::{LogEntry, LogPage, ReadLog};
pub use network::{Coordinator, Health, Network};
pub use policy::{
    ExplainPolicy, Policy, PolicyChange, PolicyChanges, PolicyChecked, PolicyDecision, PolicyDiff,
    PolicyLocation, PolicyNote, PolicyProtocol, PolicySet, PolicyTest, PolicyTested, TestPolicy,
};
pub use route::{DecideRoutes, EXIT, Route, RouteState, UnusableReason};
pub use secret::Secret;
pub use user::{CreateUser, RenameUser, RenamedUser, User};
pub use wireguard::{
    AddWireguardDevice, KEEPALIVE_S, NotWireguardKey, RotateWireguardDevice, WIREGUARD_OS,
    WireguardDevice, WireguardKey, WireguardProblem,
};

/// The migrations of the database in order, each with its name and its statements: the files of `migrations`. A released
/// migration is never changed.
pub const MIGRATIONS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// The number of migrations. The database of a newer version has more.
pub const SCHEMA: usize = MIGRATIONS.len();

#[cfg(test)]
mod tests;
