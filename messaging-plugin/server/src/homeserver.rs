//! The homeserver of one network: its database, its rooms in memory, and who waits for changes.

mod directory;
mod room;
mod row;
mod time;
mod transaction;
mod wake;
mod writer;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use chassis::body::BodyReader;
use futures_util::future::BoxFuture;
use ruma::{MilliSecondsSinceUnixEpoch, OwnedUserId, RoomId, UserId};
use sqlx::{AnyConnection, AnyPool};
use store::{Database, DatabaseError, DatabaseLock, LockError, Opened, Schema, seal::Key};
use telmeet_core::{token::Clock, typing::Typing};
use tokio::sync::watch;

use self::{
    directory::Rooms,
    wake::Wakers,
    writer::{Shared, Writer},
};
pub use self::{
    room::Room,
    time::WallClock,
    transaction::{SentBy, Transaction},
};
use crate::{
    error::Error,
    limits::{Rates, answers::Answers},
    media::{
        folder::{Folder, Limits},
        thumbnail::Thumbnails,
    },
    personal::presence::list::PresenceList,
    push::service::Push,
    sign_in::state::SignIn,
    sync::{cache::SyncCache, devices::Devices},
    vault::Vault,
};

/// The database's tables.
const TABLES: Schema = Schema {
    table: "homeserver",
    // `room` in ASCII.
    lock: 1_919_905_645,
    migrations: &[
        ("rooms", include_str!("../migrations/rooms.sql")),
        ("rooms without sequences", include_str!("../migrations/rooms_without_sequences.sql")),
    ],
};
/// Largest body of a request that is not media, in bytes. Key uploads of new devices are the largest.
const BODY_MAX: usize = 1 << 20;
/// Most memory for bodies of one node, in bytes.
const BODIES_OF_NODE: usize = 4 << 20;
/// Most memory for bodies, in bytes.
const BODIES: usize = 24 << 20;

/// What a homeserver needs to start.
#[derive(Debug)]
pub struct Setup {
    /// Server name: the network's domain. It is part of every id and never changes.
    pub network: String,
    /// The database.
    pub database: Database,
    /// The key that seals what clients did not encrypt.
    pub key: Key,
    /// Folder of the media.
    pub media: PathBuf,
    /// This program, which makes thumbnails if its argument is [`crate::media::thumbnail::ARGUMENT`].
    pub program: PathBuf,
    /// Whether apps may sign in by OAuth over plain HTTP, too.
    pub plain_oauth: bool,
    /// How much may be in it.
    pub limits: Limits,
    /// The clock.
    pub time: WallClock,
}

/// The homeserver of one network.
#[derive(Debug)]
pub struct Homeserver {
    /// Server name: the network's domain.
    pub network: String,
    /// Reads bodies of requests.
    pub bodies: BodyReader<String>,
    /// Who is typing.
    pub typing: Mutex<Typing>,
    /// Who is there.
    pub(crate) presence: PresenceList,
    /// Apps that signed in, and those that are about to.
    pub sign_in: SignIn,
    /// What the syncs of each device have shown.
    pub(crate) syncs: Devices,
    /// The media.
    pub media: Arc<Folder>,
    /// Makes thumbnails.
    pub thumbnails: Thumbnails,
    /// Topics of phones, and what is to be pushed to them.
    pub(crate) push: Arc<Push>,
    /// How much one person may ask.
    pub rates: Rates,
    /// How much memory one person's responses may take.
    pub answers: Answers,
    shared: Arc<Shared>,
    writer: Writer,
}

/// Locks the database for this process, see [`DatabaseLock::take`].
///
/// # Errors
///
/// [`LockError::Held`] if another one uses it.
pub async fn lock(database: &Database) -> Result<DatabaseLock, LockError> {
    DatabaseLock::take(database, &TABLES).await
}

impl Homeserver {
    /// Opens the database, creating it if there is none, and starts the task that writes.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] if it cannot be opened, is newer than this program, or belongs to another network;
    /// [`Error::Media`] if the folder of the media cannot be used.
    pub async fn start(setup: Setup, lock: Option<&DatabaseLock>) -> Result<Arc<Self>, Error> {
        let Setup { network, database, key, media, limits, plain_oauth, program, time } = setup;
        let opened = Opened::open(&database, &TABLES).await?;
        row::begin(opened.pool(), &network).await?;
        let mut store = opened.store().await?;
        if let Some(lock) = lock {
            store = store.locked_by(lock).await?;
        }
        let clock = row::read_clock(&mut *store.pool().acquire().await?).await?;
        let sign_in = SignIn::new(&network, plain_oauth);
        sign_in.tokens.load(store.pool()).await?;
        let media = Arc::new(Folder::open(media, limits, store.pool()).await?);
        let push = Arc::new(Push::load(store.pool(), &network).await?);
        let shared = Arc::new(Shared {
            tokens: Arc::clone(&sign_in.tokens),
            store,
            vault: Vault::new(key),
            media: Arc::clone(&media),
            push: Arc::clone(&push.pending),
            rooms: Arc::new(Rooms::default()),
            wakers: Wakers::default(),
            cache: SyncCache::new(clock),
            time,
        });
        Ok(Arc::new(Self {
            network,
            bodies: BodyReader::new(BODY_MAX, BODIES_OF_NODE, BODIES),
            typing: Mutex::default(),
            presence: PresenceList::default(),
            sign_in,
            syncs: Devices::default(),
            media,
            thumbnails: Thumbnails::new(program),
            push,
            rates: Rates::default(),
            answers: Answers::default(),
            writer: Writer::start(&shared),
            shared,
        }))
    }

    /// Runs `job` in the next write transaction, together with others that wait, and returns after it is synced.
    ///
    /// A client that disconnects does not stop it.
    ///
    /// # Errors
    ///
    /// Those of the job, whose writes are rolled back; [`Error::Database`] if the transaction fails.
    pub async fn write<T: Send + 'static>(
        &self,
        job: impl for<'a> FnOnce(&'a mut Transaction) -> BoxFuture<'a, Result<T, Error>>
        + Send
        + 'static,
    ) -> Result<T, Error> {
        self.writer.write(job).await
    }

    /// Ends the positions that clients hold, after a restore: they sync anew, which names everybody's devices as changed.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn renew(&self, generation: u32) -> Result<(), Error> {
        let renewed = self.write(move |tx| {
            Box::pin(async move {
                let update = "UPDATE homeserver SET generation = $1 WHERE id = 1";
                let update = sqlx::query(update).bind(i64::from(generation));
                update.execute(tx.connection()).await?;
                Ok(())
            })
        });
        renewed.await?;
        self.shared.cache.renew(generation);
        Ok(())
    }

    /// Connections for reads.
    #[must_use]
    pub fn pool(&self) -> &AnyPool {
        self.shared.store.pool()
    }

    /// The present generation, and the latest position that readers may show.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.shared.cache.clock()
    }

    /// What syncs read in memory.
    pub(crate) fn cache(&self) -> &SyncCache {
        &self.shared.cache
    }

    /// A room as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Open`].
    pub async fn room(&self, id: &RoomId) -> Result<Option<Arc<Room>>, Error> {
        if let Some(room) = self.room_in_memory(id) {
            return Ok(Some(room));
        }
        let mut connection = self.pool().acquire().await.map_err(DatabaseError::from)?;
        self.room_by(&mut connection, id).await
    }

    /// A room as it is now, if it is in memory.
    pub fn room_in_memory(&self, id: &RoomId) -> Option<Arc<Room>> {
        self.shared.rooms.get(id)
    }

    /// A room as it is now, read from the database by callers that hold a connection.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], [`Error::Open`].
    pub async fn room_by(
        &self,
        connection: &mut AnyConnection,
        id: &RoomId,
    ) -> Result<Option<Arc<Room>>, Error> {
        let version = self.shared.rooms.version();
        let Some(room) = Room::load(connection, self.vault(), id).await? else {
            return Ok(None);
        };
        let room = Arc::new(room);
        self.shared.rooms.loaded(id, &room, version);
        Ok(Some(room))
    }

    /// Changes whenever something that this person's apps may see has changed.
    pub fn watch(&self, user: &UserId) -> watch::Receiver<u64> {
        self.shared.wakers.watch(user)
    }

    /// Wakes the syncs of these people, for changes outside the database.
    pub fn wake<'a>(&self, users: impl IntoIterator<Item = &'a OwnedUserId>) {
        self.shared.wakers.wake(users);
    }

    /// Seals and opens values of the database.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.shared.vault
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> MilliSecondsSinceUnixEpoch {
        self.shared.time.now()
    }

    /// Stops writing and closes the database.
    pub async fn close(&self) {
        self.push.stop();
        self.writer.close();
        self.shared.store.close().await;
    }
}

#[cfg(test)]
mod tests;
