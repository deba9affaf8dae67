//! `maru backup` and `maru restore`: all that a new machine needs to go on as the old one, in one file.
//!
//! A backup is made while everything runs: of the database a consistent copy is taken, and every other file is replaced as
//! a whole when it changes, so that one reading finds the old content or the new. It goes without models, containers,
//! logs and what is true of the machine alone.

use std::{
    env,
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::SystemTime,
};

use anyhow::{Context as _, bail};
use chassis::durable::{self, Access};
use clap::Args;
use common::foreign;
use coordinator_api::{SCHEMA, settings::Settings};
use coordinator_core::time::{self, Millis};
use messages::message;
use services::{
    Arg, COORDINATOR_SERVICE, GATEWAY_SERVICE, GATEWAY_STATE, Mount, Service, TELMEET_SERVICE,
    TELMEET_STATE, child,
};

use supervisor::binaries;

use crate::{
    archive::{ArchiveError, Writer},
    output,
    up::{self, saved_options::SavedOptions},
};

pub(crate) mod kept;
mod last;
mod manifest;
mod places;
pub(crate) mod restore;
mod root;
#[cfg(test)]
mod tests;
mod unfinished;
mod verify;
mod walk;

use kept::BackupFolder;
pub(crate) use last::last;
use manifest::{Database, Manifest, VERSION};
use places::{CONVERSATIONS_DATABASE, DATABASE, ROOMS_DATABASE};
pub(crate) use root::as_root;

/// The coordinator, asked for a copy of its database. It writes in the coordinator's own folder alone, and asks for no
/// other: one that an update brings is there after the next `maru up`, and backups are made before that too.
const COPY: Service = Service {
    args: &[Arg::Text("copy-database")],
    listens: &[],
    mounts: &[Mount::write("var/lib/maru/coordinator")],
    ..COORDINATOR_SERVICE
};
/// telmeet's program on this machine, asked for a copy of the rooms' database, with the rights of its container's user.
const COPY_ROOMS: Service = Service {
    args: &[Arg::Text("copy-database")],
    listens: &[],
    calls: &[],
    mounts: &[Mount::write(TELMEET_STATE)],
    ..TELMEET_SERVICE
};
/// The gateway's program on this machine, asked for a copy of the conversations' database, with the rights of its
/// container's user.
const COPY_CONVERSATIONS: Service = Service {
    args: &[Arg::Text("copy-database")],
    listens: &[],
    calls: &[],
    mounts: &[Mount::write(GATEWAY_STATE)],
    ..GATEWAY_SERVICE
};

/// For temporary files that are too large for memory.
const ON_DISK: &str = "/var/tmp";

/// Every database, with the program that is asked for a copy of it.
const COPIES: [(&str, Service); 3] =
    [(DATABASE, COPY), (ROOMS_DATABASE, COPY_ROOMS), (CONVERSATIONS_DATABASE, COPY_CONVERSATIONS)];

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct BackupArgs {
    /// File to write; it will hold every key of this network [default: a new one in the folder of the daily backups]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "file")]
    pub(crate) force: bool,
    /// Restore the backup into an empty folder of this machine, to see that it is whole
    #[arg(long)]
    pub(crate) verify: bool,
    /// Without FILE: how many backups stay in the folder, older ones are deleted [default: 7, or as `maru setup` was told]
    #[arg(long, value_name = "N", conflicts_with = "file", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) keep: Option<u16>,
    /// Exit with status 1 if anything was left out: a link, or a sparse or too large file
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Makes a backup. In the folder of the daily ones, older ones go only once this one is written, holds every
/// database and, if asked for, is verified.
pub(crate) fn run(args: &BackupArgs, root: &Path) -> anyhow::Result<ExitCode> {
    as_root("backup")?;
    let now = time::from_system(SystemTime::now());
    let Some(file) = &args.file else {
        let told = SavedOptions::load(root)?;
        let kept = BackupFolder::of(root, &told).keeping(args.keep);
        // Nobody chose a folder on a machine that was set up before there were daily backups.
        if told.backups.is_none() {
            kept.make()?
        } else {
            kept.check()?
        }
        let _lock = kept.begin()?;
        kept.has_room()?;
        let file = kept.file(now);
        let written = if args.verify { kept.unverified() } else { file.clone() };
        let made = make(&written, &file, args, root, now)?;
        if !made.has_databases {
            return Ok(ExitCode::FAILURE);
        }
        let deleted = kept.delete_old(&file)?;
        deleted.iter().try_for_each(|name| output::line(message!("backup-deleted", name)))?;
        return Ok(made.status(args));
    };
    let file = std::path::absolute(file)?;
    Ok(make(&file, &file, args, root, now)?.status(args))
}

/// What a backup holds.
struct Contents {
    /// Nothing was left out.
    is_complete: bool,
    /// No database was left out.
    has_databases: bool,
}

impl Contents {
    fn status(&self, args: &BackupArgs) -> ExitCode {
        if self.is_complete || !args.strict { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Writes a backup to `written`, and verifies it if asked for; then it is `file`.
fn make(
    written: &Path,
    file: &Path,
    args: &BackupArgs,
    root: &Path,
    now: Millis,
) -> anyhow::Result<Contents> {
    let shown = written.display();
    if !args.force && file.symlink_metadata().is_ok() {
        bail!(message!("file-exists", path = file.display()));
    }
    let settings = up::config::coordinator(root)?;
    let database = match settings.database_url_file {
        Some(_) => Database::Postgres,
        None => Database::Sqlite,
    };
    let about = Manifest {
        version: VERSION,
        maru: env!("CARGO_PKG_VERSION").to_owned(),
        schema: SCHEMA,
        created: time::to_rfc3339(now),
        network: settings.network.clone(),
        database,
    };
    let mut not_copied = Vec::new();
    let copies = copies(database, root, &mut not_copied)?;
    let (mut count, mut left_out) = (0, Vec::new());
    let may_replace = args.force || written != file;
    durable::write(written, Access::SECRET, may_replace, |out| {
        (count, left_out) = fill(out, &about, root, copies)?;
        anyhow::Ok(())
    })
    .with_context(|| message!("backup-not-written", path = shown))?;
    let has_databases = not_copied.is_empty();
    left_out.extend(not_copied);
    left_out.iter().for_each(|what| output::note(message!("left-out", file = foreign::line(what))));
    outside(&settings).iter().for_each(|path| {
        output::note(message!("left-out-outside", path));
    });
    if database == Database::Postgres {
        output::note(message!("backup-postgres"));
    }
    output::line(message!("backup-done", path = shown, count))?;
    if args.verify {
        verify::verify(written, root, read_databases)
            .with_context(|| message!("backup-broken", path = shown))?;
        let is_named = has_databases || written == file;
        if is_named {
            fs::rename(written, file)
                .with_context(|| message!("backup-not-written", path = file.display()))?;
        }
        let path = if is_named { file } else { written };
        output::line(message!("backup-verified", path = path.display()))?;
    }
    if has_databases && let Err(error) = last::made(root, &about.created) {
        output::note(error);
    }
    let is_complete = left_out.is_empty();
    if !is_complete {
        output::note(message!("backup-incomplete"));
    }
    Ok(Contents { is_complete, has_databases })
}

/// Has each daemon's program read its database at this root.
fn read_databases(root: &Path) -> anyhow::Result<()> {
    for (name, service) in COPIES {
        if root.join(name).exists() {
            copy_database(&service, root)
                .with_context(|| message!("backup-database-broken", name))?;
        }
    }
    Ok(())
}

/// A copy of each database that is a file; in `left_out` those that could not be copied.
fn copies(
    database: Database,
    root: &Path,
    left_out: &mut Vec<String>,
) -> anyhow::Result<Vec<(&'static str, File)>> {
    let mut copies = Vec::new();
    for (name, service) in COPIES {
        if name == DATABASE {
            if database == Database::Sqlite {
                copies.push((name, copy_database(&service, root)?));
            }
        } else if root.join(name).symlink_metadata().is_ok() {
            // What a container wrote cannot prevent saving the rest.
            match copy_database(&service, root) {
                Ok(copy) => copies.push((name, copy)),
                Err(error) => left_out.push(format!("{name}: {error:#}")),
            }
        }
    }
    Ok(copies)
}

/// Files that the coordinator's settings name outside of what a backup holds.
fn outside(settings: &Settings) -> Vec<String> {
    let tls = settings.tls.iter();
    let named = tls.flat_map(|tls| {
        let ca = tls.acme.as_ref().and_then(|acme| acme.ca.as_ref());
        [tls.certificate.as_ref(), tls.key.as_ref(), ca]
    });
    let own = [settings.database_url_file.as_ref(), settings.derp_map_file.as_ref()];
    let named = named.chain(own).flatten().map(|path| path.display().to_string());
    named.filter(|path| places::of(path.trim_start_matches('/')).is_none()).collect()
}

/// Asks a daemon's program for a copy of its database, as the daemon's user.
fn copy_database(service: &Service, root: &Path) -> anyhow::Result<File> {
    let program = binaries::for_everyone(&binaries::find(service.binary)?, root)?;
    let command = child::command(
        service,
        &child::MemoryBound::Rlimit,
        Path::new(crate::confine::OWN_PROGRAM),
        &program,
        root,
    );
    let mut folder = env::temp_dir();
    // `/tmp` may be memory, and a database is as large as it is.
    if env::var_os("TMPDIR").is_none() && Path::new(ON_DISK).is_dir() {
        folder = PathBuf::from(ON_DISK);
    }
    let mut copy = tempfile::tempfile_in(folder).context(message!("no-temporary-file"))?;
    let (program, args) = command.split_first().context("a command has a program")?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(copy.try_clone()?).stderr(Stdio::piped());
    let output = command
        .output()
        .context(message!("database-program-not-started", program = service.binary))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(message!(
            "database-not-copied",
            error = said.trim().lines().last().unwrap_or_default()
        ));
    }
    copy.seek(SeekFrom::Start(0))?;
    Ok(copy)
}

/// Writes the archive; returns how many files are in it, and what is not.
fn fill(
    out: &mut File,
    about: &Manifest,
    root: &Path,
    copies: Vec<(&str, File)>,
) -> anyhow::Result<(usize, Vec<String>)> {
    let mut writer = Writer::new(BufWriter::new(out), &serde_json::to_vec_pretty(about)?)?;
    let (mut long, mut shrunk) = (Vec::new(), Vec::new());
    let mut add = |name: &str, len: u64, file: File| {
        match self::add(&mut writer, name, len, file) {
            Err(ArchiveError::Name(_)) => long.push(message!("name-too-long", name).to_string()),
            Ok(false) => shrunk.push(message!("file-shrank", name).to_string()),
            added => _ = added?,
        }
        Ok(())
    };
    let walk = walk::below(root, places::bounds(), &mut add)?;
    let (count, mut left_out) = (walk.count, walk.left_out());
    if count == 0 {
        bail!(message!("nothing-to-back-up", path = root.display()));
    }
    let count = count - long.len() + copies.len();
    left_out.append(&mut long);
    left_out.append(&mut shrunk);
    for (name, copy) in copies {
        writer.add(name, copy.metadata()?.len(), BufReader::new(copy))?;
    }
    writer.finish()?.flush()?;
    Ok((count, left_out))
}

/// Adds a file; returns whether it was as long as it should be. Where a container may shrink one at any time, zeros
/// stand for what is missing, and elsewhere it is an error.
fn add<W: Write>(
    writer: &mut Writer<W>,
    name: &str,
    len: u64,
    file: File,
) -> Result<bool, ArchiveError> {
    let mut missing = len;
    let counted = CountingReader { from: BufReader::new(file), missing: &mut missing };
    if places::is_of_container(name) {
        writer.add(name, len, counted.chain(io::repeat(0)))?;
    } else {
        writer.add(name, len, counted)?;
    }
    Ok(missing == 0)
}

/// Counts down what is read.
struct CountingReader<'a, R> {
    from: R,
    missing: &'a mut u64,
}

impl<R: Read> Read for CountingReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.from.read(buffer)?;
        *self.missing = self.missing.saturating_sub(len as u64);
        Ok(len)
    }
}
