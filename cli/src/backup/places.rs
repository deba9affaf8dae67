//! What a backup holds, and whose each file is. What an archive says of owners and modes counts for nothing.

use chassis::durable::Access;
use mesh_identity::{AGENT_GID, AGENT_UID};

use crate::service::{COORDINATOR, GATEWAY, RELAY, RELAY_STATE, TELMEET};

/// All that is kept, below the root; each is put in its place as a whole.
pub(super) const ALL: &[&str] = &[
    "etc/maru",
    "var/lib/maru/up.json",
    "var/lib/maru/coordinator",
    RELAY_STATE,
    "var/lib/maru/agent",
    "var/lib/maru/gateway",
    "var/lib/maru/telmeet",
];

/// Of the file at `name`, below the root; `None` if no backup holds it.
pub(super) fn of(name: &str) -> Option<Access> {
    let place = ALL.iter().find(|place| {
        name.strip_prefix(**place).is_some_and(|rest| match **place {
            "var/lib/maru/up.json" => rest.is_empty(),
            _ => rest.starts_with('/') && rest.len() > 1,
        })
    })?;
    let access = |uid, gid, mode| Some(Access { mode, owner: Some((uid, gid)) });
    let file = name.rsplit('/').next().unwrap_or_default();
    match *place {
        // Every daemon reads its own; what lies beside them is the coordinator's, such as the key of its certificate.
        "etc/maru" if name.ends_with(".toml") => access(0, 0, 0o644),
        // With which root administers a coordinator elsewhere.
        "etc/maru" if name == "etc/maru/api-key" => access(0, 0, 0o600),
        "etc/maru" => access(0, COORDINATOR, 0o640),
        "var/lib/maru/up.json" => access(0, 0, 0o600),
        "var/lib/maru/coordinator" if is_passing(file) => None,
        "var/lib/maru/coordinator" => access(COORDINATOR, COORDINATOR, 0o600),
        RELAY_STATE if file.starts_with("certificate-") => access(RELAY, COORDINATOR, 0o644),
        RELAY_STATE => access(RELAY, RELAY, 0o600),
        "var/lib/maru/agent" => access(AGENT_UID, AGENT_GID, 0o600),
        "var/lib/maru/gateway" if name.starts_with("var/lib/maru/gateway/config/") => {
            access(0, GATEWAY, 0o640)
        }
        "var/lib/maru/gateway" => access(GATEWAY, GATEWAY, 0o600),
        "var/lib/maru/telmeet" => access(TELMEET, TELMEET, 0o600),
        _ => None,
    }
}

/// Of a folder above such a file: who may read the file may also pass through.
pub(super) fn folder(of: Access) -> Access {
    let mode = (of.mode & 0o700) | (of.mode & 0o444) >> 2 | of.mode & 0o444 | 0o100;
    Access { mode, ..of }
}

/// What SQLite has beside its database, and what the coordinator has only while it runs.
fn is_passing(file: &str) -> bool {
    let of_database = file.strip_prefix("db.sqlite");
    of_database.is_some_and(|rest| ["-wal", "-shm", "-journal", ".lock"].contains(&rest))
}
