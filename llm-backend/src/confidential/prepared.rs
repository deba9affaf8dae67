//! Encapsulates secrets before there is a request, because that takes longer than the rest of sealing.
//!
//! Each is used once. A node's secret belongs to its verification and is dropped with it; the gateway's belongs to its
//! key.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use attestation::VerifiedNode;
use confidential_envelope::{
    SealError,
    inner::{Candidate, Recipient},
    ohttp::{KeyConfig, Request},
};

/// Secrets for the next request.
pub(crate) struct PreparedSecrets<C: Candidate = VerifiedNode> {
    nodes: Mutex<Vec<NodeSecret<C>>>,
    gateway: Mutex<Option<(KeyConfig, Request)>>,
}

/// A verified node, and a secret for its key.
type NodeSecret<C> = (Arc<C>, Recipient<<C as Candidate>::Id>);

impl<C: Candidate> Default for PreparedSecrets<C> {
    fn default() -> Self {
        Self { nodes: Mutex::default(), gateway: Mutex::default() }
    }
}

impl<C: Candidate> PreparedSecrets<C> {
    /// A secret for each node: the one prepared for this verification, or a new one.
    pub(crate) fn recipients(&self, nodes: &[Arc<C>]) -> Result<Vec<Recipient<C::Id>>, SealError> {
        let prepared = |node: &Arc<C>| {
            let mut ready = lock(&self.nodes);
            let at = ready.iter().position(|(proved, _)| Arc::ptr_eq(proved, node))?;
            Some(ready.swap_remove(at).1)
        };
        let recipient =
            |node: &Arc<C>| prepared(node).map_or_else(|| Recipient::new(node.as_ref()), Ok);
        nodes.iter().map(recipient).collect()
    }

    /// A request to the gateway's key: the prepared one, or a new one.
    pub(crate) fn request(&self, key: &KeyConfig) -> Result<Request, SealError> {
        // The lock is released before a new one is made.
        let ready = lock(&self.gateway).take();
        match ready {
            Some((config, request)) if config == *key => Ok(request),
            Some(_) | None => Request::new(key),
        }
    }

    /// Prepares the missing secrets for the next request, which takes some milliseconds.
    pub(crate) fn prepare(&self, nodes: &[Arc<C>], key: &KeyConfig) {
        let of_key = |ready: &Option<(KeyConfig, Request)>| {
            ready.as_ref().is_some_and(|(config, _)| config == key)
        };
        let has = of_key(&lock(&self.gateway));
        if !has && let Ok(request) = Request::new(key) {
            *lock(&self.gateway) = Some((key.clone(), request));
        }
        for node in nodes {
            let is_of = |(proved, _): &NodeSecret<C>| Arc::ptr_eq(proved, node);
            let has = lock(&self.nodes).iter().any(is_of);
            if has {
                continue;
            }
            let Ok(recipient) = Recipient::new(node.as_ref()) else { return };
            let mut ready = lock(&self.nodes);
            if !ready.iter().any(is_of) {
                ready.push((Arc::clone(node), recipient));
            }
        }
    }

    /// Drops secrets of verifications that are no longer used elsewhere.
    pub(crate) fn tidy(&self) {
        lock(&self.nodes).retain(|(proved, _)| Arc::strong_count(proved) > 1);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use confidential_envelope::{
        Aead, Kem, Plaintext, PrivateKey,
        inner::{Rek, open, seal},
        ohttp::{self, GatewayKey},
    };

    use super::*;

    fn key(id: u8) -> Arc<GatewayKey> {
        let private = PrivateKey::generate(Kem::X25519).unwrap();
        Arc::new(GatewayKey::new(id, private, vec![Aead::Aes128Gcm]).unwrap())
    }

    #[test]
    fn what_was_prepared_serves_its_own_key_and_once() {
        let (key, other) = (key(1), key(2));
        let prepared = PreparedSecrets::<Node>::default();
        let seal = |key: &Arc<GatewayKey>| {
            let question = Plaintext::from(b"question".to_vec());
            let (sealed, _) = prepared.request(key.config()).unwrap().seal(&question).unwrap();
            assert!(ohttp::open(&[Arc::clone(key)], &sealed).is_ok());
            sealed
        };

        prepared.prepare(&[], key.config());
        assert!(lock(&prepared.gateway).is_some());
        let first = seal(&key);
        assert!(lock(&prepared.gateway).is_none());
        assert_ne!(seal(&key), first);

        // The gateway's key was exchanged meanwhile.
        prepared.prepare(&[], key.config());
        seal(&other);
        prepared.prepare(&[], other.config());
        seal(&other);
    }

    /// A node under its name, with the key that it has now.
    struct Node(u8, PrivateKey, Rek);

    impl Candidate for Node {
        type Id = u8;

        fn id(&self) -> u8 {
            self.0
        }

        fn rek(&self) -> &Rek {
            &self.2
        }
    }

    fn node(id: u8) -> Arc<Node> {
        let private = PrivateKey::generate(Kem::XWing).unwrap();
        let public = Rek::from_bytes(Kem::XWing, &private.public().to_bytes()).unwrap();
        Arc::new(Node(id, private, public))
    }

    #[test]
    fn what_was_prepared_for_a_node_serves_its_own_proof_and_once() {
        let (key, before, after) = (key(1), node(1), node(1));
        let prepared = PreparedSecrets::default();
        let opens = |node: &Arc<Node>| {
            let recipients = prepared.recipients(std::slice::from_ref(node)).unwrap();
            let sealed = seal(recipients, &Plaintext::from(b"question".to_vec())).unwrap();
            assert!(open(&sealed.keys[0].bytes, &sealed.body, &node.1).is_ok());
            sealed.keys[0].bytes.clone()
        };

        // The node has another key by now, and proved itself anew.
        prepared.prepare(&[Arc::clone(&before)], key.config());
        opens(&after);
        prepared.prepare(&[Arc::clone(&before)], key.config());
        assert_ne!(opens(&before), opens(&before));
    }

    #[test]
    fn what_was_prepared_is_thrown_away_with_the_proof() {
        let (key, kept, gone) = (key(1), node(1), node(2));
        let prepared = PreparedSecrets::default();
        prepared.prepare(&[Arc::clone(&kept), Arc::clone(&gone)], key.config());
        drop(gone);
        prepared.tidy();
        let left: Vec<_> = lock(&prepared.nodes).iter().map(|(node, _)| node.id()).collect();
        assert_eq!(left, [kept.id()]);
    }
}
