//! What an update keeps of the former version, in [`FORMER`]: its programs, a copy of its data, and how far the update is.
//!
//! ```text
//! backup.tar   what `maru backup` of the former version made; it stays after the update
//! stage        the word of a [`Stage`]; without it there is no update
//! version      the former version
//! why          why the update was taken back
//! files/       the former package's files, by hard links where the file system allows it
//! data/        the former data, copied while no service ran
//! tried/       what the new version made of them, while it is taken back
//! start        the new version stays, and its services are to be started; `postinst` looks for it
//! ```
//!
//! The former `maru` and the new one read the stages of each other, so the words and their meaning do not change.

use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use chassis::durable::{self, Access};
use common::foreign;
use messages::message;
use services::{FORMER, MODELS};

use super::machine::Machine;
use crate::machine_key;

/// The file that says that services are to be started.
const START: &str = "start";
/// Folder of the data that an update may change, below the root.
const STATE: &str = "var/lib/maru";
/// Below the root: of packages' files, only those here are ever removed.
const PROGRAMS: &str = "usr";
/// How often the data are copied before the update is taken back. `cp` fails if the agent replaces a file that it has listed.
const COPIES: usize = 3;
/// Longest reason that is kept, in characters.
const REASON_MAX: usize = 1000;

/// How far an update is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The former programs are kept, and dpkg puts the new ones in their place. The data are not touched.
    Unpacking,
    /// No service runs, only what carries the mesh's packets, and the data are copied.
    Copying,
    /// The copy is whole, and the new version runs on the data.
    Trying,
    /// What the new version left is moved out of the way.
    SettingAside,
    /// The former data return to their place, then the programs.
    PuttingBack,
    /// The former version is there as before.
    Undone,
}

/// The word of each stage.
const STAGES: &[(Stage, &str)] = &[
    (Stage::Unpacking, "unpacking"),
    (Stage::Copying, "copying"),
    (Stage::Trying, "trying"),
    (Stage::SettingAside, "setting-aside"),
    (Stage::PuttingBack, "putting-back"),
    (Stage::Undone, "undone"),
];

/// The folder of what is kept.
#[derive(Debug)]
pub(super) struct Former {
    root: PathBuf,
}

impl Former {
    /// That of the instance at `root`.
    pub(super) fn of(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// How far the update is; `None` if there is none.
    pub(super) fn stage(&self) -> anyhow::Result<Option<Stage>> {
        let path = self.path("stage");
        let word = match fs::read_to_string(&path) {
            Ok(word) => word,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| message!("not-opened", path = path.display()));
            }
        };
        let stage = STAGES.iter().find(|(_, known)| *known == word.trim());
        let stage = stage.with_context(|| message!("upgrade-stage", path = path.display()))?;
        Ok(Some(stage.0))
    }

    /// Says how far the update is, once everything before is on the disk.
    pub(super) fn enter(&self, stage: Stage, machine: &mut impl Machine) -> anyhow::Result<()> {
        let word = STAGES.iter().find(|(known, _)| *known == stage).map_or("", |(_, word)| word);
        rustix::fs::sync();
        let path = self.path("stage");
        machine
            .change(&mut || durable::replace(&path, Access::SECRET, word.as_bytes()))
            .context(message!("state-not-written"))
    }

    /// Lets nobody else work on the update until it is dropped; `None` if somebody does.
    pub(super) fn hold(&self) -> anyhow::Result<Option<File>> {
        let path = self.root.join(FORMER);
        let failed = || message!("file-not-locked", path = path.display());
        let folder = File::open(&path).with_context(failed)?;
        match folder.try_lock() {
            Ok(()) => Ok(Some(folder)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(error) => Err(error).with_context(failed),
        }
    }

    /// The former version.
    pub(super) fn version(&self) -> String {
        foreign::short(&fs::read_to_string(self.path("version")).unwrap_or_default(), 100)
            .trim()
            .to_owned()
    }

    /// Why the update was taken back.
    pub(super) fn why(&self) -> String {
        let why = fs::read_to_string(self.path("why")).ok().filter(|why| !why.is_empty());
        why.map_or_else(
            || message!("upgrade-interrupted").to_string(),
            |why| foreign::short(&why, REASON_MAX),
        )
    }

    /// Keeps why the update is taken back.
    pub(super) fn explain(&self, reason: &str) {
        // It is taken back for whatever reason.
        let _ = durable::replace(&self.path("why"), Access::SECRET, reason.as_bytes());
    }

    /// Copies the data. Only the agent and the relay run meanwhile, which replace their files as a whole.
    pub(super) fn copy(&self, machine: &mut impl Machine) -> anyhow::Result<()> {
        let (data, tried) = (self.path("data"), self.path("tried"));
        let mut copied = Ok(());
        for _ in 0..COPIES {
            let entries = self.entries()?;
            machine
                .change(&mut || {
                    remove_state(&data)?;
                    remove_state(&tried)?;
                    fs::create_dir(&data)
                })
                .with_context(|| message!("directory-not-made", path = data.display()))?;
            if entries.is_empty() {
                return Ok(());
            }
            machine.change(&mut || {
                copied = copy(&entries, &data);
                Ok(())
            })?;
            if copied.is_ok() {
                break;
            }
        }
        copied
    }

    /// Fails if what is to be copied cannot be put back by renaming.
    pub(super) fn can_return(&self) -> anyhow::Result<()> {
        let state = self.root.join(STATE);
        let device = |path: &Path| {
            let meta = path.symlink_metadata();
            meta.map(|meta| meta.dev())
                .with_context(|| message!("not-opened", path = path.display()))
        };
        let own = device(&state)?;
        for path in self.entries()? {
            if device(&path)? != own {
                bail!(message!("upgrade-mount", path = path.display(), folder = state.display()));
            }
        }
        Ok(())
    }

    /// Moves what the new version left out of the way.
    pub(super) fn set_aside(&self, machine: &mut impl Machine) -> anyhow::Result<()> {
        let tried = self.path("tried");
        fs::create_dir_all(&tried)
            .with_context(|| message!("directory-not-made", path = tried.display()))?;
        self.entries()?.iter().try_for_each(|path| {
            // Set aside before a power cut: systemd-tmpfiles made this at the boot since.
            if tried.join(path.file_name().unwrap_or_default()).is_dir() && is_bare(path) {
                return machine
                    .change(&mut || fs::remove_dir_all(path))
                    .with_context(|| message!("file-not-deleted", path = path.display()));
            }
            move_into(&tried, path, machine)
        })
    }

    /// Puts the former data back.
    pub(super) fn return_data(&self, machine: &mut impl Machine) -> anyhow::Result<()> {
        let state = self.root.join(STATE);
        children(&self.path("data"))?.iter().try_for_each(|path| move_into(&state, path, machine))
    }

    /// Puts the former programs back, and removes those of the `new` package's files that it did not have.
    pub(super) fn return_files(
        &self,
        new: &[PathBuf],
        machine: &mut impl Machine,
    ) -> anyhow::Result<()> {
        let kept = self.path("files");
        let mut folders = vec![kept.clone()];
        while let Some(folder) = folders.pop() {
            for path in children(&folder)? {
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let place = self.root.join(path.strip_prefix(&kept)?);
                machine
                    .change(&mut || put(&path, &place))
                    .with_context(|| message!("not-put", place = place.display()))?;
            }
        }
        for path in new {
            let Ok(name) = path.strip_prefix("/") else { continue };
            let place = self.root.join(name);
            let is_file = place.symlink_metadata().is_ok_and(|meta| meta.is_file());
            if name.starts_with(PROGRAMS) && is_file && !kept.join(name).exists() {
                machine
                    .change(&mut || fs::remove_file(&place))
                    .with_context(|| message!("file-not-deleted", path = place.display()))?;
            }
        }
        Ok(())
    }

    /// Ends a taken back update: what the new version left is removed.
    pub(super) fn clean(&self) {
        for name in ["data", "tried"] {
            let _ = remove_state(&self.path(name));
        }
    }

    /// Says that the new version stays and is to be started: whoever finds this starts it.
    pub(super) fn mark_start(&self, machine: &mut impl Machine) -> anyhow::Result<()> {
        let path = self.path(START);
        machine
            .change(&mut || durable::replace(&path, Access::SECRET, b""))
            .context(message!("state-not-written"))
    }

    /// It is started.
    pub(super) fn started(&self) {
        let _ = remove(&self.path(START));
        // Without a backup in it.
        let _ = fs::remove_dir(self.root.join(FORMER));
    }

    /// Ends an update: the new version stays.
    pub(super) fn forget(&self, machine: &mut impl Machine) -> anyhow::Result<()> {
        rustix::fs::sync();
        let path = self.path("stage");
        machine
            .change(&mut || fs::remove_file(&path))
            .with_context(|| message!("file-not-deleted", path = path.display()))?;
        rustix::fs::sync();
        self.clean();
        for name in ["files", "version", "why"] {
            let _ = remove(&self.path(name));
        }
        // Without a backup in it.
        let _ = fs::remove_dir(self.root.join(FORMER));
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(FORMER).join(name)
    }

    /// The data that an update may change: all but models, which nothing writes, and what is kept.
    fn entries(&self) -> anyhow::Result<Vec<PathBuf>> {
        let without = [MODELS, FORMER].map(|path| self.root.join(path));
        let mut found = children(&self.root.join(STATE))?;
        found.retain(|path| !without.contains(path));
        Ok(found)
    }
}

/// The entries of a folder, in an order of their own; none if it does not exist.
fn children(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let failed = || message!("folder-not-read", path = folder.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(failed),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.with_context(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Copies with owners, modes and links as they are; no link is followed.
fn copy(entries: &[PathBuf], folder: &Path) -> anyhow::Result<()> {
    let mut cp = Command::new("cp");
    cp.args(["--archive", "--reflink=auto", "--"]).args(entries).arg(folder);
    let done = cp.output().context(message!("no-cp"))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        let error = foreign::short(said.lines().next().unwrap_or_default(), REASON_MAX);
        bail!(message!("upgrade-not-copied", error));
    }
    Ok(())
}

fn move_into(folder: &Path, path: &Path, machine: &mut impl Machine) -> anyhow::Result<()> {
    let place = folder.join(path.file_name().unwrap_or_default());
    machine
        .change(&mut || {
            // systemd-tmpfiles makes folders at each boot, and no other is renamed to where one has entries.
            if is_bare(&place) {
                fs::remove_dir_all(&place)?;
            }
            fs::rename(path, &place)
        })
        .with_context(|| message!("not-put", place = place.display()))
}

/// Whether this is a folder that holds nothing but such folders.
fn is_bare(folder: &Path) -> bool {
    let is_dir = folder.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    is_dir && children(folder).is_ok_and(|all| all.iter().all(|path| is_bare(path)))
}

/// Puts a kept file into its place, and keeps it.
fn put(kept: &Path, place: &Path) -> io::Result<()> {
    let is_there = place.symlink_metadata().and_then(|there| {
        let kept = kept.symlink_metadata()?;
        Ok((there.dev(), there.ino()) == (kept.dev(), kept.ino()))
    });
    if is_there.unwrap_or(false) {
        return Ok(());
    }
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut beside = place.as_os_str().to_owned();
    beside.push(".maru-former");
    remove(Path::new(&beside))?;
    if fs::hard_link(kept, &beside).is_err() {
        fs::copy(kept, &beside)?;
    }
    fs::rename(beside, place)
}

/// Removes a folder of data, if there is one, and overwrites the machine's key in it: a passphrase that is set later would
/// not protect what is left on the disk.
fn remove_state(folder: &Path) -> io::Result<()> {
    let overwritten = machine_key::overwrite_copy(folder);
    remove(folder)?;
    overwritten
}

/// Removes a file or a folder, if there is one.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
