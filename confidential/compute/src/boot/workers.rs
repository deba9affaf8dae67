//! Workers: a new process for each request, and a spare one for the next.
//!
//! ```text
//! spare ──job and connection over its stdin──▶ confirms ──▶ works ──▶ exits
//!                                                             └── timeout, client disconnected ──▶ killed
//! ```
//!
//! A worker gets the client's connection itself, so that this process and `router-com` see only sealed content.

use std::{
    ffi::OsString,
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
    pin::pin,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chassis::hang_up::HangUp;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, sendmsg, socketpair,
};
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::frame::Refusal;

/// Delay before the next worker is started, so that it does not slow down the current one.
const BEGINNING: Duration = Duration::from_millis(20);

/// How a worker is started.
#[derive(Clone, Debug)]
pub struct Program {
    /// The file.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// The workers of a node.
#[derive(Debug)]
pub struct Workers {
    program: Program,
    /// Longest lifetime of a worker.
    life: Duration,
    places: Arc<Semaphore>,
    spare: Mutex<Option<Worker>>,
}

/// A worker process.
#[derive(Debug)]
struct Worker {
    child: Child,
    /// Its stdin: a socket that keeps messages apart.
    job: OwnedFd,
}

impl Workers {
    /// At most `max` workers at a time, each for at most `life`.
    #[must_use]
    pub fn new(program: Program, max: usize, life: Duration) -> Self {
        Self { program, life, places: Arc::new(Semaphore::new(max)), spare: Mutex::default() }
    }

    /// A permit for one request.
    ///
    /// # Errors
    ///
    /// [`Refusal::Busy`] if there is none left.
    pub fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refusal::Busy)
    }

    /// Starts the spare worker, unless there is one.
    pub fn prepare(&self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |worker: &mut Worker| matches!(worker.child.try_wait(), Ok(None));
        if spare.as_mut().is_some_and(waits) {
            return;
        }
        match self.start() {
            Ok(worker) => *spare = Some(worker),
            Err(error) => tracing::error!(%error, "the worker could not be started"),
        }
    }

    /// Gives a job to a worker, and waits until the worker has ended. The worker responds to the client itself; if it fails,
    /// the connection is closed.
    ///
    /// # Errors
    ///
    /// No process can be started, or it ended before it received its job.
    pub async fn work(&self, job: &[u8], connection: UnixStream) -> io::Result<()> {
        let hang_up = HangUp::of(&connection)?;
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(spare) = spare
            && hand(&spare, job, &connection).is_ok()
            && self.attend(spare, &hang_up).await
        {
            return Ok(());
        }
        // There was no spare worker, or it had ended.
        let worker = self.start()?;
        hand(&worker, job, &connection)?;
        drop(connection);
        if self.attend(worker, &hang_up).await {
            return Ok(());
        }
        Err(io::ErrorKind::BrokenPipe.into())
    }

    /// Waits until a worker has ended. Returns `false` if it ended before it received its job.
    async fn attend(&self, mut worker: Worker, hang_up: &HangUp) -> bool {
        let done = async {
            tokio::select! {
                status = worker.child.wait() => Some(status),
                () = hang_up.wait() => None,
            }
        };
        // Starting a process takes as long as the rest of a request, so not before its first bytes.
        let and_prepare = async {
            let mut done = pin!(done);
            if let Ok(soon) = timeout(BEGINNING, &mut done).await {
                return soon;
            }
            self.prepare();
            done.await
        };
        match timeout(self.life, and_prepare).await {
            Ok(Some(Ok(status))) if status.success() => {}
            Ok(Some(status)) => {
                if !has_received(&worker) {
                    tracing::warn!(?status, "a worker ended before it received its request");
                    return false;
                }
                tracing::warn!(?status, "a worker failed");
            }
            Ok(None) => tracing::debug!("a worker was killed: its client disconnected"),
            Err(_) => tracing::warn!(life = ?self.life, "a worker was killed: it took too long"),
        }
        // This also reaps a process that has ended.
        let _ = worker.child.kill().await;
        self.prepare();
        true
    }

    fn start(&self) -> io::Result<Worker> {
        let flags = SocketFlags::CLOEXEC;
        let (job, stdin) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let child = Command::new(&self.program.path)
            .args(&self.program.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(stdin))
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Worker { child, job })
    }
}

/// Sends a worker its job and the client's connection, in one message.
fn hand(worker: &Worker, job: &[u8], connection: &UnixStream) -> io::Result<()> {
    let connection = [connection.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&connection)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    sendmsg(&worker.job, &[IoSlice::new(job)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Whether a worker confirmed that it received its job. The state of its socket does not say so: the kernel may have taken the
/// job out of the socket for a process that was already killed.
fn has_received(worker: &Worker) -> bool {
    matches!(recv(&worker.job, &mut [0; 1], RecvFlags::DONTWAIT), Ok((1.., _)))
}
