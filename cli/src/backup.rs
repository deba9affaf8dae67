//! `maru backup` and `maru restore`: all that a new machine needs to go on as the old one, in one file.
//!
//! A backup is made while everything runs: of the database a consistent copy is taken, and every other file is replaced as
//! a whole when it changes, so that one reading finds the old content or the new. It goes without models, containers,
//! logs and what is true of the machine alone.

use std::{
    fs::File,
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
use coordinator_core::time;
use messages::message;
use services::{
    Arg, COORDINATOR_SERVICE, GATEWAY_SERVICE, GATEWAY_STATE, Mount, Service, TELMEET_SERVICE,
    TELMEET_STATE, child,
};

use supervisor::binaries;

use crate::{
    archive::{ArchiveError, Writer},
    output, up,
};

mod last;
mod manifest;
mod places;
pub(crate) mod restore;
mod root;
#[cfg(test)]
mod tests;
mod unfinished;
mod walk;

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

#[derive(Clone, Debug, Args)]
pub(crate) struct BackupArgs {
    /// File to write; it will hold every key of this network
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    pub(crate) force: bool,
    /// Exit with status 1 if anything was left out: a link, or a sparse or too large file
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Makes a backup.
pub(crate) fn run(args: &BackupArgs, root: &Path) -> anyhow::Result<ExitCode> {
    as_root("backup")?;
    let file = std::path::absolute(&args.file)?;
    let shown = file.display();
    if !args.force && file.symlink_metadata().is_ok() {
        bail!(message!("file-exists", path = shown));
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
        created: time::to_rfc3339(time::from_system(SystemTime::now())),
        network: settings.network.clone(),
        database,
    };
    let mut copies = Vec::new();
    if database == Database::Sqlite {
        copies.push((DATABASE, copy_database(&COPY, root)?));
    }
    let mut not_copied = Vec::new();
    for (name, service) in
        [(ROOMS_DATABASE, COPY_ROOMS), (CONVERSATIONS_DATABASE, COPY_CONVERSATIONS)]
    {
        if root.join(name).symlink_metadata().is_err() {
            continue;
        }
        // What a container wrote cannot prevent saving the rest.
        match copy_database(&service, root) {
            Ok(copy) => copies.push((name, copy)),
            Err(error) => not_copied.push(format!("{name}: {error:#}")),
        }
    }
    let (mut count, mut left_out) = (0, Vec::new());
    durable::write(&file, Access::SECRET, args.force, |out| {
        (count, left_out) = fill(out, &about, root, copies)?;
        anyhow::Ok(())
    })
    .with_context(|| message!("backup-not-written", path = shown))?;
    if not_copied.is_empty()
        && let Err(error) = last::made(root, &about.created)
    {
        output::note(error);
    }
    left_out.extend(not_copied);
    left_out.iter().for_each(|what| output::note(message!("left-out", file = foreign::line(what))));
    outside(&settings).iter().for_each(|path| {
        output::note(message!("left-out-outside", path));
    });
    if database == Database::Postgres {
        output::note(message!("backup-postgres"));
    }
    output::line(message!("backup-done", path = shown, count))?;
    if left_out.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    output::note(message!("backup-incomplete"));
    Ok(if args.strict { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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
    let mut copy = tempfile::tempfile().context(message!("no-temporary-file"))?;
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
