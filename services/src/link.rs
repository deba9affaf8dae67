//! A socket between two services.

use std::path::{Path, PathBuf};

/// A directory below `run/maru/` with one listener's socket in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Name of the directory.
    pub name: &'static str,
    /// Path of the socket, below the root.
    pub socket: &'static str,
    /// User that listens.
    pub owner: u32,
    /// Group of the callers.
    pub group: u32,
    /// Mode of the directory.
    pub mode: u32,
}

/// A [`Link`] with this name, socket, owner and group. Its mode lets the listener write and the callers' group enter; the
/// socket inherits that group.
macro_rules! new_link {
    ($name:literal, $socket:literal, $owner:expr, $group:expr) => {
        $crate::link::Link {
            name: $name,
            socket: concat!("run/maru/", $name, "/", $socket),
            owner: $owner,
            group: $group,
            mode: 0o2750,
        }
    };
}
pub(crate) use new_link;

impl Link {
    /// The directory, below the root.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("run/maru/{}", self.name)
    }

    /// The socket of the instance at `root`.
    #[must_use]
    pub fn path(&self, root: &Path) -> PathBuf {
        root.join(self.socket)
    }
}
