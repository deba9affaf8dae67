//! A sealed file: written and read chunk by chunk (`store::seal::chunk`).
//!
//! Its name ends with `.new` until the database has its upload. If telmeet is stopped in between, the next start decides.

use std::{
    io::{self, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use store::seal::chunk::{CHUNK, Location, SEALED_CHUNK, sealed_len};
use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _},
};

use crate::{error::Error, vault::Vault};

/// The end of the name of a file of which it is not known whether an upload has it.
const NEW: &str = ".new";

/// A file that is being written. It is deleted unless it is finished and kept.
#[derive(Debug)]
pub struct Writer {
    file: File,
    vault: Vault,
    path: Unfinished,
    id: String,
    /// Bytes that are not sealed yet: at most one chunk, since only the end shows which one is the last.
    pending: Vec<u8>,
    number: u64,
    size: u64,
    digest: Sha256,
}

/// A file that was written. It is deleted unless [`Self::keep`] or [`Self::leave`] is called.
#[derive(Debug)]
pub struct Finished {
    path: Unfinished,
    /// Its name.
    pub id: String,
    /// Its size before it was sealed, in bytes.
    pub size: u64,
    /// SHA-256 of what was written.
    pub digest: [u8; 32],
}

/// A path that is deleted when this is dropped.
#[derive(Debug)]
struct Unfinished(PathBuf);

/// A file that is read.
#[derive(Debug)]
pub struct Reader {
    file: File,
    vault: Vault,
    id: String,
    size: u64,
    /// The bytes that are still to be read.
    rest: Range<u64>,
}

/// The path of a file as long as it is not known whether an upload has it.
pub(super) fn unsettled(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(NEW);
    path.into()
}

/// The id of a file with such a name.
pub(super) fn settled(name: &str) -> Option<&str> {
    name.strip_suffix(NEW)
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            drop(std::fs::remove_file(&self.0));
        }
    }
}

impl Writer {
    pub(super) async fn create(path: &Path, id: String, vault: Vault) -> io::Result<Self> {
        let path = unsettled(path);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).await?;
        Ok(Self {
            file,
            vault,
            path: Unfinished(path),
            id,
            pending: Vec::with_capacity(CHUNK),
            number: 0,
            size: 0,
            digest: Sha256::new(),
        })
    }

    /// Number of bytes so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Media`], [`Error::Seal`].
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        self.digest.update(bytes);
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.pending.len() == CHUNK {
                self.seal(false).await?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.pending.len()));
            self.pending.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Ends the file and syncs it.
    ///
    /// # Errors
    ///
    /// [`Error::Media`], [`Error::Seal`].
    pub async fn finish(mut self) -> Result<Finished, Error> {
        self.seal(true).await?;
        self.file.flush().await?;
        self.file.sync_all().await?;
        let digest = self.digest.finalize().into();
        Ok(Finished { path: self.path, id: self.id, size: self.size, digest })
    }

    async fn seal(&mut self, is_last: bool) -> Result<(), Error> {
        let location = Location { number: self.number, is_last };
        let sealed = self.vault.seal_chunk(self.id.as_bytes(), location, &self.pending)?;
        self.file.write_all(&sealed).await?;
        self.number += 1;
        self.pending.clear();
        Ok(())
    }
}

impl Finished {
    /// Keeps the file, after the database has its upload.
    ///
    /// # Errors
    ///
    /// It cannot be renamed; the next start tries again.
    pub fn keep(self) -> io::Result<()> {
        let path = self.leave();
        std::fs::rename(&path, path.with_extension(""))
    }

    /// Leaves it to the next start whether the file is kept. Returns its path.
    pub fn leave(mut self) -> PathBuf {
        std::mem::take(&mut self.path.0)
    }
}

impl Reader {
    pub(super) async fn open(path: &Path, id: &str, size: u64, vault: Vault) -> io::Result<Self> {
        let file = match File::open(path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                File::open(unsettled(path)).await?
            }
            opened => opened?,
        };
        if file.metadata().await?.len() != sealed_len(size) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file has another size"));
        }
        Ok(Self { file, vault, id: id.to_owned(), size, rest: 0..size })
    }

    /// Reads these bytes alone, which lie within the file.
    ///
    /// # Errors
    ///
    /// [`Error::Media`].
    pub async fn seek(&mut self, bytes: Range<u64>) -> Result<(), Error> {
        let sealed = (bytes.start / CHUNK as u64) * SEALED_CHUNK as u64;
        self.file.seek(SeekFrom::Start(sealed)).await?;
        self.rest = bytes;
        Ok(())
    }

    /// The next bytes, at most a chunk; none at the end.
    ///
    /// # Errors
    ///
    /// [`Error::Media`]; [`Error::Open`] if the file was changed.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let chunk = CHUNK as u64;
        let number = self.rest.start / chunk;
        let Some(location) = Location::of(number, self.size) else { return Ok(None) };
        let begin = number * chunk;
        let length = (self.size - begin).min(chunk);
        let mut sealed = vec![0; usize::try_from(sealed_len(length)).unwrap_or(SEALED_CHUNK)];
        self.file.read_exact(&mut sealed).await?;
        let mut opened = self.vault.open_chunk(self.id.as_bytes(), location, &sealed)?;
        let within = |position: u64| usize::try_from(position - begin).unwrap_or(CHUNK);
        let end = self.rest.end.min(begin + length);
        opened.truncate(within(end));
        let bytes = Bytes::from(opened).slice(within(self.rest.start)..);
        self.rest.start = end;
        Ok(Some(bytes))
    }
}
