//! Secrets that are encapsulated before there is a question: that takes longer than all else that is done here for one.
//!
//! Each is used once. Those for a node belong to its proof, and are gone with it; that for the gateway belongs to its key.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use attestation::FitToSeal;
use confidential_api::NodeId;
use confidential_envelope::{
    SealError,
    inner::Recipient,
    ohttp::{KeyConfig, Request},
};

/// For the next question.
#[derive(Default)]
pub(crate) struct Prepared {
    nodes: Mutex<Vec<(Arc<FitToSeal>, Recipient<NodeId>)>>,
    gateway: Mutex<Option<(KeyConfig, Request)>>,
}

impl Prepared {
    /// A secret for each node: what was prepared under this very proof, else a new one.
    pub(crate) fn recipients(
        &self,
        nodes: &[Arc<FitToSeal>],
    ) -> Result<Vec<Recipient<NodeId>>, SealError> {
        let prepared = |node: &Arc<FitToSeal>| {
            let mut ready = lock(&self.nodes);
            let at = ready.iter().position(|(proved, _)| Arc::ptr_eq(proved, node))?;
            Some(ready.swap_remove(at).1)
        };
        let recipient = |node| prepared(node).map_or_else(|| Recipient::new(node.as_ref()), Ok);
        nodes.iter().map(recipient).collect()
    }

    /// A request to the gateway's key: what was prepared for it, else a new one.
    pub(crate) fn request(&self, key: &KeyConfig) -> Result<Request, SealError> {
        match lock(&self.gateway).take() {
            Some((config, request)) if config == *key => Ok(request),
            Some(_) | None => Request::new(key),
        }
    }

    /// Prepares what is missing for the next question. It computes for some milliseconds.
    pub(crate) fn prepare(&self, nodes: &[Arc<FitToSeal>], key: &KeyConfig) {
        let of_key = |ready: &Option<(KeyConfig, Request)>| {
            ready.as_ref().is_some_and(|(config, _)| config == key)
        };
        let has = of_key(&lock(&self.gateway));
        if !has && let Ok(request) = Request::new(key) {
            *lock(&self.gateway) = Some((key.clone(), request));
        }
        for node in nodes {
            let is_of = |(proved, _): &(Arc<FitToSeal>, _)| Arc::ptr_eq(proved, node);
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
        // Nobody else knows the proof any more.
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
        let prepared = Prepared::default();
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
}
