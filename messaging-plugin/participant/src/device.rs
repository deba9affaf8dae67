//! The AI's device: its keys, and what it encrypts and decrypts.
//!
//! It is strict from the first day (MSC4153). It gives keys of rooms to devices that their owner has signed, and reads
//! messages of such devices alone. A person's identity is pinned when it is first seen; after another one has taken its place,
//! the person gets no key and no answer until the administrator accepts the new one.

use std::{collections::BTreeMap, sync::Arc};

use hyper::Method;
use matrix_sdk_crypto::{
    CollectStrategy, CryptoStoreError, DecryptionSettings, EncryptionSettings,
    EncryptionSyncChanges, MegolmError, OlmError, OlmMachine, TrustRequirement, UserIdentity,
    types::requests::{AnyOutgoingRequest, ToDeviceRequest},
    vodozemac::megolm::MegolmMessage,
};
use ruma::{
    OneTimeKeyAlgorithm, OwnedUserId, RoomId, TransactionId, UInt, UserId,
    api::client::{
        keys::{claim_keys, get_keys, upload_keys, upload_signatures},
        sync::sync_events::DeviceLists,
        to_device::send_event_to_device,
    },
    events::AnyToDeviceEvent,
    serde::Raw,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use telmeet_api::participant::{AcceptedIdentity, Fingerprint};
use tokio::sync::Mutex;

use crate::{
    homeserver::{CallError, Homeserver, segment},
    key_store::KeyStore,
    records::Records,
};

/// Which messages are read.
const READ: DecryptionSettings =
    DecryptionSettings { sender_device_trust_requirement: TrustRequirement::CrossSignedOrLegacy };

/// The device failed.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// telmeet failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The keys cannot be stored or read.
    #[error("the keys cannot be used")]
    Store(#[from] CryptoStoreError),
    /// Keys cannot be shared.
    #[error("the key of a room cannot be shared")]
    Share(#[from] OlmError),
    /// A message cannot be encrypted.
    #[error("a message cannot be encrypted")]
    Encrypt(#[from] MegolmError),
    /// JSON that cannot be written.
    #[error("a request cannot be written")]
    Json(#[from] serde_json::Error),
}

/// What a sync says about keys.
#[derive(Debug, Default, Deserialize)]
pub struct SyncedKeys {
    /// Messages for this device.
    #[serde(default)]
    pub to_device: ToDevice,
    /// Whose devices changed.
    #[serde(default)]
    pub device_lists: DeviceLists,
    /// One-time keys that are left.
    #[serde(default)]
    pub device_one_time_keys_count: BTreeMap<OneTimeKeyAlgorithm, UInt>,
    /// Fallback keys that were not used.
    pub device_unused_fallback_key_types: Option<Vec<OneTimeKeyAlgorithm>>,
}

/// Messages for this device.
#[derive(Debug, Default, Deserialize)]
pub struct ToDevice {
    /// In their order.
    #[serde(default)]
    pub events: Vec<Raw<AnyToDeviceEvent>>,
}

/// Which message of which session of a room an encrypted event is: no two events are the same one, unless telmeet shows one again
/// under another id. `matrix-sdk-crypto` decrypts it as often as it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageIndex {
    /// The session.
    pub session: String,
    /// The number of the message in it.
    pub index: u32,
}

impl MessageIndex {
    /// The place of an encrypted event; `None` if it has none.
    #[must_use]
    pub fn read(event: &RawValue) -> Option<Self> {
        let event: Value = serde_json::from_str(event.get()).ok()?;
        let content = &event["content"];
        let message = MegolmMessage::from_base64(content["ciphertext"].as_str()?).ok()?;
        let session = content["session_id"].as_str()?.to_owned();
        Some(Self { session, index: message.message_index() })
    }
}

/// The AI's device.
#[derive(Debug)]
pub struct Device {
    machine: OlmMachine,
    homeserver: Arc<Homeserver>,
    /// Held while a room's key is shared and a message encrypted with it.
    sending: Mutex<()>,
}

impl Device {
    /// Opens the device with this id; makes its keys if there are none.
    ///
    /// # Errors
    ///
    /// See [`DeviceError`].
    pub async fn open(
        homeserver: Arc<Homeserver>,
        records: Arc<Records>,
        user: &UserId,
        device: &ruma::DeviceId,
    ) -> Result<Self, DeviceError> {
        let machine = OlmMachine::with_store(user, device, KeyStore::new(records), None).await?;
        Ok(Self { machine, homeserver, sending: Mutex::default() })
    }

    /// Publishes the keys unless telmeet has them: at the first start, and after telmeet was restored.
    ///
    /// # Errors
    ///
    /// See [`DeviceError`].
    pub async fn publish(&self) -> Result<(), DeviceError> {
        self.flush().await?;
        let me = self.machine.user_id();
        let device_id = self.machine.device_id();
        let query = json!({ "device_keys": { me: [] } });
        let known = self.homeserver.post("/_matrix/client/v3/keys/query", query).await?;
        let ours = self.machine.get_device(me, device_id, None).await?;
        let Some(ours) = ours else { return Err(CryptoStoreError::AccountUnset.into()) };
        let ours = ours.as_device_keys();
        let own_key = self.machine.identity_keys().ed25519.to_base64();
        let device = &known["device_keys"][me.as_str()][device_id.as_str()];
        let has_device = device["keys"][format!("ed25519:{device_id}")] == own_key;
        let signatures = device["signatures"][me.as_str()].as_object();
        // Its own, and that of the identity.
        let is_signed = signatures.is_some_and(|signatures| signatures.len() > 1);
        let is_owner = self.machine.cross_signing_status().await.is_complete();
        let master = self.fingerprint().await?.map(|fingerprint| fingerprint.master_key);
        let has_master = is_owner
            && master.is_some_and(|key| {
                !known["master_keys"][me.as_str()]["keys"][format!("ed25519:{key}")].is_null()
            });
        if has_device && is_signed && has_master {
            return Ok(());
        }
        if !has_device {
            let keys = json!({ "device_keys": ours });
            self.homeserver.post("/_matrix/client/v3/keys/upload", keys).await?;
        }
        let own = self.machine.bootstrap_cross_signing(false).await?;
        if let Some(request) = &own.upload_keys_req {
            self.send(request.request_id(), request.request()).await?;
        }
        let keys = &own.upload_signing_keys_req;
        let keys = json!({
            "master_key": keys.master_key,
            "self_signing_key": keys.self_signing_key,
            "user_signing_key": keys.user_signing_key,
        });
        let path = "/_matrix/client/v3/keys/device_signing/upload";
        self.homeserver.post(path, keys).await?;
        let signatures = serde_json::to_value(&own.upload_signatures_req.signed_keys)?;
        let path = "/_matrix/client/v3/keys/signatures/upload";
        self.homeserver.post(path, signatures).await?;
        tracing::info!("the AI's keys are published");
        self.machine.update_tracked_users([me]).await?;
        self.machine.mark_all_tracked_users_as_dirty().await?;
        self.flush().await
    }

    /// How people recognise the device; `None` before its keys were published.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Store`].
    pub async fn fingerprint(&self) -> Result<Option<Fingerprint>, DeviceError> {
        let identity = self.machine.get_identity(self.machine.user_id(), None).await?;
        let Some(UserIdentity::Own(identity)) = identity else { return Ok(None) };
        let Some(master) = identity.master_key().get_first_key() else { return Ok(None) };
        Ok(Some(Fingerprint {
            user_id: self.machine.user_id().to_string(),
            device_id: self.machine.device_id().to_string(),
            device_key: self.machine.identity_keys().ed25519.to_base64(),
            master_key: master.to_base64(),
        }))
    }

    /// Takes what a sync says about keys, and sends what follows from it.
    ///
    /// # Errors
    ///
    /// See [`DeviceError`].
    pub async fn receive(&self, keys: SyncedKeys) -> Result<(), DeviceError> {
        let changes = EncryptionSyncChanges {
            to_device_events: keys.to_device.events,
            changed_devices: &keys.device_lists,
            one_time_keys_counts: &keys.device_one_time_keys_count,
            unused_fallback_keys: keys.device_unused_fallback_key_types.as_deref(),
            next_batch_token: None,
        };
        self.machine.receive_sync_changes(changes, &READ).await?;
        self.flush().await
    }

    /// Learns the devices of these people, and of their changes from now on.
    ///
    /// # Errors
    ///
    /// See [`DeviceError`].
    pub async fn follow(&self, people: &[OwnedUserId]) -> Result<(), DeviceError> {
        self.machine.update_tracked_users(people.iter().map(AsRef::as_ref)).await?;
        self.flush().await
    }

    /// Decrypts an event; `None` if its key is not there, or its sender's device is not one that the sender signed.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Store`].
    pub async fn decrypt(
        &self,
        room: &RoomId,
        event: &RawValue,
    ) -> Result<Option<Value>, DeviceError> {
        let raw = Raw::from_json(event.to_owned());
        match self.machine.decrypt_room_event(&raw, room, &READ).await {
            Ok(decrypted) => Ok(Some(serde_json::from_str(decrypted.event.json().get())?)),
            Err(MegolmError::Store(error)) => Err(error.into()),
            Err(error) => {
                tracing::debug!(%error, "a message cannot be read");
                Ok(None)
            }
        }
    }

    /// Encrypts an event for these people, after sharing the room's key with those of them who need it.
    ///
    /// # Errors
    ///
    /// See [`DeviceError`].
    pub async fn encrypt(
        &self,
        room: &RoomId,
        people: &[OwnedUserId],
        kind: &str,
        content: &Value,
    ) -> Result<Value, DeviceError> {
        let _one = self.sending.lock().await;
        self.follow(people).await?;
        let mut trusted: Vec<&UserId> = Vec::new();
        for person in people {
            if self.is_trusted(person).await? {
                trusted.push(person);
            }
        }
        if let Some((id, request)) =
            self.machine.get_missing_sessions(trusted.iter().copied()).await?
        {
            let body = json!({ "one_time_keys": request.one_time_keys });
            let path = "/_matrix/client/v3/keys/claim";
            let response: claim_keys::v3::Response =
                self.homeserver.typed(Method::POST, path, body).await?;
            self.machine.mark_request_as_sent(&id, &response).await?;
        }
        let settings = EncryptionSettings {
            sharing_strategy: CollectStrategy::IdentityBasedStrategy,
            ..EncryptionSettings::default()
        };
        let requests = self.machine.share_room_key(room, trusted.into_iter(), settings).await?;
        for request in requests {
            self.send_to_device(&request.txn_id, &request).await?;
        }
        let content = Raw::from_json(serde_json::value::to_raw_value(content)?);
        let encrypted = self.machine.encrypt_room_event_raw(room, kind, &content).await?;
        Ok(serde_json::from_str(encrypted.content.json().get())?)
    }

    /// Whether a person's identity is the one that was first seen, or none is known.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Store`].
    pub async fn is_trusted(&self, person: &UserId) -> Result<bool, DeviceError> {
        Ok(match self.machine.get_identity(person, None).await? {
            Some(UserIdentity::Other(identity)) => !identity.identity_needs_user_approval(),
            Some(UserIdentity::Own(_)) | None => true,
        })
    }

    /// Takes the identity that a person has now for the person's. `None` if none is known.
    ///
    /// # Errors
    ///
    /// See [`DeviceError`].
    pub async fn accept(&self, person: &UserId) -> Result<Option<AcceptedIdentity>, DeviceError> {
        self.follow(&[person.to_owned()]).await?;
        let identity = self.machine.get_identity(person, None).await?;
        let Some(UserIdentity::Other(identity)) = identity else { return Ok(None) };
        let Some(master) = identity.master_key().get_first_key() else { return Ok(None) };
        identity.pin_current_master_key().await?;
        Ok(Some(AcceptedIdentity { user_id: person.to_string(), master_key: master.to_base64() }))
    }

    /// Sends what the machine has to send.
    async fn flush(&self) -> Result<(), DeviceError> {
        // What follows from a response is sent, too.
        for _ in 0..4 {
            let requests = self.machine.outgoing_requests().await?;
            if requests.is_empty() {
                break;
            }
            for request in requests {
                self.send(request.request_id(), request.request()).await?;
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        id: &TransactionId,
        request: &AnyOutgoingRequest,
    ) -> Result<(), DeviceError> {
        let (post, server) = (Method::POST, &self.homeserver);
        match request {
            AnyOutgoingRequest::KeysUpload(request) => {
                let body = json!({
                    "device_keys": request.device_keys,
                    "one_time_keys": request.one_time_keys,
                    "fallback_keys": request.fallback_keys,
                });
                let path = "/_matrix/client/v3/keys/upload";
                let response: upload_keys::v3::Response = server.typed(post, path, body).await?;
                self.machine.mark_request_as_sent(id, &response).await?;
            }
            AnyOutgoingRequest::KeysQuery(request) => {
                let body = json!({ "device_keys": request.device_keys });
                let path = "/_matrix/client/v3/keys/query";
                let response: get_keys::v3::Response = server.typed(post, path, body).await?;
                self.machine.mark_request_as_sent(id, &response).await?;
            }
            AnyOutgoingRequest::KeysClaim(request) => {
                let body = json!({ "one_time_keys": request.one_time_keys });
                let path = "/_matrix/client/v3/keys/claim";
                let response: claim_keys::v3::Response = server.typed(post, path, body).await?;
                self.machine.mark_request_as_sent(id, &response).await?;
            }
            AnyOutgoingRequest::ToDeviceRequest(request) => {
                self.send_to_device(id, request).await?;
            }
            AnyOutgoingRequest::SignatureUpload(request) => {
                let body = serde_json::to_value(&request.signed_keys)?;
                let path = "/_matrix/client/v3/keys/signatures/upload";
                let response: upload_signatures::v3::Response =
                    server.typed(post, path, body).await?;
                self.machine.mark_request_as_sent(id, &response).await?;
            }
            // Verification by emoji needs a person who compares them; people compare the fingerprint instead.
            AnyOutgoingRequest::RoomMessage(_) => {}
        }
        Ok(())
    }

    async fn send_to_device(
        &self,
        id: &TransactionId,
        request: &ToDeviceRequest,
    ) -> Result<(), DeviceError> {
        let kind = segment(&request.event_type.to_string());
        let path = format!("/_matrix/client/v3/sendToDevice/{kind}/{}", segment(id.as_str()));
        let body = json!({ "messages": request.messages });
        let response: send_event_to_device::v3::Response =
            self.homeserver.typed(Method::PUT, &path, body).await?;
        Ok(self.machine.mark_request_as_sent(id, &response).await?)
    }
}
