//! The two processes of the helper: [`keep`] and [`fn@write`].

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File},
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{
            fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
            process::{CommandExt as _, ExitStatusExt as _},
        },
    },
    path::Path,
    process::{Command, ExitCode, Stdio},
    thread::sleep,
    time::Duration,
};

use chassis::confine::{self, Enforcement};
use node_agent_core::resolv_conf::{QUESTION_MAX, Question};
use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock, fstat, open},
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
    thread::set_name,
};
use tokio::signal::unix::{SignalKind, signal};

use super::message::Answer;
use crate::{
    config::Paths,
    dns::resolv_conf::{RESOLV_CONF, ResolvConf},
    start::folders,
    start::rights,
};

/// How long the helper may wait for one of an agent before, and start.
pub(super) const START: Duration = Duration::from_secs(15);
/// Exit status of a writer that the file was taken from: another one may write the new file.
const AGAIN: u8 = 75;
/// Between two writers.
const PAUSE: Duration = Duration::from_millis(100);
/// Between attempts to be the only one.
const LOOK: Duration = Duration::from_millis(50);

/// A process of the helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Starts writers, and restores the file at the end.
    Keeper,
    /// Takes questions. The first one says when it is ready.
    Writer {
        /// Whether it is the first.
        first: bool,
    },
}

impl Part {
    /// The word on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Keeper => "keep-resolv-conf",
            Self::Writer { first: true } => "write-resolv-conf",
            Self::Writer { first: false } => "write-resolv-conf-again",
        }
    }

    /// The part of that word.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn of(word: &str) -> Result<Self, String> {
        let parts = [Self::Keeper, Self::Writer { first: true }, Self::Writer { first: false }];
        let part = parts.into_iter().find(|part| part.word() == word);
        part.ok_or_else(|| "the agent has no such part".to_owned())
    }

    pub(super) fn command(self, root: &Path) -> Command {
        // This very program, though another may have its name by now.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("maru-agent").args([OsStr::new("--part"), OsStr::new(self.word())]);
        command.arg("--root").arg(root);
        command
    }
}

/// Is a part of the helper until the agent has ended. Standard input is the socket.
///
/// # Errors
///
/// What it cannot do; it has told the agent.
pub fn run(part: Part, root: &Path) -> io::Result<ExitCode> {
    let paths = Paths::new(root);
    let conf = ResolvConf::new(Path::new(RESOLV_CONF), &paths.resolv_conf_backup());
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let _ = set_name(c"maru-resolver");
    let deaf = deaf()?;
    let done = match part {
        Part::Keeper => keep(&conf, &paths, root, &socket),
        Part::Writer { first } => write(&conf, &paths, &socket, first),
    };
    if let Err(error) = &done {
        tracing::error!(%error, "cannot take charge of {RESOLV_CONF}");
        let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
        let _ = send(&socket, &Answer::Failed(errno).encode(), SendFlags::NOSIGNAL);
    }
    drop(deaf);
    done
}

/// Makes a runtime that ignores SIGINT and SIGTERM: those that end the agent are often sent to its children as well,
/// and the helper ends after it, by itself.
fn deaf() -> io::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let inside = runtime.enter();
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
        drop(signal(kind)?);
    }
    drop(inside);
    Ok(runtime)
}

fn keep(conf: &ResolvConf, paths: &Paths, root: &Path, socket: &OwnedFd) -> io::Result<ExitCode> {
    let folder = own_folder(paths)?;
    alone(&folder)?;
    take_over_backup(paths)?;
    rights::become_helper().map_err(io::Error::other)?;
    let system = open("/etc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    confine::write_only(&[system, folder.as_fd().try_clone_to_owned()?])?;
    let mut first = true;
    loop {
        let mut writer = Part::Writer { first }.command(root);
        let status = writer.stdin(Stdio::from(socket.try_clone()?)).env_clear().status()?;
        first = false;
        if status.code() != Some(AGAIN.into()) && status.signal().is_none() {
            break;
        }
        sleep(PAUSE);
    }
    conf.restore()?;
    Ok(ExitCode::SUCCESS)
}

/// Takes questions until the agent has ended.
fn write(conf: &ResolvConf, paths: &Paths, socket: &OwnedFd, first: bool) -> io::Result<ExitCode> {
    conf.open()?;
    rights::become_helper().map_err(io::Error::other)?;
    let file = plain_file();
    let confined = confine_to(file.as_ref(), &paths.resolver_dir())?;
    if first {
        send(socket, &Answer::Ready(confined).encode(), SendFlags::NOSIGNAL)?;
    }
    let mut packet = [0; QUESTION_MAX + 1];
    loop {
        // Looked at first: another writer answers it if this one cannot.
        match recv(socket, &mut packet, RecvFlags::PEEK) {
            Ok((0, _)) => return Ok(ExitCode::SUCCESS),
            Ok(_) if !is_still(file.as_ref()) => return Ok(ExitCode::from(AGAIN)),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let (len, _) = recv(socket, &mut packet, RecvFlags::empty())?;
        let answer = answer(conf, Question::decode(&packet[..len]));
        send(socket, &answer.encode(), SendFlags::NOSIGNAL)?;
    }
}

fn answer(conf: &ResolvConf, question: Option<Question>) -> Answer {
    let done = match question {
        Some(Question::Point(domain)) => conf.take(&domain),
        Some(Question::Restore) => conf.restore().map(|()| true),
        None => return Answer::Refused,
    };
    match done {
        Ok(true) => Answer::Done,
        Ok(false) => Answer::LeftAlone,
        Err(error) => Answer::Failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
    }
}

/// Lets this process write the open file, if there is one, and in the backup's folder. Whether the kernel can do that.
pub(super) fn confine_to(file: Option<&OwnedFd>, folder: &Path) -> io::Result<bool> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = open(folder, flags, Mode::empty())?;
    let places: Vec<_> = file.into_iter().chain([&folder]).collect();
    Ok(confine::write_only(&places)? == Enforcement::Full)
}

/// The file itself, if it is one: what a link leads to is not ours.
fn plain_file() -> Option<OwnedFd> {
    let file =
        open(RESOLV_CONF, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let is_plain = fstat(&file).is_ok_and(|found| {
        rustix::fs::FileType::from_raw_mode(found.st_mode) == rustix::fs::FileType::RegularFile
    });
    is_plain.then_some(file)
}

/// Whether what this process may write still has the name; another program may have put a file of its own there.
fn is_still(file: Option<&OwnedFd>) -> bool {
    match (file.map(fstat), plain_file().map(fstat)) {
        (Some(Ok(old)), Some(Ok(new))) => (old.st_dev, old.st_ino) == (new.st_dev, new.st_ino),
        (None, None) => true,
        _ => false,
    }
}

/// The backup's folder, which is root's: the agent must not choose what is restored.
fn own_folder(paths: &Paths) -> io::Result<File> {
    let path = paths.resolver_dir();
    DirBuilder::new().recursive(true).mode(0o755).create(&path)?;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let folder = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(&path)?;
    let found = folder.metadata()?;
    if found.uid() != 0 || found.mode() & 0o022 != 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(folder)
}

/// Waits until no helper of an agent before is left.
fn alone(folder: &File) -> io::Result<()> {
    for _ in 0..(START / 2).as_millis() / LOOK.as_millis() {
        match flock(folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => sleep(LOOK),
            other => return Ok(other?),
        }
    }
    Err(Errno::WOULDBLOCK.into())
}

/// Where the backup was while the agent was root, in its own folder, it is taken over once: as long as it is root's, it
/// is what root wrote.
fn take_over_backup(paths: &Paths) -> io::Result<()> {
    let (old, new) = (paths.old_resolv_conf_backup(), paths.resolv_conf_backup());
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match open(&old, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::LOOP) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    let found = fstat(&file)?;
    if found.st_uid != 0 || !folders::is_plain(&found) {
        return Ok(());
    }
    if !new.exists() {
        let text = io::read_to_string(File::from(file))?;
        crate::dns::resolv_conf::keep(&new, &text)?;
    }
    // Where root may not, the agent does: the file is its own from now on.
    let _ = fs::remove_file(&old);
    Ok(())
}

#[cfg(test)]
mod tests;
