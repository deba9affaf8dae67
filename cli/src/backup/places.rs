//! What a backup holds, and whose each file is. What an archive says of owners and modes counts for nothing.

use chassis::durable::Access;
use mesh_identity::{AGENT_GID, AGENT_UID};

use crate::service::{
    AGENT_SERVICE, COORDINATOR, COORDINATOR_SERVICE, GATEWAY, GATEWAY_SERVICE, RELAY,
    RELAY_SERVICE, RELAY_STATE, Service, TELMEET, TELMEET_SERVICE,
};

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

/// Where the database lies in a backup, and below the root.
pub(super) const DATABASE: &str = "var/lib/maru/coordinator/db.sqlite";
/// Where an agent does as it likes, below the root.
pub(super) const WORKSPACE: &str = "var/lib/maru/gateway/workspace";
/// Where containers write, below the root: nothing that they make there keeps the rest from being saved.
const OF_CONTAINERS: [&str; 2] = ["var/lib/maru/gateway", "var/lib/maru/telmeet"];

/// How much of a place a backup holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    /// The place, below the root.
    pub(super) place: &'static str,
    /// Most bytes of its files.
    pub(super) bytes: u64,
    /// Most files and folders in it. All of these together are as many as an archive holds.
    pub(super) files: usize,
}

/// How much of each place; the workspace has a bound of its own within the gateway's place, and comes first.
pub(super) fn bounds() -> Vec<Bound> {
    let small = |place, mib: u64, files| Bound { place, bytes: mib << 20, files };
    let of = |place, service: Service, files| small(place, service.disk_mib, files);
    vec![
        of(WORKSPACE, GATEWAY_SERVICE, 40_000),
        small("etc/maru", 64, 2_000),
        small("var/lib/maru/up.json", 1, 1),
        of("var/lib/maru/coordinator", COORDINATOR_SERVICE, 20_000),
        of(RELAY_STATE, RELAY_SERVICE, 2_000),
        of("var/lib/maru/agent", AGENT_SERVICE, 5_000),
        of("var/lib/maru/gateway", GATEWAY_SERVICE, 15_000),
        of("var/lib/maru/telmeet", TELMEET_SERVICE, 15_000),
    ]
}

/// Whether a container may have made this, or changes it at any time.
pub(super) fn is_of_container(name: &str) -> bool {
    OF_CONTAINERS.iter().any(|place| is_below(name, place))
}

/// Whether a name is that of a place, or of something in it.
pub(super) fn is_below(name: &str, place: &str) -> bool {
    name.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

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
