//! What a backup holds, and the owner of each file. Owners and modes in an archive are ignored.

use chassis::durable;
use services::{Access, COORDINATOR, Kind, Mount, RELAY, RELAY_STATE, SERVICES, Service, saved};

/// Where the database lies in a backup, and below the root.
pub(super) const DATABASE: &str = "var/lib/maru/coordinator/db.sqlite";
/// Where the rooms' database lies.
pub(super) const ROOMS_DATABASE: &str = "var/lib/maru/telmeet/db.sqlite";
/// Where the conversations' database lies.
pub(super) const CONVERSATIONS_DATABASE: &str = "var/lib/maru/gateway/conversations.sqlite";
/// Every database of which a backup holds a copy.
pub(super) const COPIED: [&str; 3] = [DATABASE, ROOMS_DATABASE, CONVERSATIONS_DATABASE];
/// Settings of every daemon, below the root.
const SETTINGS: &str = "etc/maru";
/// What `maru up` was told, below the root.
const TOLD: &str = "var/lib/maru/up.json";

/// The saved paths below the root; each is restored as a whole.
pub(super) fn all() -> Vec<&'static str> {
    let whole = saved().filter(|(_, mount)| mount.access != Access::Inherited);
    [SETTINGS, TOLD].into_iter().chain(whole.map(|(_, mount)| mount.path)).collect()
}

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

/// The limit of each place; a folder inside another place has a limit of its own, and comes first.
pub(super) fn bounds() -> Vec<Bound> {
    let bound = |place, mib: u64, files| Bound { place, bytes: mib << 20, files };
    let of = |(service, mount): (&Service, &Mount)| {
        bound(mount.path, service.disk_mib, mount.saved_files)
    };
    let (within, whole): (Vec<_>, Vec<_>) =
        saved().partition(|(_, mount)| mount.access == Access::Inherited);
    let others = [bound(SETTINGS, 64, 2_000), bound(TOLD, 1, 1)];
    within.into_iter().map(of).chain(others).chain(whole.into_iter().map(of)).collect()
}

/// Whether a container owns the file, and may change it at any time: errors there do not prevent the rest from being saved.
pub(super) fn is_of_container(name: &str) -> bool {
    saved().any(|(service, mount)| service.kind == Kind::Container && is_below(name, mount.path))
}

/// Whether a name is that of a place, or of something in it.
pub(super) fn is_below(name: &str, place: &str) -> bool {
    name.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Of the file at `name`, below the root; `None` if no backup holds it.
pub(super) fn of(name: &str) -> Option<durable::Access> {
    let place = all().into_iter().find(|place| {
        name.strip_prefix(place).is_some_and(|rest| match *place {
            TOLD => rest.is_empty(),
            _ => rest.starts_with('/') && rest.len() > 1,
        })
    })?;
    let access = |uid, gid, mode| Some(durable::Access { mode, owner: Some((uid, gid)) });
    let file = name.rsplit('/').next().unwrap_or_default();
    match place {
        // Every daemon reads its own; what lies beside them is the coordinator's, such as the key of its certificate.
        SETTINGS if name.ends_with(".toml") => access(0, 0, 0o644),
        // With which root administers a coordinator elsewhere.
        SETTINGS if name == "etc/maru/api-key" => access(0, 0, 0o600),
        SETTINGS => access(0, COORDINATOR, 0o640),
        TOLD => access(0, 0, 0o600),
        RELAY_STATE if file.starts_with("certificate-") => access(RELAY, COORDINATOR, 0o644),
        RELAY_STATE => access(RELAY, RELAY, 0o600),
        _ if is_passing(name) => None,
        // As the innermost folder of the service table that it is in: a file that root writes is for that folder's group.
        _ => {
            let folders = SERVICES.iter().flat_map(|service| service.mounts);
            let folders = folders.filter_map(|mount| mount.directory);
            let inside =
                folders.filter(|folder| name != folder.path && is_below(name, folder.path));
            let folder = inside.max_by_key(|folder| folder.path.len())?;
            access(folder.uid, folder.gid, 0o600 | folder.mode & 0o040)
        }
    }
}

/// The access to a folder above such a file: readers of the file may also enter the folder.
pub(super) fn folder(of: durable::Access) -> durable::Access {
    let mode = (of.mode & 0o700) | (of.mode & 0o444) >> 2 | of.mode & 0o444 | 0o100;
    durable::Access { mode, ..of }
}

/// SQLite's temporary files, the file of before a migration, and a daemon's lock.
fn is_passing(name: &str) -> bool {
    let of_database = COPIED.iter().find_map(|database| name.strip_prefix(database));
    let passing = ["-wal", "-shm", "-journal", ".lock"];
    of_database.is_some_and(|rest| passing.contains(&rest) || rest.starts_with(".before-"))
}
