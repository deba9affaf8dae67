//! Lists over all rows.

use std::collections::BTreeSet;

use crate::{
    entry::{Service, Stage},
    link::Link,
    mesh::{HTTPS_PORT, Mesh},
    mount::{Directory, Mount},
    rows::{MODELS, SERVICES},
};

/// Every link, in the order of the services that listen.
pub fn links() -> impl Iterator<Item = &'static Link> {
    SERVICES.iter().flat_map(|service| service.listens)
}

/// Every stage in which a service starts or gets ready, in order.
#[must_use]
pub fn stages() -> BTreeSet<Stage> {
    SERVICES.iter().flat_map(|service| [service.start, service.ready.by]).collect()
}

/// Directories beside the links, parents first; in `run/` before those in `var/`.
#[must_use]
pub fn directories() -> Vec<Directory> {
    directories_of(SERVICES)
}

/// Those of some services.
pub(crate) fn directories_of(services: &[Service]) -> Vec<Directory> {
    let of_root = |path| Directory::new(path, 0, 0, 0o755);
    let mut directories = ["etc/maru", "run/maru", "var/lib/maru"].map(of_root).to_vec();
    // Services that start as root first: they hand their folders to their users by themselves.
    let (first, rest): (Vec<&Service>, Vec<&Service>) =
        services.iter().partition(|service| service.starts_as_root());
    let mounts = first.into_iter().chain(rest).flat_map(|service| service.mounts);
    directories.extend(mounts.filter_map(|mount| mount.directory));
    if services.iter().flat_map(|service| service.mounts).any(|mount| mount.path == MODELS) {
        directories.push(of_root(MODELS));
    }
    directories.sort_by_key(|directory| directory.path.split('/').next());
    directories
}

/// Services that devices reach in the mesh, by their port.
#[must_use]
pub fn mesh_services() -> Vec<(&'static Service, &'static Mesh)> {
    let with_mesh = |service: &'static Service| Some((service, service.mesh.as_ref()?));
    let mut services: Vec<_> = SERVICES.iter().filter_map(with_mesh).collect();
    services.sort_by_key(|(_, mesh)| mesh.port);
    services
}

/// Ports of the home node that the first policy opens.
#[must_use]
pub fn mesh_ports() -> BTreeSet<u16> {
    let ports = |(_, mesh): (_, &'static Mesh)| {
        mesh.https.map(|_| HTTPS_PORT).into_iter().chain([mesh.port])
    };
    mesh_services().into_iter().flat_map(ports).collect()
}

/// Labels below the network's domain under which people find the mesh services.
#[must_use]
pub fn mesh_names() -> BTreeSet<&'static str> {
    mesh_services().into_iter().flat_map(|(_, mesh)| mesh.names()).collect()
}

/// Labels below the network's domain under which the agent offers services over HTTPS.
#[must_use]
pub fn https_names() -> BTreeSet<&'static str> {
    mesh_services().into_iter().filter_map(|(_, mesh)| mesh.https).collect()
}

/// Folders in a backup, each with its service.
pub fn saved() -> impl Iterator<Item = (&'static Service, &'static Mount)> {
    let mounts = SERVICES
        .iter()
        .flat_map(|service| service.mounts.iter().map(move |mount| (service, mount)));
    mounts.filter(|(_, mount)| mount.saved_files > 0)
}
