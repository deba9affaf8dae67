//! A service in the mesh.

use crate::link::Link;

/// Port of HTTPS at the home node, for every service with a name there.
pub const HTTPS_PORT: u16 = 443;

/// How a service is reached by the network's devices, at the home node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mesh {
    /// TCP port that the agent publishes.
    pub port: u16,
    /// Label below the network's domain under which people find it.
    pub name: &'static str,
    /// Whether its answers may be web pages.
    pub pages: bool,
    /// A second label, under which its answers may be web pages even so.
    pub page_name: Option<&'static str>,
    /// The label under which the agent offers it over HTTPS, on [`HTTPS_PORT`].
    pub https: Option<&'static str>,
    /// Whether programs of the home machine may connect over a loopback address.
    pub local: bool,
    /// Its settings file, below the root. `maru up` writes the first one, with the network and the service's names.
    pub settings: &'static str,
    /// The title in the first line of that file.
    pub about: &'static str,
    /// Keys in that file with the user id of the listener of these links.
    pub peers: &'static [(&'static str, Link)],
}

impl Mesh {
    /// Its labels below the network's domain.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        [Some(self.name), self.page_name].into_iter().flatten()
    }
}
