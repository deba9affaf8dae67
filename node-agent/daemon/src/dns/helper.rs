//! The helper: root's part of the agent, which writes `/etc/resolv.conf` and does nothing else.
//!
//! ```text
//!  agent, no root ── Question ──▶ writer: root's files, no capability; Landlock: that file and its backup
//!        ◀── Answer ──                ▲ started again when somebody exchanged the file
//!                                  keeper: listens to nobody; restores the file when both have ended
//! ```
//!
//! Both are this program, started by the agent while it is root ([`Part`]). Whichever is killed: the file is restored
//! when the agent ends if the keeper lives, or by the next start.

use std::{
    io,
    net::IpAddr,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    path::Path,
    process::{Child, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use node_agent_core::{domain::Domain, resolv_conf::Question};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair, sockopt,
};

use crate::{
    config::Paths,
    dns::resolv_conf::{self, RESOLV_CONF},
};

pub mod message;
mod part;

use message::{ANSWER_LEN, Answer};
use part::START;
pub use part::{Part, run};

/// How long an answer may take, and the start.
const ANSWER: Duration = Duration::from_secs(5);
/// How long it may take to end.
const END: Duration = Duration::from_secs(3);

/// Nobody writes `resolv.conf`.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// The helper cannot be started.
    #[error("cannot start the helper that writes {RESOLV_CONF}")]
    Start(#[source] io::Error),
    /// It cannot do its work.
    #[error("the helper cannot take charge of {RESOLV_CONF} (is another maru-agent running?)")]
    Charge(#[source] io::Error),
    /// It has gone.
    #[error("the helper that writes {RESOLV_CONF} has gone: restart the agent")]
    Gone(#[source] io::Error),
    /// The system refused the helper.
    #[error("cannot write {RESOLV_CONF}")]
    Write(#[source] io::Error),
}

/// The agent's end of the helper.
#[derive(Debug)]
pub struct Helper {
    socket: Mutex<OwnedFd>,
    child: Child,
    confined: bool,
}

impl Helper {
    /// Starts the helper for the instance whose files are below `root`; to be called as root, before anything is given
    /// up. It has undone what a crash left when this returns.
    ///
    /// # Errors
    ///
    /// See [`HelperError`]; nothing is left behind.
    pub fn start(root: &Path) -> Result<Self, HelperError> {
        let pair =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (own, other) = pair.map_err(|errno| HelperError::Start(errno.into()))?;
        let mut command = Part::Keeper.command(root);
        // Ctrl-C is for the agent, which needs the helper once more.
        command.stdin(Stdio::from(other)).env_clear().process_group(0);
        let child = command.spawn().map_err(HelperError::Start)?;
        drop(command);
        let mut helper = Self { socket: Mutex::new(own), child, confined: false };
        match helper.receive(START) {
            Ok(Answer::Ready(confined)) => helper.confined = confined,
            Ok(Answer::Failed(errno)) => return Err(helper.fails(errno.into())),
            Ok(Answer::Done | Answer::LeftAlone | Answer::Refused) => {
                return Err(helper.fails(io::ErrorKind::InvalidData.into()));
            }
            Err(error) => return Err(helper.fails(error)),
        }
        Ok(helper)
    }

    fn fails(self, error: io::Error) -> HelperError {
        self.end();
        HelperError::Charge(error)
    }

    /// Whether the kernel confines it to the file.
    #[must_use]
    pub fn is_confined(&self) -> bool {
        self.confined
    }

    /// Points the file at the agent, with `network` as the first search domain. Repeating it is safe, and takes what
    /// someone else wrote meanwhile as the original.
    ///
    /// Returns whether it is pointed: what is no plain file is left alone.
    ///
    /// # Errors
    ///
    /// See [`HelperError`].
    pub fn point(&self, network: Domain) -> Result<bool, HelperError> {
        self.ask(&Question::Point(network))
    }

    /// Puts the original back, if the file still is the agent's.
    ///
    /// # Errors
    ///
    /// See [`HelperError`].
    pub fn restore(&self) -> Result<(), HelperError> {
        self.ask(&Question::Restore).map(|_| ())
    }

    fn ask(&self, question: &Question) -> Result<bool, HelperError> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        // The late answer to a question that nobody waits for any more.
        let mut old = [0; ANSWER_LEN];
        while recv(&*socket, &mut old, RecvFlags::DONTWAIT).is_ok_and(|(len, _)| len > 0) {}
        send(&*socket, &question.encode(), SendFlags::NOSIGNAL)
            .map_err(|errno| HelperError::Gone(errno.into()))?;
        drop(socket);
        match self.receive(ANSWER).map_err(HelperError::Gone)? {
            Answer::Done => Ok(true),
            Answer::LeftAlone => Ok(false),
            Answer::Failed(errno) => Err(HelperError::Write(errno.into())),
            Answer::Refused | Answer::Ready(_) => {
                Err(HelperError::Write(io::ErrorKind::InvalidInput.into()))
            }
        }
    }

    fn receive(&self, limit: Duration) -> io::Result<Answer> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        sockopt::set_socket_timeout(&*socket, sockopt::Timeout::Recv, Some(limit))?;
        let mut packet = [0; ANSWER_LEN];
        let (len, _) = recv(&*socket, &mut packet, RecvFlags::empty())?;
        if len == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Answer::decode(&packet[..len]).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Lets it go: it restores the file and ends, which is waited for.
    pub fn end(self) {
        let Self { socket, mut child, .. } = self;
        drop(socket);
        let step = Duration::from_millis(10);
        for _ in 0..END.as_millis() / step.as_millis() {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(step);
        }
        tracing::warn!("the helper that restores {RESOLV_CONF} takes long: not waiting for it");
    }
}

/// The resolvers that the system had before the agent.
#[must_use]
pub fn previous(paths: &Paths) -> Vec<IpAddr> {
    resolv_conf::previous(Path::new(RESOLV_CONF), &paths.resolv_conf_backup())
}
