//! Parts of a policy with the place where they stand, so that a refusal can point at it.

use crate::{error::Error, position::Position};

/// Where something stands: in the text, and in the document.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spot {
    pub(crate) at: Position,
    /// Such as `acls[2].dst[0]`; empty for the whole document.
    pub(crate) place: String,
}

impl Spot {
    /// A refusal of what stands here.
    pub(crate) fn wrong(&self, reason: impl Into<String>) -> Error {
        Error::Rule { at: self.at, place: self.place.clone(), reason: reason.into() }
    }
}

/// A word of the policy, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) spot: Spot,
}

impl Word {
    pub(crate) fn wrong(&self, reason: impl Into<String>) -> Error {
        self.spot.wrong(reason)
    }
}
