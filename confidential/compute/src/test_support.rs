//! Test support: the client's side of one request.

use confidential_envelope::inner::{self, Candidate};

use crate::holder::Rek;

/// A candidate without attestation.
pub(crate) struct Node(inner::Rek);

impl Node {
    /// The node with this key.
    pub(crate) fn of(rek: &dyn Rek) -> Self {
        Self(inner::Rek::from_bytes(rek.kem(), &rek.public().to_bytes()).unwrap())
    }
}

impl Candidate for Node {
    type Id = u8;

    fn id(&self) -> u8 {
        1
    }

    fn rek(&self) -> &inner::Rek {
        &self.0
    }
}
