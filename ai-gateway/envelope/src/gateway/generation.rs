//! One generation of keys: one key per suite, with their validity.

use std::sync::Arc;

use ai_gateway_api::sealed::KeyId;
use confidential_envelope::random;

use super::{
    refusal::RandomError,
    settings::{SUITES, Settings},
};
use crate::{KeyConfig, suite::PrivateKey};

/// A key of the gateway.
#[derive(Debug)]
pub(super) struct KeyPair {
    pub(super) id: KeyId,
    pub(super) config: KeyConfig,
    pub(super) private: PrivateKey,
}

/// Keys that become current together and are destroyed together.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) keys: Vec<Arc<KeyPair>>,
    /// When it becomes current.
    pub(super) since: u64,
    /// When the next generation becomes current.
    pub(super) until: u64,
    /// When it stops opening requests.
    pub(super) not_after: u64,
}

impl Generation {
    /// Makes keys that are current from `since`.
    pub(super) fn new(since: u64, settings: &Settings) -> Result<Self, RandomError> {
        let mut keys = Vec::with_capacity(SUITES.len());
        for suite in SUITES {
            let (private, config) = PrivateKey::derive(suite, &random::bytes()?);
            keys.push(Arc::new(KeyPair { id: config.id(), config, private }));
        }
        let until = since.saturating_add(settings.lifetime_ms);
        Ok(Self { keys, since, until, not_after: until.saturating_add(settings.overlap_ms) })
    }
}
