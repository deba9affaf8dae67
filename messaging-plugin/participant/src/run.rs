//! Runs the participant: its records, its sign-in, and what it serves to root.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Json,
    extract::{Path as UrlPath, State},
    http::StatusCode,
};
use chassis::{
    endpoint::{self, Served},
    notify,
    problem::ErrorResponse,
    process,
    secret::{self, SecretError},
    signal::Termination,
    superuser,
    unix::{Access, BindError, Connector, Socket},
};
use ruma::UserId;
use services::{PARTICIPANT, PARTICIPANT_ADMIN, PARTICIPANT_KEY, PARTICIPANT_STATE, ROOMS_LINK};
use store::{LockError, seal::SealError};
use telmeet_api::participant::{ACCEPT, AcceptedIdentity, FINGERPRINT, Fingerprint, HEALTHZ};
use tokio::time::{interval, sleep};

use crate::{
    device::{Device, DeviceError},
    gateway::Gateway,
    homeserver::{Homeserver, SignedIn},
    ledger::Ledger,
    participant::{Error, Participant},
    records::{OpenRecords, RecordError, Records},
};

/// How often the gateway's settings are read.
const SETTINGS: Duration = Duration::from_secs(60);
/// First wait after a failure; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Letters of device ids.
const LETTERS: &[u8; 26] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Why the participant stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The root is not safe.
    #[error(transparent)]
    Root(#[from] chassis::root::UnsafeRoot),
    /// Core dumps cannot be disabled.
    #[error("cannot disable core dumps")]
    Dumps(#[source] io::Error),
    /// Signals cannot be watched.
    #[error("cannot watch for signals")]
    Signals(#[source] io::Error),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] SecretError),
    /// The folder of the records cannot be made.
    #[error("cannot make the folder of the records")]
    Folder(#[source] io::Error),
    /// The records cannot be opened.
    #[error(transparent)]
    Records(#[from] OpenRecords),
    /// Another participant took the records.
    #[error(transparent)]
    Lost(#[from] LockError),
    /// The socket cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// What root is told, once it is known.
type SharedParticipant = Arc<OnceLock<Arc<Participant>>>;

/// Runs the participant below `root` until it is asked to stop.
///
/// # Errors
///
/// See [`RunError`].
pub async fn run(root: &Path) -> Result<(), RunError> {
    chassis::root::check(root)?;
    process::forbid_dumps().map_err(|error| RunError::Dumps(error.into()))?;
    let key = secret::load(&root.join(PARTICIPANT_KEY).join("key"))?;
    let state = root.join(PARTICIPANT_STATE);
    fs::create_dir_all(&state).map_err(RunError::Folder)?;
    let (records, mut lock) = Records::open(&state.join("db.sqlite"), &key).await?;
    let records = Arc::new(records);
    let socket = Socket::bind(&PARTICIPANT_ADMIN.path(root), Access::Group)?;
    let mut termination = Termination::watch().map_err(RunError::Signals)?;
    let known = SharedParticipant::default();
    let home = Home {
        homeserver: Arc::new(Homeserver::new(
            Connector::new(root, Path::new(ROOMS_LINK.socket)),
            services::ROOMS,
        )),
        gateway: Gateway::new(Connector::new(root, Path::new(PARTICIPANT.socket))),
        records: Arc::clone(&records),
        known: Arc::clone(&known),
    };
    notify::ready();
    tracing::info!("the participant runs");
    let stopped = tokio::select! {
        () = termination.asked() => Ok(()),
        lost = lock.lost() => Err(lost),
        () = superuser::serve(socket, router(known), std::future::pending()) => Ok(()),
        never = home.stay() => match never {},
    };
    records.close().await;
    tracing::info!("stopped");
    Ok(stopped?)
}

/// The endpoints that the participant serves to root.
#[must_use]
pub fn endpoints() -> Vec<endpoint::Declaration> {
    endpoint::list(&served())
}

fn served() -> Vec<Served<SharedParticipant>> {
    vec![
        endpoint::serve(&HEALTHZ, async || "ok"),
        endpoint::serve(&FINGERPRINT, fingerprint),
        endpoint::serve(&ACCEPT, accept),
    ]
}

fn router(known: SharedParticipant) -> axum::Router {
    endpoint::router(served()).with_state(known)
}

async fn fingerprint(
    State(known): State<SharedParticipant>,
) -> Result<Json<Fingerprint>, ErrorResponse> {
    let fingerprint = participant(&known)?.device.fingerprint().await;
    fingerprint.map_err(|error| failed(&error))?.map(Json).ok_or_else(not_yet)
}

/// For root, who has asked the person.
async fn accept(
    State(known): State<SharedParticipant>,
    UrlPath(user): UrlPath<String>,
) -> Result<Json<AcceptedIdentity>, ErrorResponse> {
    let nobody = || {
        let title = "no identity of this person is known";
        ErrorResponse::new(StatusCode::NOT_FOUND, "not-found", title)
            .detail("Name the person by the whole id, such as @kim:maru.home.arpa.")
    };
    let user = UserId::parse(user).map_err(|_| nobody())?;
    let accepted = participant(&known)?.device.accept(&user).await;
    accepted.map_err(|error| failed(&error))?.map(Json).ok_or_else(nobody)
}

fn participant(known: &SharedParticipant) -> Result<&Arc<Participant>, ErrorResponse> {
    known.get().ok_or_else(not_yet)
}

fn not_yet() -> ErrorResponse {
    let title = "the AI has not signed in yet";
    ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, "busy", title).retry_after(2)
}

fn failed(error: &DeviceError) -> ErrorResponse {
    tracing::warn!(error = error as &dyn std::error::Error, "a request of root failed");
    let title = "the participant failed; its log says why";
    ErrorResponse::new(StatusCode::BAD_GATEWAY, "store", title)
}

/// What the participant needs to be a member.
struct Home {
    homeserver: Arc<Homeserver>,
    gateway: Gateway,
    records: Arc<Records>,
    known: SharedParticipant,
}

impl Home {
    /// Is a member for as long as it runs; begins again after each failure.
    async fn stay(&self) -> std::convert::Infallible {
        let mut participant = None;
        let mut wait = RETRY_MIN;
        loop {
            let began = tokio::time::Instant::now();
            let error = match self.live(&mut participant).await {
                Ok(never) => match never {},
                Err(error) => error,
            };
            if began.elapsed() > RETRY_MAX {
                wait = RETRY_MIN;
            }
            tracing::warn!(error = &error as &dyn std::error::Error, "rooms: tried again later");
            sleep(wait).await;
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    /// Signs in, and follows the rooms until something fails. Replies in progress go on meanwhile.
    async fn live(
        &self,
        participant: &mut Option<Arc<Participant>>,
    ) -> Result<std::convert::Infallible, Error> {
        let signed_in = self.sign_in().await?;
        let (participant, is_new) = match participant {
            Some(participant) => (participant, false),
            None => (participant.insert(self.open(&signed_in).await?), true),
        };
        participant.device.publish().await?;
        self.known.get_or_init(|| Arc::clone(participant));
        participant.refresh_settings().await;
        if is_new {
            participant.close_open_replies().await?;
        }
        tracing::info!("the AI is in its rooms");
        let settings = async {
            let mut minutes = interval(SETTINGS);
            loop {
                minutes.tick().await;
                participant.refresh_settings().await;
            }
        };
        tokio::select! {
            ended = participant.follow() => ended,
            never = settings => never,
        }
    }

    async fn open(&self, signed_in: &SignedIn) -> Result<Arc<Participant>, Error> {
        let (user, device) = (&signed_in.user_id, &signed_in.device_id);
        let (homeserver, records) = (Arc::clone(&self.homeserver), Arc::clone(&self.records));
        let device =
            Device::open(Arc::clone(&homeserver), Arc::clone(&records), user, device).await?;
        let (gateway, ledger) = (self.gateway.clone(), Ledger::new(records));
        Ok(Participant::new(user.clone(), homeserver, device, gateway, ledger))
    }

    /// Signs in with the device of before. A new one takes the place of all others.
    async fn sign_in(&self) -> Result<SignedIn, Error> {
        let ledger = Ledger::new(Arc::clone(&self.records));
        if let Some(device) = ledger.device().await? {
            return Ok(self.homeserver.sign_in(Some(&device)).await?);
        }
        self.homeserver.sign_in(None).await?;
        self.homeserver.post("/_matrix/client/v3/logout/all", serde_json::json!({})).await?;
        let device = new_device()?;
        ledger.set_device(&device).await?;
        Ok(self.homeserver.sign_in(Some(&device)).await?)
    }
}

/// An id that no device of the AI had before.
fn new_device() -> Result<String, RecordError> {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes).map_err(SealError::Random)?;
    let letter = |byte: u8| char::from(LETTERS[usize::from(byte) % LETTERS.len()]);
    Ok(bytes.map(letter).iter().collect())
}
