//! The store of the encryption library, on [`Records`].
//!
//! Everything is read from disk when it is asked for: a household has few devices, and what other people can make grow
//! (sessions, message hashes) then takes no memory. Nothing is kept of features that the participant does not use: backups of
//! keys, forwarded keys, dehydrated devices, secrets of other devices, histories of rooms.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use matrix_sdk_crypto::{
    Account, DeviceData, GossipRequest, SecretInfo, Session, TrackedUser, UserIdentityData,
    olm::{
        Curve25519PublicKey, InboundGroupSession, OlmMessageHash, OutboundGroupSession,
        PickledAccount, PickledCrossSigningIdentity, PickledInboundGroupSession,
        PickledOutboundGroupSession, PickledSession, PrivateCrossSigningIdentity, SenderDataType,
        StaticAccountData,
    },
    store::{
        CryptoStore, CryptoStoreError,
        types::{
            BackupKeys, Changes, DehydratedDeviceKey, PendingChanges, RoomKeyCounts,
            RoomKeyWithheldEntry, RoomPendingKeyBundleDetails, RoomSettings,
            StoredRoomKeyBundleData,
        },
    },
};
use ruma::{
    DeviceId, OwnedDeviceId, RoomId, TransactionId, UserId, events::secret::request::SecretName,
};
use zeroize::Zeroizing;

use crate::records::{Kind, RecordError, Records};

const ACCOUNT: Kind = Kind::new("account");
const IDENTITY: Kind = Kind::new("private_identity");
/// Of each device: Olm sessions. A device needs one; more are made when both sides begin at once, or a key is lost.
const SESSION: Kind = Kind::new("session").at_most(16);
/// Of each device: keys with which it encrypted messages.
const INBOUND: Kind = Kind::new("inbound_group_session").at_most(256);
const OUTBOUND: Kind = Kind::new("outbound_group_session").at_most(1024);
/// Of each device: messages that were decrypted.
const MESSAGE: Kind = Kind::new("message_hash").at_most(256);
/// Of each person.
const DEVICE: Kind = Kind::new("device").at_most(256);
const PERSON: Kind = Kind::new("identity");
const TRACKED: Kind = Kind::new("tracked_user");
const CUSTOM: Kind = Kind::new("custom");

/// What only this program stores has one owner.
const OWN: &str = "";

type Result<T> = std::result::Result<T, RecordError>;

/// The keys, on disk.
#[derive(Debug)]
pub struct KeyStore {
    records: Arc<Records>,
    /// The device's public keys, once they are known.
    account: Mutex<Option<StaticAccountData>>,
}

impl From<RecordError> for CryptoStoreError {
    fn from(error: RecordError) -> Self {
        Self::Backend(Box::new(error))
    }
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> RecordError {
    RecordError::Key(Box::new(error))
}

impl KeyStore {
    /// The keys in these records.
    #[must_use]
    pub fn new(records: Arc<Records>) -> Self {
        Self { records, account: Mutex::new(None) }
    }

    fn account(&self) -> Result<StaticAccountData> {
        let account = self.account.lock().unwrap_or_else(PoisonError::into_inner).clone();
        account.ok_or(RecordError::NoAccount)
    }

    fn know(&self, account: &Account) {
        let mut known = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(account.static_data().clone());
    }

    async fn inbound(&self, owner: Option<&str>) -> Result<Vec<InboundGroupSession>> {
        let pickles: Vec<PickledInboundGroupSession> = self.records.all(INBOUND, owner).await?;
        let open = |pickle| InboundGroupSession::from_pickle(pickle).map_err(damaged);
        pickles.into_iter().map(open).collect()
    }

    async fn device(&self, user: &UserId, device: &DeviceId) -> Result<Option<DeviceData>> {
        self.records.get(DEVICE, &[user.as_str(), device.as_str()]).await
    }

    async fn save(&self, changes: Changes) -> Result<()> {
        let mut batch = self.records.batch();
        if let Some(identity) = changes.private_identity {
            batch.put(IDENTITY, &[], OWN, &identity.pickle().await)?;
        }
        for session in changes.sessions {
            let owner = session.sender_key().to_base64();
            let pickle = session.pickle().await;
            batch.put(SESSION, &[&owner, session.session_id()], &owner, &pickle)?;
        }
        for session in changes.inbound_group_sessions {
            let (room, id) = (session.room_id().to_owned(), session.session_id().to_owned());
            let (owner, pickle) = (session.sender_key().to_base64(), session.pickle().await);
            batch.put(INBOUND, &[room.as_str(), &id], &owner, &pickle)?;
        }
        for session in changes.outbound_group_sessions {
            let pickle = session.pickle().await;
            batch.put(OUTBOUND, &[session.room_id().as_str()], OWN, &pickle)?;
        }
        for OlmMessageHash { sender_key, hash } in changes.message_hashes {
            batch.put(MESSAGE, &[&sender_key, &hash], &sender_key, &())?;
        }
        for device in changes.devices.new.into_iter().chain(changes.devices.changed) {
            let (user, id) = (device.user_id().to_owned(), device.device_id().to_owned());
            batch.put(DEVICE, &[user.as_str(), id.as_str()], user.as_str(), &device)?;
        }
        for device in changes.devices.deleted {
            batch.remove(DEVICE, &[device.user_id().as_str(), device.device_id().as_str()]);
        }
        for identity in changes.identities.new.into_iter().chain(changes.identities.changed) {
            batch.put(PERSON, &[identity.user_id().as_str()], OWN, &identity)?;
        }
        batch.commit().await
    }
}

#[async_trait]
impl CryptoStore for KeyStore {
    type Error = RecordError;

    async fn load_account(&self) -> Result<Option<Account>> {
        let pickle: Option<PickledAccount> = self.records.get(ACCOUNT, &[]).await?;
        let account = pickle.map(Account::from_pickle).transpose().map_err(damaged)?;
        account.iter().for_each(|account| self.know(account));
        Ok(account)
    }

    async fn load_identity(&self) -> Result<Option<PrivateCrossSigningIdentity>> {
        let pickle: Option<PickledCrossSigningIdentity> = self.records.get(IDENTITY, &[]).await?;
        pickle.map(PrivateCrossSigningIdentity::from_pickle).transpose().map_err(damaged)
    }

    async fn save_changes(&self, changes: Changes) -> Result<()> {
        self.save(changes).await
    }

    async fn save_pending_changes(&self, changes: PendingChanges) -> Result<()> {
        let Some(account) = changes.account else { return Ok(()) };
        self.know(&account);
        self.records.batch().put(ACCOUNT, &[], OWN, &account.pickle())?.commit().await
    }

    async fn save_inbound_group_sessions(
        &self,
        sessions: Vec<InboundGroupSession>,
        _backed_up_to_version: Option<&str>,
    ) -> Result<()> {
        self.save(Changes { inbound_group_sessions: sessions, ..Changes::default() }).await
    }

    async fn get_sessions(&self, sender_key: &str) -> Result<Option<Vec<Session>>> {
        let pickles: Vec<PickledSession> = self.records.all(SESSION, Some(sender_key)).await?;
        if pickles.is_empty() {
            return Ok(None);
        }
        let keys = self.get_own_device().await?.as_device_keys().clone();
        let open = |pickle| Session::from_pickle(keys.clone(), pickle).map_err(damaged);
        pickles.into_iter().map(open).collect::<Result<_>>().map(Some)
    }

    async fn get_inbound_group_session(
        &self,
        room_id: &RoomId,
        session_id: &str,
    ) -> Result<Option<InboundGroupSession>> {
        let id = [room_id.as_str(), session_id];
        let pickle: Option<PickledInboundGroupSession> = self.records.get(INBOUND, &id).await?;
        pickle.map(InboundGroupSession::from_pickle).transpose().map_err(damaged)
    }

    async fn get_withheld_info(
        &self,
        _room_id: &RoomId,
        _session_id: &str,
    ) -> Result<Option<RoomKeyWithheldEntry>> {
        Ok(None)
    }

    async fn get_withheld_sessions_by_room_id(
        &self,
        _room_id: &RoomId,
    ) -> Result<Vec<RoomKeyWithheldEntry>> {
        Ok(Vec::new())
    }

    async fn get_inbound_group_sessions(&self) -> Result<Vec<InboundGroupSession>> {
        self.inbound(None).await
    }

    async fn inbound_group_session_counts(
        &self,
        _backup_version: Option<&str>,
    ) -> Result<RoomKeyCounts> {
        Ok(RoomKeyCounts { total: self.inbound(None).await?.len(), backed_up: 0 })
    }

    async fn get_inbound_group_sessions_by_room_id(
        &self,
        room_id: &RoomId,
    ) -> Result<Vec<InboundGroupSession>> {
        let mut sessions = self.inbound(None).await?;
        sessions.retain(|session| session.room_id() == room_id);
        Ok(sessions)
    }

    async fn get_inbound_group_sessions_for_device_batch(
        &self,
        curve_key: Curve25519PublicKey,
        sender_data_type: SenderDataType,
        after_session_id: Option<String>,
        limit: usize,
    ) -> Result<Vec<InboundGroupSession>> {
        let mut sessions = self.inbound(Some(&curve_key.to_base64())).await?;
        sessions.retain(|session| {
            let is_later = after_session_id.as_deref().is_none_or(|id| session.session_id() > id);
            is_later && session.sender_data_type() == sender_data_type
        });
        sessions.sort_by(|one, other| one.session_id().cmp(other.session_id()));
        sessions.truncate(limit);
        Ok(sessions)
    }

    async fn inbound_group_sessions_for_backup(
        &self,
        _backup_version: &str,
        _limit: usize,
    ) -> Result<Vec<InboundGroupSession>> {
        Ok(Vec::new())
    }

    async fn mark_inbound_group_sessions_as_backed_up(
        &self,
        _backup_version: &str,
        _room_and_session_ids: &[(&RoomId, &str)],
    ) -> Result<()> {
        Ok(())
    }

    async fn reset_backup_state(&self) -> Result<()> {
        Ok(())
    }

    async fn load_backup_keys(&self) -> Result<BackupKeys> {
        Ok(BackupKeys::default())
    }

    async fn load_dehydrated_device_pickle_key(&self) -> Result<Option<DehydratedDeviceKey>> {
        Ok(None)
    }

    async fn delete_dehydrated_device_pickle_key(&self) -> Result<()> {
        Ok(())
    }

    async fn get_outbound_group_session(
        &self,
        room_id: &RoomId,
    ) -> Result<Option<OutboundGroupSession>> {
        let id = [room_id.as_str()];
        let pickle: Option<PickledOutboundGroupSession> = self.records.get(OUTBOUND, &id).await?;
        let Some(pickle) = pickle else { return Ok(None) };
        let StaticAccountData { device_id, identity_keys, .. } = self.account()?;
        let session = OutboundGroupSession::from_pickle(device_id, identity_keys, pickle);
        session.map(Some).map_err(damaged)
    }

    async fn load_tracked_users(&self) -> Result<Vec<TrackedUser>> {
        self.records.all(TRACKED, None).await
    }

    async fn save_tracked_users(&self, users: &[(&UserId, bool)]) -> Result<()> {
        let mut batch = self.records.batch();
        for &(user, dirty) in users {
            let tracked = TrackedUser { user_id: user.to_owned(), dirty };
            batch.put(TRACKED, &[user.as_str()], OWN, &tracked)?;
        }
        batch.commit().await
    }

    async fn get_device(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
    ) -> Result<Option<DeviceData>> {
        self.device(user_id, device_id).await
    }

    async fn get_user_devices(
        &self,
        user_id: &UserId,
    ) -> Result<HashMap<OwnedDeviceId, DeviceData>> {
        let devices: Vec<DeviceData> = self.records.all(DEVICE, Some(user_id.as_str())).await?;
        Ok(devices.into_iter().map(|device| (device.device_id().to_owned(), device)).collect())
    }

    async fn get_own_device(&self) -> Result<DeviceData> {
        let StaticAccountData { user_id, device_id, .. } = self.account()?;
        self.device(&user_id, &device_id).await?.ok_or(RecordError::NoAccount)
    }

    async fn get_user_identity(&self, user_id: &UserId) -> Result<Option<UserIdentityData>> {
        self.records.get(PERSON, &[user_id.as_str()]).await
    }

    async fn is_message_known(&self, message: &OlmMessageHash) -> Result<bool> {
        let known: Option<()> =
            self.records.get(MESSAGE, &[&message.sender_key, &message.hash]).await?;
        Ok(known.is_some())
    }

    async fn get_outgoing_secret_requests(
        &self,
        _request_id: &TransactionId,
    ) -> Result<Option<GossipRequest>> {
        Ok(None)
    }

    async fn get_secret_request_by_info(
        &self,
        _secret_info: &SecretInfo,
    ) -> Result<Option<GossipRequest>> {
        Ok(None)
    }

    async fn get_unsent_secret_requests(&self) -> Result<Vec<GossipRequest>> {
        Ok(Vec::new())
    }

    async fn delete_outgoing_secret_requests(&self, _request_id: &TransactionId) -> Result<()> {
        Ok(())
    }

    async fn get_secrets_from_inbox(
        &self,
        _secret_name: &SecretName,
    ) -> Result<Vec<Zeroizing<String>>> {
        Ok(Vec::new())
    }

    async fn delete_secrets_from_inbox(&self, _secret_name: &SecretName) -> Result<()> {
        Ok(())
    }

    async fn get_room_settings(&self, _room_id: &RoomId) -> Result<Option<RoomSettings>> {
        Ok(None)
    }

    async fn get_received_room_key_bundle_data(
        &self,
        _room_id: &RoomId,
        _user_id: &UserId,
    ) -> Result<Option<StoredRoomKeyBundleData>> {
        Ok(None)
    }

    async fn get_pending_key_bundle_details_for_room(
        &self,
        _room_id: &RoomId,
    ) -> Result<Option<RoomPendingKeyBundleDetails>> {
        Ok(None)
    }

    async fn get_all_rooms_pending_key_bundles(&self) -> Result<Vec<RoomPendingKeyBundleDetails>> {
        Ok(Vec::new())
    }

    async fn has_downloaded_all_room_keys(&self, _room_id: &RoomId) -> Result<bool> {
        Ok(false)
    }

    async fn get_custom_value(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.records.get(CUSTOM, &[key]).await
    }

    async fn set_custom_value(&self, key: &str, value: Vec<u8>) -> Result<()> {
        self.records.batch().put(CUSTOM, &[key], OWN, &value)?.commit().await
    }

    async fn remove_custom_value(&self, key: &str) -> Result<()> {
        self.records.batch().remove(CUSTOM, &[key]).commit().await
    }

    /// The database is locked for this process.
    async fn try_take_leased_lock(
        &self,
        _lease_duration_ms: u32,
        _key: &str,
        _holder: &str,
    ) -> Result<Option<u64>> {
        Ok(Some(1))
    }

    async fn next_batch_token(&self) -> Result<Option<String>> {
        Ok(None)
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    async fn reopen(&self) -> Result<()> {
        Ok(())
    }

    async fn get_size(&self) -> Result<Option<usize>> {
        Ok(None)
    }
}
