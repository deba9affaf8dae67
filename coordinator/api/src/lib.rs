//! The admin API's types, and the text of an invitation.
//!
//! HTTP/1.1 with JSON over `run/maru/coordinator/admin.sock`, where the coordinator lets in uid 0 only; and over HTTPS at
//! its address for everyone, with an API key (`Authorization: Bearer maru-api-…`, RFC 6750).
//! Names on the wire are `snake_case`, times are RFC 3339 in UTC, errors are RFC 9457 problems (`common`).
//!
//! | method and path | body | answer |
//! |---|---|---|
//! | `GET /api/v1/health` | | [`Health`] |
//! | `GET /api/v1/openapi.json` | | all of this as an `OpenAPI` document |
//! | `GET /api/v1/network` | | [`Network`] |
//! | `GET /api/v1/users` | | `[`[`User`]`]` |
//! | `POST /api/v1/users` | [`CreateUser`] | 201 [`User`] |
//! | `DELETE /api/v1/users/{name}` | | 204; refused while the user has devices |
//! | `POST /api/v1/users/{name}/rename` | [`RenameUser`] | [`RenamedUser`] |
//! | `GET /api/v1/keys` | | `[`[`Key`]`]` |
//! | `POST /api/v1/keys` | [`CreateKey`] | 201 [`CreatedKey`] |
//! | `POST /api/v1/keys/{id}/expire` | | [`Key`] |
//! | `DELETE /api/v1/keys/{id}` | | 204; refused while a device waits that used it |
//! | `POST /api/v1/invitations` | [`CreateInvitation`] | 201 [`CreatedInvitation`] |
//! | `GET /api/v1/devices` | | `[`[`Device`]`]`, those that wait included |
//! | `GET /api/v1/devices/{id-or-name}` | | [`Device`] |
//! | `POST /api/v1/devices/{id}/approve` | [`Approve`] | [`Device`] |
//! | `POST /api/v1/devices/{id}/reject` | | 204 |
//! | `POST /api/v1/devices/{id}/expire` | | [`Device`] |
//! | `POST /api/v1/devices/{id}/extend` | [`Extend`] | [`Device`] |
//! | `POST /api/v1/devices/{id}/rename` | [`Rename`] | [`Device`] |
//! | `POST /api/v1/devices/{id}/tags` | [`SetTags`] | [`Device`] |
//! | `PUT /api/v1/devices/{id}/capabilities` | [`Capabilities`] | [`Device`] |
//! | `DELETE /api/v1/devices/{id}` | | 204 |
//! | `GET /api/v1/records` | | `[`[`Record`]`]` |
//! | `PUT /api/v1/records/{name}` | [`SetRecord`] | [`Record`] |
//! | `DELETE /api/v1/records/{name}` | | 204 |
//! | `GET /api/v1/routes` | | `[`[`Route`]`]` |
//! | `POST /api/v1/devices/{id}/routes/approve` | [`DecideRoutes`] | `[`[`Route`]`]`, those of the device |
//! | `POST /api/v1/devices/{id}/routes/reject` | [`DecideRoutes`] | `[`[`Route`]`]`, those of the device |
//! | `GET /api/v1/api-keys` | | `[`[`ApiKey`]`]` |
//! | `POST /api/v1/api-keys` | [`CreateApiKey`] | 201 [`CreatedApiKey`] |
//! | `DELETE /api/v1/api-keys/{id-or-name}` | | [`ApiKey`], as it last was |
//! | `GET /api/v1/policy` | | [`Policy`] |
//! | `PUT /api/v1/policy` | [`Policy`] | [`PolicySet`] |
//! | `POST /api/v1/policy/check` | [`Policy`] | [`PolicyChecked`] |
//! | `POST /api/v1/policy/diff` | [`Policy`] | [`PolicyDiff`] |
//! | `POST /api/v1/policy/test` | [`TestPolicy`] | [`PolicyTested`] |
//! | `POST /api/v1/policy/explain` | [`ExplainPolicy`] | `[`[`PolicyDecision`]`]`, one for each pair of devices |
//! | `GET /api/v1/log` | [`ReadLog`] as query | [`LogPage`] |
//!
//! Wherever `{id}` of a device stands, its name is taken as well; for one that waits its code, or its hostname if no other
//! device waits under it. A node is shown by its hostname as well, if no other has it, but not changed by it.
#![forbid(unsafe_code)]

mod actor;
mod api_key;
mod device;
pub mod invitation;
mod key;
mod log;
mod network;
mod policy;
mod route;
mod secret;
pub mod settings;
mod user;

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
pub use network::{Health, Network};
pub use policy::{
    ExplainPolicy, Policy, PolicyChange, PolicyChanges, PolicyChecked, PolicyDecision, PolicyDiff,
    PolicyNote, PolicyPlace, PolicyProtocol, PolicySet, PolicyTest, PolicyTested, TestPolicy,
};
pub use route::{DecideRoutes, EXIT, Route, RouteState};
pub use secret::Secret;
pub use user::{CreateUser, RenameUser, RenamedUser, User};

/// How many migrations the database has seen: one of a newer version has seen more.
pub const SCHEMA: usize = 6;

/// Every path of this API begins with it.
pub const PREFIX: &str = "/api/v1";

#[cfg(test)]
mod tests;
