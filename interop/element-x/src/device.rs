//! A device of a person: sign-in, syncs, keys.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use matrix_sdk::{
    Client, Room, RoomState, ThreadingSupport,
    config::RequestConfig,
    encryption::{
        BackupDownloadStrategy, EncryptionSettings, VerificationState,
        recovery::RecoveryState,
        verification::{SasState, SasVerification, VerificationRequestState},
    },
    ruma::RoomId,
    sliding_sync::VersionBuilder,
};
use matrix_sdk_ui::{room_list_service, sync_service::SyncService};
use reqwest::Certificate;
use tempfile::TempDir;

use crate::walk::{Walk, until};

/// Longest time of one request.
const REQUEST: Duration = Duration::from_secs(30);

/// A device that found the homeserver.
pub(crate) struct Found {
    pub(crate) client: Client,
    store: TempDir,
}

/// A device whose syncs run.
pub(crate) struct Device {
    pub(crate) client: Client,
    pub(crate) sync: Arc<SyncService>,
    _store: TempDir,
}

impl Found {
    /// Finds the homeserver as the app does when a person types its name.
    pub(crate) async fn homeserver(walk: &Walk) -> Result<Self> {
        Self::at(&walk.url, Vec::new()).await
    }

    /// The same at this address, with these authorities besides those of the system.
    pub(crate) async fn at(url: &str, roots: Vec<Certificate>) -> Result<Self> {
        let store = tempfile::tempdir()?;
        let client = Client::builder()
            .server_name_or_homeserver_url(url)
            .add_root_certificates(roots)
            .sqlite_store(store.path(), None)
            .sliding_sync_version_builder(VersionBuilder::DiscoverNative)
            .handle_refresh_tokens()
            .with_threading_support(ThreadingSupport::Disabled)
            .with_enable_share_history_on_invite(true)
            .with_encryption_settings(EncryptionSettings {
                auto_enable_cross_signing: true,
                auto_enable_backups: true,
                backup_download_strategy: BackupDownloadStrategy::AfterDecryptionFailure,
            })
            .request_config(RequestConfig::new().timeout(REQUEST).retry_limit(3))
            .build()
            .await?;
        Ok(Self { client, store })
    }

    /// Signs in with a password that works once, and starts the syncs of rooms and of keys.
    pub(crate) async fn sign_in(self, walk: &Walk, password: &str) -> Result<Device> {
        let login = self.client.matrix_auth().login_username(&walk.user, password);
        login.initial_device_display_name("Element X").send().await.context("login")?;
        self.start(walk).await
    }

    /// Starts the syncs of an app that has signed in.
    pub(crate) async fn start(self, walk: &Walk) -> Result<Device> {
        let Self { client, store } = self;
        ensure!(client.user_id().is_some_and(|user| user.as_str() == walk.user), "another user");
        let sync = SyncService::builder(client.clone()).with_offline_mode().with_share_pos(true);
        let sync = Arc::new(sync.build().await?);
        sync.start().await;
        let rooms = sync.room_list_service().state();
        until("the list of rooms", async || {
            (rooms.get() == room_list_service::State::Running).then_some(())
        })
        .await?;
        client.encryption().wait_for_e2ee_initialization_tasks().await;
        Ok(Device { client, sync, _store: store })
    }
}

impl Device {
    /// Another device of the same person.
    pub(crate) async fn another(walk: &Walk) -> Result<Self> {
        let password = walk.another_password().await?;
        Found::homeserver(walk).await?.sign_in(walk, &password).await
    }

    /// A room, once the person is there as `state` says.
    pub(crate) async fn room(&self, id: &RoomId, state: RoomState) -> Result<Room> {
        until(&format!("the room as {state:?}"), async || {
            self.client.get_room(id).filter(|room| room.state() == state)
        })
        .await
    }

    /// Makes this device trusted by a recovery key.
    pub(crate) async fn recover(&self, key: &str) -> Result<()> {
        self.client.encryption().recovery().recover(key).await?;
        self.is_trusted().await
    }

    /// Makes this device trusted by another of the same person, with emoji that both show.
    pub(crate) async fn verify_with(&self, trusted: &Self) -> Result<()> {
        let user = self.client.user_id().context("not signed in")?;
        let (new, old) = (self.client.encryption(), trusted.client.encryption());
        let identity = new.request_user_identity(user).await?.context("no identity")?;
        let asked = identity.request_verification().await?;
        let flow = asked.flow_id().to_owned();
        let request =
            until("the request", async || old.get_verification_request(user, &flow).await).await?;
        request.accept().await?;
        until("the other's consent", async || {
            matches!(asked.state(), VerificationRequestState::Ready { .. }).then_some(())
        })
        .await?;
        let own = asked.start_sas().await?.context("no emoji here")?;
        let other = until("the start", async || {
            old.get_verification(user, &flow).await.and_then(|verification| verification.sas())
        })
        .await?;
        other.accept().await?;
        until("emoji", async || {
            (symbols(&own).is_some() && symbols(&other).is_some()).then_some(())
        })
        .await?;
        ensure!(symbols(&own) == symbols(&other), "other emoji");
        own.confirm().await?;
        other.confirm().await?;
        until("the end", async || matches!(own.state(), SasState::Done { .. }).then_some(()))
            .await?;
        self.is_trusted().await
    }

    /// Waits until this device is verified and has the secrets of its person.
    async fn is_trusted(&self) -> Result<()> {
        let encryption = self.client.encryption();
        until("trust", async || {
            let verified = encryption.verification_state().get() == VerificationState::Verified;
            let recovered = encryption.recovery().state() == RecoveryState::Enabled;
            (verified && recovered).then_some(())
        })
        .await
    }

    /// Signs out.
    pub(crate) async fn sign_out(self) -> Result<()> {
        self.sync.stop().await;
        self.client.logout().await?;
        Ok(())
    }
}

fn symbols(sas: &SasVerification) -> Option<[&'static str; 7]> {
    sas.emoji().map(|emoji| emoji.map(|one| one.symbol))
}
