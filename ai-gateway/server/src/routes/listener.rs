//! The listeners of the mesh.

use super::surface::Surface;

/// By which listener a request came in, and so what its header is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    /// The agent's: it is true.
    Agent,
    /// telmeet's: it is a claim.
    Plugin,
}

impl Listener {
    /// In whose shape a path answers there.
    pub(super) fn surface(self, path: &str) -> Surface {
        match self {
            Self::Agent => Surface::of(path),
            Self::Plugin => Surface::Own,
        }
    }
}
