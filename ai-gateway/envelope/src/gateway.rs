//! The gateway: holds the keys, opens requests, refuses replayed ones.
//!
//! ```text
//!  KeyRing::prepare ──▶ Prepared::open ──▶ KeyRing::remember
//!  finds the key,       verifies, opens:   checks for replays
//!  checks for replays   slow               again; records
//! ```
//!
//! Only the slow step does not lock the [`KeyRing`], so several requests can be opened at the same time.

use std::sync::Arc;

use ai_gateway_api::{
    memory::Memory,
    sealed::{Ed25519Public, KeyDocument, KeyId, PublishedKey, Request},
    wire::Fixed,
};
use confidential_envelope::random;
use ed25519_dalek::SigningKey;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    ID_LIFE, SKEW,
    device::{check_signature, check_time},
    document, ms, padding,
    reply::{ReplySealer, reply_keys},
    transcript::{aad, info, signed_request},
};

mod generation;
mod refusal;
mod replay;
mod settings;

use generation::{Generation, KeyPair};
pub use refusal::{OpenError, RandomError, Reason};
pub use replay::Entry;
use replay::ReplayCache;
pub use settings::{Limits, Settings};

/// An opened request.
#[derive(Debug)]
pub struct Opened {
    /// The operation; `sealed::Operation::decode` reads it.
    pub plaintext: Secret,
    /// Seals the answer.
    pub reply: ReplySealer,
    /// The key that signed it. The caller has checked that it is bound to the connection's node.
    pub device: Ed25519Public,
    /// The request's id.
    pub request_id: Uuid,
}

/// An opened plaintext: zeroized on drop, never printed.
pub struct Secret(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl std::ops::Deref for Secret {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl std::ops::DerefMut for Secret {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// The gateway's keys and its replay cache.
///
/// Every method that takes `now` (Unix milliseconds) first rotates and destroys keys and expires entries that are due.
/// Call [`Self::tick`] each minute, so that keys are destroyed in time on an idle gateway.
#[derive(Debug)]
pub struct KeyRing {
    identity: SigningKey,
    settings: Settings,
    epoch: u64,
    previous: Option<Generation>,
    current: Generation,
    next: Generation,
    replay: ReplayCache,
    /// The latest `now` so far.
    latest: u64,
}

impl KeyRing {
    /// Makes new keys. `last_epoch` is the highest epoch of an earlier ring under this identity, 0 if unknown.
    ///
    /// # Errors
    ///
    /// [`RandomError`].
    pub fn new(
        identity: SigningKey,
        settings: Settings,
        last_epoch: u64,
        now: u64,
    ) -> Result<Self, RandomError> {
        let current = Generation::new(now, &settings)?;
        let next = Generation::new(current.until, &settings)?;
        Ok(Self {
            identity,
            settings,
            epoch: last_epoch.saturating_add(1).max(now),
            previous: None,
            current,
            next,
            replay: ReplayCache::new(settings.replay),
            latest: now,
        })
    }

    /// This gateway's identity.
    #[must_use]
    pub fn identity(&self) -> Ed25519Public {
        Fixed(self.identity.verifying_key().to_bytes())
    }

    /// The epoch; store it across restarts, for [`Self::new`].
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Rotates and destroys keys that are due; returns whether the epoch changed.
    ///
    /// # Errors
    ///
    /// [`RandomError`]; the keys are unchanged.
    pub fn tick(&mut self, now: u64) -> Result<bool, RandomError> {
        let set_back = now.saturating_add(ms(SKEW)) < self.latest;
        if set_back || now >= self.next.until {
            // The clock was set back, or the machine slept longer than a key's lifetime: all keys are replaced.
            let epoch = self.epoch;
            *self = Self::new(self.identity.clone(), self.settings, epoch, now)?;
            return Ok(true);
        }
        self.latest = self.latest.max(now);
        self.replay.forget(now);
        if now >= self.next.since {
            let after = Generation::new(self.next.until, &self.settings)?;
            let current = std::mem::replace(&mut self.next, after);
            self.previous = Some(std::mem::replace(&mut self.current, current));
            self.epoch += 1;
            self.drop_expired(now);
            return Ok(true);
        }
        self.drop_expired(now);
        Ok(false)
    }

    fn drop_expired(&mut self, now: u64) {
        self.previous.take_if(|previous| now > previous.not_after);
    }

    /// The key document, signed.
    ///
    /// # Errors
    ///
    /// [`RandomError`], if a rotation was due.
    pub fn document(&mut self, now: u64) -> Result<KeyDocument, RandomError> {
        self.tick(now)?;
        let publish = |generation: &Generation| -> Vec<PublishedKey> {
            generation
                .keys
                .iter()
                .map(|key| key.config.publish(generation.since, generation.not_after))
                .collect()
        };
        Ok(document::sign(
            &self.identity,
            self.epoch,
            now,
            publish(&self.current),
            publish(&self.next),
        ))
    }

    /// Opens a request into this memory. The caller has checked that its device key is bound to the connection's node
    /// and person.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. Only a request that was opened enters the replay cache.
    pub fn open(
        &mut self,
        request: &Request,
        now: u64,
        into: impl Memory,
    ) -> Result<Opened, OpenError> {
        let (opened, entry) = self.prepare(request, now)?.open(request, into)?;
        self.remember(entry, now)?;
        Ok(opened)
    }

    /// Finds the key for a request that is recent and not in the replay cache. It changes nothing in the cache.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn prepare(&mut self, request: &Request, now: u64) -> Result<Prepared, OpenError> {
        self.tick(now)?;
        check_time(request.timestamp, now)?;
        check_request_id(request.request_id, now)?;
        let key = self.find(request.key_id, now).ok_or(Reason::UnknownKey)?;
        let key = Arc::clone(key);
        Ok(Prepared { key, entry: self.replay.check(request)? })
    }

    /// Adds an opened request to the replay cache. Read `now` again for it, because the machine may have slept since
    /// the request was prepared. Until it returns, the request must have no effect.
    ///
    /// # Errors
    ///
    /// [`Reason::Replayed`] if the same request was added since this one was prepared; [`Reason::Stale`],
    /// [`Reason::RequestId`] or [`Reason::UnknownKey`] if it has become too old, or the clock was set back, so that an
    /// earlier entry of it may have expired; [`OpenError::CacheFull`] if the cache became full.
    pub fn remember(&mut self, entry: Entry, now: u64) -> Result<(), OpenError> {
        check_time(entry.timestamp, now)?;
        check_request_id(entry.request_id, now)?;
        self.find(entry.key_id, now).ok_or(Reason::UnknownKey)?;
        self.replay.insert(entry, now)
    }

    /// The key of this id, if it is valid at `now`.
    fn find(&self, id: KeyId, now: u64) -> Option<&Arc<KeyPair>> {
        [Some(&self.current), self.previous.as_ref(), Some(&self.next)]
            .into_iter()
            .flatten()
            .filter(|generation| {
                generation.since <= now.saturating_add(ms(SKEW)) && now <= generation.not_after
            })
            .flat_map(|generation| &generation.keys)
            .find(|key| key.id == id)
    }
}

/// A request whose key is known, and that is not in the replay cache.
#[derive(Debug)]
pub struct Prepared {
    key: Arc<KeyPair>,
    entry: Entry,
}

impl Prepared {
    /// Opens the prepared request into this memory. It must have no effect before the entry was passed to
    /// [`KeyRing::remember`], because another thread may open the same request at the same time.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(self, request: &Request, _into: impl Memory) -> Result<(Opened, Entry), OpenError> {
        let Self { key, entry } = self;
        check_signature(request.device_pubkey, &signed_request(request), request.signature.0)?;
        let info = info(key.config.suite(), request.key_id);
        let aad = aad(request.request_id, request.timestamp, request.device_pubkey);
        let unsealed = key
            .private
            .open(&request.encapsulated_key.0, &info, &aad, &request.ciphertext.0)
            .map_err(|_| Reason::Unopenable)?;
        let plaintext =
            padding::unpad(unsealed.plaintext, padding::REQUEST).ok_or(Reason::Unopenable)?;
        let response_nonce = *random::bytes::<32>().map_err(RandomError::from)?;
        let reply = reply_keys(&unsealed.secret, &request.encapsulated_key.0, &response_nonce)
            .and_then(|keys| ReplySealer::new(keys, response_nonce))
            .ok_or(Reason::Unopenable)?;

        let opened = Opened {
            plaintext: Secret(plaintext),
            reply,
            device: request.device_pubkey,
            request_id: request.request_id,
        };
        Ok((opened, entry))
    }
}

/// Whether the id is a UUID version 7 of the last [`ID_LIFE`].
fn check_request_id(id: Uuid, now: u64) -> Result<(), Reason> {
    if id.get_version_num() != 7 || id.get_variant() != uuid::Variant::RFC4122 {
        return Err(Reason::RequestId);
    }
    let (head, _) = id.as_u64_pair();
    let made = head >> 16;
    if made > now.saturating_add(ms(SKEW)) || now > made.saturating_add(ms(ID_LIFE)) {
        return Err(Reason::RequestId);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
