//! Sessions: conversations that are stored, each one person's own.
//!
//! ```text
//! Opening ──▶ Open ◀──▶ Closed
//! ```
//!
//! The database alone has them; each turn reads from it. While it is closed, chats are answered but not kept, and every
//! half minute it is opened again.

mod choosers;
mod dated;
mod memory;
mod model;
mod names;
mod not_kept;
mod operations;
mod recovery;
mod retention;
mod turn;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ai_gateway_api::{sealed::SessionName, settings::gateway::Settings};
use chassis::{
    failure::Failure,
    secret::{self, SecretError},
};
use conversations::{Context, Conversations, Limits};
use mesh_identity::Person;
use store::{Database, DatabaseLock, seal::Key};
use tokio::{sync::watch, time::sleep};
use zeroize::Zeroizing;

use crate::arena;
use choosers::Choosers;

pub(crate) use choosers::UnknownModel;
pub(crate) use names::dated_names;
pub(crate) use not_kept::NotKept;
pub(crate) use operations::{Messages, OperationError, Scan, SearchScan};
pub(crate) use turn::{CompletedTurn, Record};

/// How long a database that could not be opened is left alone.
const RETRY: Duration = Duration::from_secs(30);

/// All sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    database: PathBuf,
    url_file: Option<PathBuf>,
    key_file: PathBuf,
    limits: Limits,
    /// What is read of a session for its next reply, in bytes.
    session_bytes: usize,
    state: watch::Sender<State>,
    scans: operations::Scans,
    choosers: Choosers,
}

#[derive(Clone, Debug)]
enum State {
    /// The first attempt is under way.
    Opening,
    Open(Arc<Conversations>),
    /// It cannot be used now, for this reason, which the log has, too.
    Closed(Arc<str>),
}

/// The database cannot be opened.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("cannot read `conversations.database_url_file`")]
    Url(#[source] io::Error),
    #[error(
        "there is no key in {}: `maru up` hands it over, and `sudo maru passphrase unlock` where systemd starts the gateway", .0.display()
    )]
    NoKey(PathBuf),
    #[error(transparent)]
    Key(#[from] SecretError),
    #[error(transparent)]
    Database(#[from] conversations::Error),
}

/// How many sessions are stored, and the size of their messages in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Whether the database is open; otherwise nothing is known.
    pub(crate) open: bool,
    pub(crate) sessions: usize,
    pub(crate) bytes: usize,
}

impl Sessions {
    /// Those of the settings, closed until [`Self::keep_open`] is polled. Paths are below the root.
    pub(crate) fn new(config: &Settings, root: &Path) -> Self {
        let settings = &config.conversations;
        Self {
            database: root.join(config.database()),
            url_file: settings.database_url_file.as_ref().map(|file| root.join(file)),
            key_file: root.join(&settings.key_file),
            limits: Limits {
                person_bytes: i64::try_from(settings.bytes_per_person).unwrap_or(i64::MAX),
                conversations: settings.per_person.into(),
            },
            session_bytes: config.limits.session_bytes,
            state: watch::Sender::new(State::Opening),
            scans: operations::Scans::default(),
            choosers: Choosers::default(),
        }
    }

    /// Opens the database, and again whenever it is closed, for as long as it is polled.
    pub(crate) async fn keep_open(&self) {
        loop {
            match self.open().await {
                Ok((conversations, mut lock)) => {
                    tracing::info!("conversations are kept");
                    self.state.send_replace(State::Open(Arc::new(conversations)));
                    let lost = lock.lost().await;
                    tracing::error!(%lost, "conversations are not kept");
                    self.state.send_replace(State::Closed(lost.to_string().into()));
                }
                Err(error) => {
                    let reason = Failure::of(&error).failure;
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(
                        error,
                        "conversations are not kept: their database cannot be opened"
                    );
                    self.state.send_replace(State::Closed(reason.into()));
                }
            }
            sleep(RETRY).await;
        }
    }

    /// Which database it is.
    pub(crate) fn database(&self) -> io::Result<Database> {
        Database::configured(self.url_file.as_deref(), self.database.clone())
    }

    async fn open(&self) -> Result<(Conversations, DatabaseLock), OpenError> {
        let database = self.database().map_err(OpenError::Url)?;
        let lock = Conversations::lock(&database).await?;
        let key = self.key();
        // Without the key, too, it can be read who chose a model.
        let machine = Key::new(key.as_deref().unwrap_or(&[0; 32]));
        let conversations =
            Conversations::open(&database, Some(&lock), machine, self.limits).await?;
        self.choosers.read(&conversations).await?;
        match key {
            Ok(_) => Ok((conversations, lock)),
            Err(error) => {
                conversations.close().await;
                Err(error)
            }
        }
    }

    /// Reads the key, which `maru` hands over. The gateway makes none: under another one nothing that is stored opens.
    fn key(&self) -> Result<Zeroizing<[u8; 32]>, OpenError> {
        secret::read(&self.key_file).map_err(|error| match error {
            SecretError::File(path, source) if source.kind() == io::ErrorKind::NotFound => {
                OpenError::NoKey(path)
            }
            SecretError::File(..) | SecretError::Length(_) | SecretError::Random(_) => error.into(),
        })
    }

    /// Why the database is closed; none if it is open or being opened for the first time.
    pub(crate) fn trouble(&self) -> Option<String> {
        match &*self.state.borrow() {
            State::Closed(reason) => Some(reason.to_string()),
            State::Opening | State::Open(_) => None,
        }
    }

    /// Closes the database for good.
    pub(crate) async fn close(&self) {
        let closed = State::Closed("the gateway stops".into());
        if let State::Open(conversations) = self.state.send_replace(closed) {
            conversations.close().await;
        }
    }

    /// The open database. It waits for the first attempt to open it, and for no other.
    async fn opened(&self) -> Result<Arc<Conversations>, NotKept> {
        let mut state = self.state.subscribe();
        match state.wait_for(|state| !matches!(state, State::Opening)).await.as_deref() {
            Ok(State::Open(conversations)) => Ok(Arc::clone(conversations)),
            Ok(State::Opening | State::Closed(_)) | Err(_) => Err(NotKept::Unavailable),
        }
    }

    /// What of one person's session is in its next prompt.
    pub(crate) async fn context(
        &self,
        person: &Person,
        name: &SessionName,
    ) -> Result<Context, NotKept> {
        let opened = self.opened().await?;
        let sealed = opened.context(person, name.as_str(), self.session_bytes).await?;
        Ok(arena::locked(|_| sealed.open())?)
    }

    /// Leaves the messages before `first` out of prompts; the summary stands for them.
    pub(crate) async fn compact(
        &self,
        person: &Person,
        id: i64,
        first: i64,
        summary: Option<&str>,
    ) -> Result<(), NotKept> {
        Ok(self.opened().await?.compact(person, id, first, summary).await?)
    }

    /// Deletes all of one person; returns how many sessions they had.
    pub(crate) async fn forget(&self, person: &Person) -> Result<u64, NotKept> {
        let forgotten = self.opened().await?.forget(person).await?;
        self.choosers.remove(person);
        Ok(forgotten)
    }

    /// Of all sessions.
    pub(crate) async fn size(&self) -> Size {
        let Ok(conversations) = self.opened().await else { return Size::default() };
        let Ok((sessions, bytes)) = conversations.size().await else { return Size::default() };
        let whole = |value| usize::try_from(value).unwrap_or_default();
        Size { open: true, sessions: whole(sessions), bytes: whole(bytes) }
    }
}
