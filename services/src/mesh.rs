//! A service in the mesh.

use crate::link::Link;

/// How a service is reached by the network's devices, at the home node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mesh {
    /// TCP port that the agent publishes.
    pub port: u16,
    /// Further ports that the first policy opens.
    pub open: &'static [u16],
    /// Label below the network's domain under which people find it.
    pub name: &'static str,
    /// Whether its answers may be web pages.
    pub pages: bool,
    /// Whether programs of the home machine may be let in, by an address of loopback.
    pub local: bool,
    /// Its settings file, below the root. `maru up` writes the first one: the network, and the names that it answers to.
    pub settings: &'static str,
    /// What the first line of that file says it is about.
    pub about: &'static str,
    /// Keys in that file that hold the user id of whoever listens on these links.
    pub peers: &'static [(&'static str, Link)],
}
