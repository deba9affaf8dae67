//! Workers: a fresh process for each request, and one that waits for the next.
//!
//! ```text
//! spare ──job and connection over its stdin──▶ works ──▶ exits
//!                                                └── its time is up, the caller left ──▶ killed
//! ```
//!
//! A worker is handed the caller's connection itself, so nothing that it seals or opens passes through this process or
//! through `router-com` but sealed.

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
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
        SocketFlags, SocketType, recv, sendmsg, socketpair,
    },
};
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::frame::Refusal;

/// How long a worker has the machine for itself before the next one is started.
const BEGINNING: Duration = Duration::from_millis(20);

/// How a worker is started.
#[derive(Clone, Debug)]
pub struct Program {
    /// The file.
    pub path: PathBuf,
    /// What it is told.
    pub arguments: Vec<OsString>,
}

/// The workers of a node.
#[derive(Debug)]
pub struct Workers {
    program: Program,
    /// Longest life of one.
    life: Duration,
    places: Arc<Semaphore>,
    spare: Mutex<Option<Worker>>,
}

/// A process that has no job yet.
#[derive(Debug)]
struct Worker {
    child: Child,
    /// Its stdin: a socket that keeps messages apart.
    job: OwnedFd,
}

impl Workers {
    /// Workers of this program, so many at a time, for so long at most.
    #[must_use]
    pub fn new(program: Program, max: usize, life: Duration) -> Self {
        Self { program, life, places: Arc::new(Semaphore::new(max)), spare: Mutex::default() }
    }

    /// A place for one request.
    ///
    /// # Errors
    ///
    /// [`Refusal::Busy`] if all are taken.
    pub fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refusal::Busy)
    }

    /// Starts the worker that waits for the next request, unless there is one.
    pub fn prepare(&self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |worker: &mut Worker| matches!(worker.child.try_wait(), Ok(None));
        if spare.as_mut().is_some_and(waits) {
            return;
        }
        match self.start() {
            Ok(worker) => *spare = Some(worker),
            Err(error) => tracing::error!(%error, "no worker can be started"),
        }
    }

    /// Has one worker do a job for the caller of `connection`, and waits until it is gone. The worker answers the caller
    /// itself; where it cannot, the caller sees the connection end.
    ///
    /// # Errors
    ///
    /// No process can be started, or the one that was has ended before it had its job.
    pub async fn work(&self, job: &[u8], connection: UnixStream) -> io::Result<()> {
        let hang_up = HangUp::of(&connection)?;
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(spare) = spare
            && hand(&spare, job, &connection).is_ok()
            && self.attend(spare, &hang_up).await
        {
            return Ok(());
        }
        // None waited, or it died while it did.
        let worker = self.start()?;
        hand(&worker, job, &connection)?;
        drop(connection);
        self.attend(worker, &hang_up).await;
        Ok(())
    }

    /// Waits until a worker that has its job is gone. Whether the job is done with: not if the worker died before it took it.
    async fn attend(&self, mut worker: Worker, hang_up: &HangUp) -> bool {
        let done = async {
            tokio::select! {
                status = worker.child.wait() => Some(status),
                () = hang_up.wait() => None,
            }
        };
        // To start a process takes as long as the rest of a request: not beside its first word.
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
                if is_untaken(&worker) {
                    tracing::warn!(?status, "a worker died before it took its request");
                    return false;
                }
                tracing::warn!(?status, "a worker failed");
            }
            Ok(None) => tracing::debug!("a worker is ended: its caller left"),
            Err(_) => tracing::warn!(life = ?self.life, "a worker is ended: its time is up"),
        }
        // Also what has ended is awaited, so that nothing is left of it.
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

/// Hands a worker its job and the caller's connection, in one message.
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

/// Whether a worker that has ended never took its job: its socket was closed with something unread in it (unix(7)).
fn is_untaken(worker: &Worker) -> bool {
    matches!(recv(&worker.job, &mut [0; 1], RecvFlags::DONTWAIT), Err(Errno::CONNRESET))
}
