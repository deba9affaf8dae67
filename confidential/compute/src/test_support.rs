//! What the tests of this crate share: a client's half of one request.

use confidential_envelope::{
    Kem,
    inner::{Candidate, Rek},
};

/// A node as a client would know it once it has proved itself; here it has proved nothing.
pub(crate) struct Node(Rek);

impl Node {
    /// The node with this key, as evidence names it.
    pub(crate) fn of(key_config: &[u8]) -> Self {
        Self(Rek::from_bytes(Kem::XWing, &key_config[6..]).unwrap())
    }
}

impl Candidate for Node {
    type Id = u8;

    fn id(&self) -> u8 {
        1
    }

    fn rek(&self) -> &Rek {
        &self.0
    }
}
