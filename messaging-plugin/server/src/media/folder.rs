//! The folder of the files, and how much may be in it.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};

use chassis::quota::{Permit, Quota};
use ruma::{OwnedUserId, UserId};
use sqlx::AnyPool;
use tokio::sync::watch;

use super::file::{self, Reader, Writer};
use crate::{error::Error, vault::Vault};

/// Uploads at a time.
const UPLOADS: usize = 32;
/// Uploads of one person at a time.
const UPLOADS_OF_PERSON: usize = 8;

/// How much may be uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest upload, in bytes.
    pub upload: u64,
    /// Bytes of all uploads of one person.
    pub person: u64,
    /// Bytes of all uploads.
    pub total: u64,
}

/// The folder of the files.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    limits: Limits,
    uploads: Quota<OwnedUserId>,
    /// Changes after each upload.
    uploaded: watch::Sender<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { upload: 50 << 20, person: 2 << 30, total: 8 << 30 }
    }
}

impl Folder {
    /// Opens the folder, making it if there is none. Files of uploads that were interrupted are deleted.
    ///
    /// # Errors
    ///
    /// [`Error::Media`] if the folder cannot be used; [`Error::Database`].
    pub async fn open(path: PathBuf, limits: Limits, pool: &AnyPool) -> Result<Self, Error> {
        let uploads = Quota::new(UPLOADS, UPLOADS_OF_PERSON);
        for id in unsettled(&path)? {
            let query = "SELECT media_id FROM media WHERE file = $1 LIMIT 1";
            let row = sqlx::query(query).bind(id.clone()).fetch_optional(pool).await?;
            let file = file::unsettled(&path.join(&id));
            match row {
                Some(_) => std::fs::rename(file, path.join(id))?,
                None => std::fs::remove_file(file)?,
            }
        }
        Ok(Self { path, limits, uploads, uploaded: watch::Sender::new(0) })
    }

    /// How much may be uploaded.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Counts an upload of a person until the permit is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Limited`] if there are too many at a time.
    pub fn begin(&self, user: &UserId) -> Result<Permit<OwnedUserId>, Error> {
        let permit = self.uploads.take(user.to_owned());
        permit.map_err(|_| Error::Limited { retry_after: Duration::from_secs(1) })
    }

    /// Begins a new file.
    ///
    /// # Errors
    ///
    /// [`Error::Media`]; [`Error::Seal`] if the system has no random bytes.
    pub async fn create(&self, vault: &Vault) -> Result<Writer, Error> {
        let id = crate::random::id()?;
        Ok(Writer::create(&self.path.join(&id), id, vault.clone()).await?)
    }

    /// Opens a file of `size` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Media`] if it cannot be read or has another size.
    pub async fn read(&self, id: &str, size: u64, vault: &Vault) -> Result<Reader, Error> {
        Ok(Reader::open(&self.path.join(id), id, size, vault.clone()).await?)
    }

    /// Deletes files that no upload has any more.
    pub fn remove(&self, ids: impl IntoIterator<Item = String>) {
        let paths: Vec<_> = ids.into_iter().map(|id| self.path.join(id)).collect();
        if !paths.is_empty() {
            tokio::task::spawn_blocking(move || {
                paths.iter().for_each(|path| drop(std::fs::remove_file(path)));
            });
        }
    }

    /// Wakes those who wait for an upload.
    pub fn notify(&self) {
        self.uploaded.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Changes after each upload.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.uploaded.subscribe()
    }

    /// Makes the names of new files durable.
    ///
    /// # Errors
    ///
    /// [`Error::Media`].
    pub async fn sync(&self) -> Result<(), Error> {
        let path = self.path.clone();
        Ok(blocking(move || std::fs::File::open(path)?.sync_all()).await?)
    }
}

/// Makes the folder, and returns the files of which it is not known whether an upload has them.
fn unsettled(folder: &Path) -> io::Result<Vec<String>> {
    use std::os::unix::fs::DirBuilderExt as _;

    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut ids = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        ids.extend(name.to_str().and_then(file::settled).map(str::to_owned));
    }
    Ok(ids)
}

/// Runs a call that waits for the disk.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(call).await.map_err(io::Error::other)?
}
