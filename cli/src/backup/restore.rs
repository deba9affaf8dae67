//! `maru restore`: puts a backup into a root where nothing of Maru is.
//!
//! Everything is unpacked beside its place first and looked at to its end. Only then it takes its places, by renaming; a
//! file says that this is under way, so that a cut short restore is not taken for a whole one.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io::{self, BufReader, ErrorKind, Read},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, fchown},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, anyhow, bail};
use chassis::durable::{self, Access};
use clap::Args;
use common::foreign;
use coordinator_api::SCHEMA;
use messages::message;
use rustix::fs::OFlags;
use services::RESTORING;
use supervisor::directories;
use tempfile::TempDir;

use super::{
    manifest::{Database, Manifest, VERSION},
    places,
    root::as_root,
    unfinished::{STAGING_FOLDERS, UNPACKED},
};
use crate::{
    archive::{self, ArchiveError},
    machine_key, output, up,
};

pub(crate) use super::unfinished::{is_whole, left_behind};

/// What the coordinator keeps locked while it works on its database, below the root.
const IN_USE: &str = "var/lib/maru/coordinator/db.sqlite.lock";

#[derive(Clone, Debug, Args)]
pub(crate) struct RestoreArgs {
    /// File that `maru backup` wrote
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// An error while an archive is read.
#[derive(Debug, thiserror::Error)]
enum RestoreError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("{0:#}")]
    Other(anyhow::Error),
}

/// Restores a backup.
pub(crate) fn run(args: &RestoreArgs, root: &Path) -> anyhow::Result<ExitCode> {
    as_root("restore")?;
    let shown = args.file.display();
    let file = File::open(&args.file).with_context(|| message!("not-opened", path = shown))?;
    // Before anything is made.
    is_unused(root)?;
    let _lock = up::hold(root)?;
    for folder in left_behind(root) {
        fs::remove_dir_all(&folder)
            .with_context(|| message!("file-not-deleted", path = folder.display()))?;
    }
    let again = root.join(RESTORING).exists();
    if again {
        // Nothing but that restore wrote there, unless somebody started on what it left.
        database_is_free(root)?;
        clear(root)?;
    }
    let (about, staging) =
        unpack(file, root).with_context(|| message!("cannot-restore", path = shown))?;
    durable::replace(&root.join(RESTORING), Access::READABLE, shown.to_string().as_bytes())
        .context(message!("state-not-written"))?;
    put_all(&staging, root)?;
    sync(root)?;
    fs::remove_file(root.join(RESTORING)).context(message!("mark-not-removed"))?;
    directories::all(root)?;
    tell(&about, root)?;
    Ok(ExitCode::SUCCESS)
}

/// Restores a backup into an empty folder where no daemon ever starts.
pub(super) fn beside(file: File, root: &Path) -> anyhow::Result<()> {
    let (_, staging) = unpack(file, root)?;
    put_all(&staging, root)?;
    directories::state(root)
}

fn put_all(staging: &Staging, root: &Path) -> anyhow::Result<()> {
    places::all().into_iter().try_for_each(|place| {
        put(&staging.of(place), &root.join(place)).with_context(|| message!("not-put", place))
    })
}

fn tell(about: &Manifest, root: &Path) -> anyhow::Result<()> {
    output::line(message!(
        "restored",
        network = foreign::line(&about.network),
        created = foreign::line(&about.created)
    ))?;
    if about.database == Database::Postgres {
        output::note(message!("restored-postgres"));
    }
    output::note(message!("restored-removed"));
    let conversations = root.join(places::CONVERSATIONS_DATABASE).exists();
    if conversations && machine_key::protection(root)?.is_none() {
        let path = machine_key::path(root);
        output::note(message!("restored-conversations", path = path.display()));
    }
    // What is wrong with them, `maru up` says.
    let Ok(settings) = up::config::coordinator(root) else { return Ok(()) };
    output::note(message!("restored-next", server = settings.server_url()));
    Ok(())
}

/// Refuses a root with files of Maru, except those of an interrupted restore.
fn is_unused(root: &Path) -> anyhow::Result<()> {
    if root.join(RESTORING).exists() {
        return Ok(());
    }
    for place in places::all() {
        if let Some(file) = any_file(&root.join(place))? {
            bail!(message!("root-in-use", root = root.display(), file = file.display()));
        }
    }
    Ok(())
}

/// Refuses while a coordinator uses the database, including one that `maru up` did not start.
fn database_is_free(root: &Path) -> anyhow::Result<()> {
    let path = root.join(IN_USE);
    let mut options = File::options();
    let opened = options.read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(&path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| message!("not-opened", path = path.display()));
        }
    };
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => bail!(message!("coordinator-runs", root = root.display())),
        Err(error) => {
            Err(error).with_context(|| message!("file-not-locked", path = path.display()))
        }
    }
}

/// The first entry at or below a path that is not a folder.
fn any_file(path: &Path) -> anyhow::Result<Option<PathBuf>> {
    let failed = || message!("folder-not-read", path = path.display());
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return Ok(Some(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(failed),
    }
    for entry in fs::read_dir(path).with_context(failed)? {
        if let Some(file) = any_file(&entry.with_context(failed)?.path())? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// Removes the files of an interrupted restore.
fn clear(root: &Path) -> anyhow::Result<()> {
    for place in places::all() {
        let path = root.join(place);
        let removed = match path.symlink_metadata() {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(_) => Ok(()),
        };
        removed.with_context(|| message!("file-not-deleted", path = path.display()))?;
    }
    Ok(())
}

/// Folders for unpacked files; removed when dropped.
struct Staging([TempDir; 2]);

impl Staging {
    fn new(root: &Path) -> anyhow::Result<Self> {
        let make = |folder: &str| {
            let folder = root.join(folder);
            let made = directories::folders(&folder, 0o755);
            made.and_then(|()| tempfile::Builder::new().prefix(UNPACKED).tempdir_in(&folder))
                .with_context(|| message!("no-folder-in", path = folder.display()))
        };
        let [etc, state] = STAGING_FOLDERS;
        Ok(Self([make(etc)?, make(state)?]))
    }

    /// Where a file or place of a backup is unpacked.
    fn of(&self, name: &str) -> PathBuf {
        let [etc, state] = &self.0;
        match name.strip_prefix("etc/") {
            Some(rest) => etc.path().join(rest),
            None => state.path().join(name.strip_prefix("var/lib/maru/").unwrap_or(name)),
        }
    }
}

fn unpack(file: File, root: &Path) -> anyhow::Result<(Manifest, Staging)> {
    let beside = Staging::new(root)?;
    let mut about = None;
    let unpacked = archive::read(
        BufReader::new(file),
        |told| {
            about = Some(judge(told).map_err(RestoreError::Other)?);
            Ok(())
        },
        |name, content| unpack_one(&beside, name, content),
    );
    match unpacked {
        Ok(()) => Ok((about.context(message!("backup-unknown"))?, beside)),
        Err(RestoreError::Archive(error)) => Err(error.into()),
        Err(RestoreError::Other(error)) => Err(error),
    }
}

/// Reads a backup's manifest, and refuses one of a newer version.
fn judge(told: &[u8]) -> anyhow::Result<Manifest> {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
        maru: String,
    }
    let none = || anyhow!(message!("not-a-backup"));
    // What a newer version adds is not looked at before its version.
    let Version { version, maru } = serde_json::from_slice(told).map_err(|_| none())?;
    let newer = || {
        let maru: String = maru.chars().filter(char::is_ascii_graphic).take(40).collect();
        let own = env!("CARGO_PKG_VERSION");
        anyhow!(message!("backup-newer", maru, own))
    };
    if version > VERSION {
        return Err(newer());
    }
    let about: Manifest = serde_json::from_slice(told).map_err(|_| none())?;
    if about.schema > SCHEMA || numbers(&about.maru) > numbers(env!("CARGO_PKG_VERSION")) {
        return Err(newer());
    }
    Ok(about)
}

/// A version's numbers, to compare.
fn numbers(version: &str) -> Vec<u64> {
    let release = version.split(['-', '+']).next().unwrap_or_default();
    release.split('.').map(|number| number.parse().unwrap_or(u64::MAX)).collect()
}

/// Writes a file with the owner and mode that Maru gives it, not those of the archive.
fn unpack_one(beside: &Staging, name: &str, content: &mut dyn Read) -> Result<(), RestoreError> {
    let odd = || ArchiveError::Foreign(name.to_owned());
    let access = places::of(name).ok_or_else(odd)?;
    let mut write = || -> io::Result<()> {
        let path = beside.of(name);
        if let Some(folder) = path.parent() {
            make_folders(beside, folder, access)?;
        }
        let mut options = File::options();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path)?;
        io::copy(content, &mut file)?;
        if let Some((uid, gid)) = access.owner {
            fchown(&file, Some(uid), Some(gid))?;
        }
        file.set_permissions(Permissions::from_mode(access.mode))?;
        file.sync_all()
    };
    write().map_err(|error| {
        RestoreError::Other(anyhow!(error).context(message!("not-unpacked", name)))
    })
}

/// Makes the folders of a file, as its owner's.
fn make_folders(beside: &Staging, folder: &Path, of: Access) -> io::Result<()> {
    if folder.is_dir() || beside.0.iter().any(|top| top.path() == folder) {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make_folders(beside, above, of)?;
    }
    let access = places::folder(of);
    fs::DirBuilder::new().mode(0o700).create(folder)?;
    if let Some((uid, gid)) = access.owner {
        chown(folder, Some(uid), Some(gid))?;
    }
    fs::set_permissions(folder, Permissions::from_mode(access.mode))
}

/// Moves unpacked files to their place, over empty folders.
fn put(unpacked: &Path, place: &Path) -> io::Result<()> {
    if !unpacked.exists() {
        return Ok(());
    }
    remove_empty(place)?;
    fs::rename(unpacked, place)
}

fn remove_empty(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        remove_empty(&entry?.path())?;
    }
    fs::remove_dir(folder)
}

/// Waits until everything is on the disk.
fn sync(root: &Path) -> anyhow::Result<()> {
    for folder in STAGING_FOLDERS {
        let folder = root.join(folder);
        let synced =
            File::open(&folder).and_then(|opened| rustix::fs::syncfs(&opened).map_err(Into::into));
        synced.with_context(|| message!("not-synced", path = folder.display()))?;
    }
    Ok(())
}
