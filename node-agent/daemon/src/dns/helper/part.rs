//! The two processes of the helper: [`keep`] and [`fn@write`].

use std::{
    ffi::OsStr,
    fs::{DirBuilder, File, TryLockError},
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
use node_agent_core::{
    resolv_conf::{REQUEST_MAX, Request},
    system_resolver::Method,
};
use rustix::{
    fs::{Mode, OFlags, fstat, open},
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
    thread::set_name,
};
use tokio::signal::unix::{SignalKind, signal};

use super::{message::Response, scope::Scope};
use crate::{
    config::Paths,
    dns::{
        openresolv,
        resolv_conf::RESOLV_CONF,
        system::{SystemResolver, Undo},
    },
    start::rights,
};

/// Timeout of the helper's start, which may wait for the helper of an earlier agent.
pub(super) const START: Duration = Duration::from_secs(15);
/// Exit status of a writer whose file was replaced: a new writer may write the new file.
const AGAIN: u8 = 75;
/// Pause between two writers.
const PAUSE: Duration = Duration::from_millis(100);
/// Pause between attempts to get the lock.
const LOOK: Duration = Duration::from_millis(50);

/// A process of the helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Starts writers, and undoes everything at the end.
    Keeper,
    /// Handles requests. The first writer reports when it is ready.
    Writer {
        /// Whether it is the first.
        first: bool,
    },
}

impl Part {
    /// Its name on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Keeper => "keep-resolv-conf",
            Self::Writer { first: true } => "write-resolv-conf",
            Self::Writer { first: false } => "write-resolv-conf-again",
        }
    }

    /// The part with that name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn of(word: &str) -> Result<Self, String> {
        let parts = [Self::Keeper, Self::Writer { first: true }, Self::Writer { first: false }];
        let part = parts.into_iter().find(|part| part.word() == word);
        part.ok_or_else(|| "unknown part".to_owned())
    }

    pub(super) fn command(self, root: &Path, scope: &Scope) -> Command {
        // The running program, even if its file was replaced.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("maru-agent").args([OsStr::new("--part"), OsStr::new(self.word())]);
        command.arg("--scope").arg(scope.to_string()).arg("--root").arg(root);
        command
    }
}

/// Runs a part of the helper until the agent has ended. Standard input is the socket.
///
/// # Errors
///
/// The error, which was also sent to the agent.
pub fn run(part: Part, scope: Scope, root: &Path) -> io::Result<ExitCode> {
    let paths = Paths::new(root);
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let _ = set_name(c"maru-resolver");
    let runtime = ignore_signals()?;
    let done = match part {
        Part::Keeper => keep(&paths, root, &scope, &socket),
        Part::Writer { first } => {
            write(&SystemResolver::new(&paths, scope), &paths, &socket, first)
        }
    };
    if let Err(error) = &done {
        tracing::error!(%error, "cannot manage this machine's resolver");
        let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
        let _ = send(&socket, &Response::Failed(errno).encode(), SendFlags::NOSIGNAL);
    }
    drop(runtime);
    done
}

/// Makes a runtime that ignores SIGINT, SIGTERM and SIGHUP: they are often sent to the agent's children as well, but the
/// helper must end after the agent.
fn ignore_signals() -> io::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let inside = runtime.enter();
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
        drop(signal(kind)?);
    }
    drop(inside);
    Ok(runtime)
}

fn keep(paths: &Paths, root: &Path, scope: &Scope, socket: &OwnedFd) -> io::Result<ExitCode> {
    let folder = take_charge(paths)?;
    rights::become_helper().map_err(io::Error::other)?;
    let mut places = vec![place("/etc")?, folder.as_fd().try_clone_to_owned()?];
    places.extend(places_of(Method::Resolvconf));
    confine::write_only(&places)?;
    let mut first = true;
    loop {
        let mut writer = Part::Writer { first }.command(root, scope);
        let status = writer.stdin(Stdio::from(socket.try_clone()?)).env_clear().status()?;
        first = false;
        if status.code() != Some(AGAIN.into()) && status.signal().is_none() {
            break;
        }
        sleep(PAUSE);
    }
    Undo::of(paths).all()?;
    Ok(ExitCode::SUCCESS)
}

/// Handles requests until the agent has ended.
fn write(
    system: &SystemResolver,
    paths: &Paths,
    socket: &OwnedFd,
    first: bool,
) -> io::Result<ExitCode> {
    system.open()?;
    rights::become_helper().map_err(io::Error::other)?;
    let (file, method) = (plain_file(), system.method());
    confine_to(file.as_ref(), &paths.resolver_dir(), method)?;
    if first {
        send(socket, &Response::Ready.encode(), SendFlags::NOSIGNAL)?;
    }
    let mut packet = [0; REQUEST_MAX + 1];
    loop {
        // Peek first, so that a new writer can answer if the file was replaced, or the method is another one now.
        match recv(socket, &mut packet, RecvFlags::PEEK) {
            Ok((0, _)) => return Ok(ExitCode::SUCCESS),
            Ok(_) if !is_still(file.as_ref()) || system.method() != method => {
                return Ok(ExitCode::from(AGAIN));
            }
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let (len, _) = recv(socket, &mut packet, RecvFlags::empty())?;
        let answer = answer(system, method, Request::decode(&packet[..len]));
        send(socket, &answer.encode(), SendFlags::NOSIGNAL)?;
    }
}

fn answer(system: &SystemResolver, method: Method, request: Option<Request>) -> Response {
    let done = match request {
        Some(Request::Point(domain)) => system.take(method, &domain).map(|is_led| match is_led {
            true => Response::Done(method),
            false => Response::LeftAlone(method),
        }),
        Some(Request::Restore) => system.restore().map(|()| Response::Restored),
        None => Ok(Response::Refused),
    };
    done.unwrap_or_else(|error| {
        tracing::warn!(%error, %method, "the resolver is not changed");
        Response::Failed(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    })
}

/// Confines this process to writing the open file, if there is one, in the backup's folder, and with openresolv where its command
/// writes.
pub(super) fn confine_to(
    file: Option<&OwnedFd>,
    folder: &Path,
    method: Method,
) -> io::Result<Enforcement> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = open(folder, flags, Mode::empty())?;
    let others = places_of(method);
    let places: Vec<_> = file.into_iter().chain([&folder]).chain(&others).collect();
    confine::write_only(&places)
}

/// Where the commands of a method write beside `/etc/resolv.conf`, as far as it is there.
fn places_of(method: Method) -> Vec<OwnedFd> {
    let paths: &[&str] = match method {
        Method::SystemdResolved => &["/dev/null"],
        Method::Resolvconf => &["/dev/null", openresolv::FOLDER],
        Method::ResolvConf => &[],
    };
    paths.iter().filter_map(|path| place(path).ok()).collect()
}

fn place(path: &str) -> io::Result<OwnedFd> {
    Ok(open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// The file itself, if it is a plain file; links are not followed.
fn plain_file() -> Option<OwnedFd> {
    let file =
        open(RESOLV_CONF, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let is_plain = fstat(&file).is_ok_and(|found| {
        rustix::fs::FileType::from_raw_mode(found.st_mode) == rustix::fs::FileType::RegularFile
    });
    is_plain.then_some(file)
}

/// Whether the path still names the file that this process may write; another program may have replaced it.
fn is_still(file: Option<&OwnedFd>) -> bool {
    match (file.map(fstat), plain_file().map(fstat)) {
        (Some(Ok(old)), Some(Ok(new))) => (old.st_dev, old.st_ino) == (new.st_dev, new.st_ino),
        (None, None) => true,
        _ => false,
    }
}

/// Opens the backup's folder and waits until the helper of an earlier agent has ended. While the folder is open, this process alone
/// changes the resolver for this instance.
pub(crate) fn take_charge(paths: &Paths) -> io::Result<File> {
    let folder = own_folder(paths)?;
    lock(&folder)?;
    Ok(folder)
}

/// The backup's folder. It belongs to root, so that the agent cannot choose what is restored.
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

/// Waits until the helper of an earlier agent has ended.
fn lock(folder: &File) -> io::Result<()> {
    for _ in 0..(START / 2).as_millis() / LOOK.as_millis() {
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => sleep(LOOK),
            other => return Ok(other?),
        }
    }
    Err(Errno::WOULDBLOCK.into())
}

#[cfg(test)]
mod tests;
