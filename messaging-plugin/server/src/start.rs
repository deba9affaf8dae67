//! Starts the homeserver that the settings describe: its key, its database, and what a restored copy of it needs.

use std::{io, path::Path, sync::Arc, time::SystemTime};

use chassis::secret::{self, SecretError};
use futures_util::FutureExt as _;
use sqlx::Row as _;
use store::{Database, DatabaseLock, LockError, seal::Key};
use telmeet_api::settings::Settings;

use crate::{
    error::Error,
    generation,
    homeserver::{self, Homeserver, Setup, WallClock},
    keys,
    media::folder::Limits,
    vault::Vault,
};

/// The homeserver cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file with the database's URL cannot be read.
    #[error("cannot read `database_url_file`")]
    Url(#[source] io::Error),
    /// Its folder cannot be made.
    #[error("cannot make the folder of the database")]
    Folder(#[source] io::Error),
    /// Another telmeet uses the database.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] Error),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] SecretError),
    /// The database was sealed under another key.
    #[error(
        "the rooms were sealed under another key: copy the key from the machine where they were made, or move the folder `state` away to start without them"
    )]
    OtherKey,
}

/// A homeserver that runs.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) homeserver: Arc<Homeserver>,
    pub(crate) lock: DatabaseLock,
}

/// The database of the settings; paths are below the root.
pub(crate) fn database(root: &Path, settings: &Settings) -> Result<Database, StartError> {
    let url_file = settings.database_url_file.as_ref().map(|file| root.join(file));
    Database::configured(url_file.as_deref(), root.join(settings.database()))
        .map_err(StartError::Url)
}

/// Opens the database, and prepares a restored one.
pub(crate) async fn start(root: &Path, settings: &Settings) -> Result<Started, StartError> {
    let database = database(root, settings)?;
    let (state, key_file) = (root.join(&settings.state), root.join(&settings.key_file));
    std::fs::create_dir_all(&state).map_err(StartError::Folder)?;
    let lock = homeserver::lock(&database).await?;
    let key = Key::new(&*secret::load(&key_file)?);
    let setup = Setup {
        network: settings.network.clone(),
        database,
        key,
        media: state.join("media"),
        program: "/proc/self/exe".into(),
        plain_oauth: settings.oauth,
        limits: Limits {
            upload: settings.upload_bytes,
            person: settings.media_bytes_per_person,
            total: settings.media_bytes,
        },
        time: WallClock::default(),
    };
    let homeserver = Homeserver::start(setup, Some(&lock)).await?;
    check_key(&homeserver).await?;
    if generation::last(&key_file) != Some(homeserver.clock().generation) {
        let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // One that no client has seen: before the restore there was another one.
        let generation = u32::try_from(seconds.as_secs()).unwrap_or(u32::MAX);
        homeserver.write(|tx| keys::forget_one_time_keys(tx).boxed()).await?;
        homeserver.renew(generation).await?;
        generation::remember(&key_file, generation)?;
        tracing::info!(generation, "the database is new or restored: clients sync anew");
    }
    Ok(Started { homeserver, lock })
}

/// Checks the key by a value that the first start sealed.
async fn check_key(homeserver: &Homeserver) -> Result<(), StartError> {
    const CELL: (&str, &str, &[u8]) = ("homeserver", "key_check_sealed", b"1");
    let (pool, vault): (_, &Vault) = (homeserver.pool(), homeserver.vault());
    let (table, column, row) = CELL;
    let query = "SELECT key_check_sealed FROM homeserver WHERE id = 1";
    let stored = sqlx::query(query).fetch_one(pool).await.map_err(Error::from)?;
    let sealed: Option<Vec<u8>> = stored.try_get("key_check_sealed").map_err(Error::from)?;
    if let Some(sealed) = sealed {
        return vault.open(table, column, row, &sealed).map(drop).map_err(|_| StartError::OtherKey);
    }
    let update = "UPDATE homeserver SET key_check_sealed = $1 WHERE id = 1";
    let sealed = vault.seal(table, column, row, b"")?;
    sqlx::query(update).bind(sealed).execute(pool).await.map_err(Error::from)?;
    Ok(())
}

#[cfg(test)]
mod tests;
