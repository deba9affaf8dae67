//! Names of an instance's interfaces, tables and containers.

use std::{
    fmt::Write as _,
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

/// Bytes of the root's hash that make the id: `maru` and twice as many digits stay below
/// the 15 characters of an interface's name.
const ID_BYTES: usize = 3;

/// The routing table of the root `/`; further instances have theirs behind it.
const ROUTING_TABLE: u32 = 0x6d00_0000;
/// The first routing rule's priority of the root `/`: before those for the table `main` (32766), behind Tailscale's (5210).
const RULE_PRIORITY: u32 = 5310;
/// Priorities of one instance.
const RULES_MAX: u32 = 5;
/// How many instances have priorities of their own.
const RULE_PLACES: u32 = 1000;

/// One installation on a machine, identified by its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    id: String,
}

impl Instance {
    /// The instance whose files lie below `root`.
    ///
    /// A relative root is taken from the working directory; symbolic links are not followed.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let root = plain(&root);
        let mut id = String::new();
        if root != Path::new("/") {
            for byte in Sha256::digest(root.as_os_str().as_bytes()).iter().take(ID_BYTES) {
                let _ = write!(id, "{byte:02x}");
            }
        }
        Self { id }
    }

    /// Six hex digits; empty for the root `/`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The TUN's name.
    #[must_use]
    pub fn interface(&self) -> String {
        if self.id.is_empty() { "maru0".to_owned() } else { format!("maru{}", self.id) }
    }

    /// The name of the interface of WireGuard devices.
    #[must_use]
    pub fn wireguard_interface(&self) -> String {
        format!("maruwg{}", self.id)
    }

    /// The nftables table's name.
    #[must_use]
    pub fn table(&self) -> String {
        if self.id.is_empty() { "maru".to_owned() } else { format!("maru_{}", self.id) }
    }

    /// The number of the routing table with the tunnel's routes to subnets and the exit node.
    #[must_use]
    pub fn routing_table(&self) -> u32 {
        ROUTING_TABLE | self.number()
    }

    /// The priority of the first of the routing rules, which have consecutive ones.
    #[must_use]
    pub fn rule_priority(&self) -> u32 {
        let place = if self.id.is_empty() { 0 } else { 1 + self.number() % RULE_PLACES };
        RULE_PRIORITY + place * RULES_MAX
    }

    fn number(&self) -> u32 {
        u32::from_str_radix(&self.id, 16).unwrap_or(0)
    }

    /// The name of the container that runs `service`.
    #[must_use]
    pub fn container(&self, service: &str) -> String {
        if self.id.is_empty() {
            format!("maru-{service}")
        } else {
            format!("maru-{}-{service}", self.id)
        }
    }
}

/// The path without `.`, `..` and a slash at the end.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => out.push(part),
        }
    }
    out
}

#[cfg(test)]
mod tests;
