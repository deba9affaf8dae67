//! What the tests of this crate share: a client's half of one request.

use confidential_envelope::inner::{self, Candidate};

use crate::holder::Rek;

/// A node as a client would know it once it has proved itself; here it has proved nothing.
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
