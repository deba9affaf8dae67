//! A model on its way here: what has come lies in `.NAME.part`, so that a later attempt goes on from there.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use chassis::state::Format;
use messages::message;
use rustix::fs::{RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::disk;

const FORMAT: Format<Origin> = Format::new(1).remedy(|| message!("remedy-pull-again"));
/// What is written between two looks at the free space, in bytes.
const LOOK: u64 = 64 << 20;
/// What is read at once, in bytes.
const PIECE: usize = 1 << 20;

/// The origin of a part: only the same content is continued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// The URL.
    pub(super) url: String,
    /// What the server calls this very content: a strong `ETag`, or a `Last-Modified` (RFC 9110, section 8.8).
    pub(super) validator: String,
}

/// The file that is being written.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    folder: PathBuf,
    name: String,
    hash: Sha256,
    /// Bytes that have come.
    pub(super) len: u64,
    checked: u64,
}

impl Part {
    /// Names of the models in a folder of which there is only a part, and its bytes.
    pub(super) fn list(folder: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut parts = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let file = entry.file_name();
            let name = file.to_str().and_then(|file| file.strip_prefix('.')?.strip_suffix(".part"));
            if let Some(name) = name {
                parts.push((name.to_owned(), entry.metadata()?.len()));
            }
        }
        Ok(parts)
    }

    /// Opens the part of a model, with what an earlier attempt left of it.
    pub(super) fn open(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let mut part = Self::take(folder, name)?;
        part.read()?;
        Ok(part)
    }

    /// The part of a model, if nobody else writes it.
    pub(super) fn take(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let path = folder.join(format!(".{name}.part"));
        // Readable by all once it is a model: before, it may be any file of root's that a link led to.
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| message!("file-not-written", path = path.display()))?;
        if file.try_lock().is_err() {
            bail!(message!("pull-runs", name));
        }
        let (folder, name) = (folder.to_owned(), name.to_owned());
        Ok(Self { file, folder, name, hash: Sha256::new(), len: 0, checked: 0 })
    }

    /// Reads what is there already, for its hash.
    fn read(&mut self) -> anyhow::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut piece = vec![0; PIECE];
        loop {
            let count = self.file.read(&mut piece)?;
            if count == 0 {
                return Ok(());
            }
            self.hash.update(&piece[..count]);
            self.len += count as u64;
        }
    }

    fn origin_path(&self) -> PathBuf {
        self.folder.join(format!(".{}.part.json", self.name))
    }

    /// Where the part came from, if it can be gone on with.
    pub(super) fn origin(&self) -> Option<Origin> {
        // An unreadable origin means a new start, not an error.
        FORMAT.read(&self.origin_path()).ok().flatten()
    }

    /// Empties the part, and saves its origin.
    pub(super) fn begin(&mut self, origin: Option<&Origin>) -> anyhow::Result<()> {
        let _ = fs::remove_file(self.origin_path());
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hash = Sha256::new();
        (self.len, self.checked) = (0, 0);
        origin.map_or(Ok(()), |origin| Ok(FORMAT.write(&self.origin_path(), origin)?))
    }

    /// Appends received bytes.
    pub(super) fn add(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if let Err(error) = self.write(bytes) {
            // Messages need the room, and nobody may look at this folder for weeks.
            self.discard();
            return Err(error);
        }
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        if self.len >= 8 && self.len - (bytes.len() as u64) < 8 {
            self.look_at_the_beginning()?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if self.len >= self.checked {
            disk::has_room(&self.folder, LOOK)?;
            self.checked = self.len + LOOK;
        }
        self.file
            .write_all(bytes)
            .with_context(|| message!("folder-not-written", path = self.folder.display()))
    }

    /// Refuses early what is not a model.
    fn look_at_the_beginning(&mut self) -> anyhow::Result<()> {
        let mut start = [0; 8];
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_exact(&mut start)?;
        self.file.seek(SeekFrom::End(0))?;
        if start.starts_with(b"GGUF") {
            return Ok(());
        }
        self.discard();
        bail!(message!("not-a-model"))
    }

    /// Checks the complete model and gives it its name. Returns its SHA-256.
    pub(super) fn finish(mut self, wanted: Option<[u8; 32]>) -> anyhow::Result<[u8; 32]> {
        let found: [u8; 32] = self.hash.clone().finalize().into();
        if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
            self.discard();
            bail!(message!(
                "wrong-sha256",
                found = hex::encode(found),
                wanted = hex::encode(wanted)
            ));
        }
        self.file.seek(SeekFrom::Start(0))?;
        if let Err(error) = gguf::read_file(BufReader::new(&self.file), self.len) {
            self.discard();
            bail!(message!("model-unusable-removed", name = self.name, error));
        }
        self.file.set_permissions(fs::Permissions::from_mode(0o644))?;
        self.file.sync_all()?;
        let folder = File::open(&self.folder)?;
        let part = format!(".{}.part", self.name);
        let named = renameat_with(&folder, &part, &folder, &self.name, RenameFlags::NOREPLACE);
        named.with_context(|| message!("model-exists", name = self.name))?;
        folder.sync_all()?;
        let _ = fs::remove_file(self.origin_path());
        Ok(found)
    }

    /// Ends a failed attempt: a part that cannot be continued is removed.
    pub(super) fn leave(&self) {
        if self.len == 0 || self.origin().is_none() {
            self.discard();
        }
    }

    /// Removes the part.
    pub(super) fn discard(&self) {
        for path in [self.folder.join(format!(".{}.part", self.name)), self.origin_path()] {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_given_back_its_room() {
        let folder = tempfile::tempdir().unwrap();
        let mut part = Part::open(folder.path(), "sea.gguf").unwrap();
        let origin = Origin { url: "http://sea".to_owned(), validator: "\"1\"".to_owned() };
        part.begin(Some(&origin)).unwrap();
        part.add(b"GGUF and more").unwrap();
        let held = Part::list(folder.path()).unwrap();
        assert_eq!(held, [("sea.gguf".to_owned(), 13)]);

        part.file = File::options().write(true).open("/dev/full").unwrap();
        let error = part.add(b"and more").unwrap_err();

        assert!(format!("{error:#}").contains("No space left"), "{error:#}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
