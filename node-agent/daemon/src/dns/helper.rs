//! The helper: a process that stays root and only writes `/etc/resolv.conf`.
//!
//! ```text
//!  agent, no root ── Request ──▶ writer: root's files, no capability; Landlock: that file and its backup
//!        ◀── Response ──              ▲ restarted when another program replaced the file
//!                                  keeper: reads nothing; restores the file when both have ended
//! ```
//!
//! Both are this program, started by the agent while it is root ([`Part`]). If one is killed, the keeper restores the file
//! when the agent ends, or else the next start does.

use std::{
    io,
    net::IpAddr,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    path::Path,
    process::{Child, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use node_agent_core::{domain::Domain, resolv_conf::Request};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair, sockopt,
};

use crate::{
    config::Paths,
    dns::resolv_conf::{self, RESOLV_CONF},
};

mod message;
mod part;

use message::{RESPONSE_LEN, Response};
use part::START;
pub use part::{Part, run};

/// Timeout of a response.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long the helper may take to end.
const END: Duration = Duration::from_secs(3);

/// `resolv.conf` cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// The helper cannot be started.
    #[error("cannot start the helper that writes {RESOLV_CONF}")]
    Start(#[source] io::Error),
    /// The helper cannot start its work.
    #[error("the helper cannot take charge of {RESOLV_CONF} (is another maru-agent running?)")]
    Charge(#[source] io::Error),
    /// The helper has exited.
    #[error("the helper that writes {RESOLV_CONF} has exited: restart the agent")]
    Gone(#[source] io::Error),
    /// The helper's write failed.
    #[error("cannot write {RESOLV_CONF}")]
    Write(#[source] io::Error),
}

/// The agent's end of the helper.
#[derive(Debug)]
pub(crate) struct Helper {
    socket: Mutex<OwnedFd>,
    child: Child,
}

impl Helper {
    /// Starts the helper of the instance at `root`; call it as root, before rights are given up. When this returns, the helper
    /// has restored what a crash left.
    pub(crate) fn start(root: &Path) -> Result<Self, HelperError> {
        let pair =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (own, other) = pair.map_err(|errno| HelperError::Start(errno.into()))?;
        let mut command = Part::Keeper.command(root);
        // Ctrl-C is for the agent, which needs the helper once more.
        command.stdin(Stdio::from(other)).env_clear().process_group(0);
        let child = command.spawn().map_err(HelperError::Start)?;
        drop(command);
        let helper = Self { socket: Mutex::new(own), child };
        match helper.receive(START) {
            Ok(Response::Ready) => Ok(helper),
            Ok(Response::Failed(errno)) => Err(helper.fails(errno.into())),
            Ok(Response::Done | Response::LeftAlone | Response::Refused) => {
                Err(helper.fails(io::ErrorKind::InvalidData.into()))
            }
            Err(error) => Err(helper.fails(error)),
        }
    }

    fn fails(self, error: io::Error) -> HelperError {
        self.end();
        HelperError::Charge(error)
    }

    /// Points the file at the agent, with `network` as the first search domain. A repeated call takes another program's
    /// changes as the original. Returns `false` if it is not a plain file, which is left alone.
    pub(crate) fn point(&self, network: Domain) -> Result<bool, HelperError> {
        self.ask(&Request::Point(network))
    }

    /// Puts the original back, if the file still is the agent's.
    pub(crate) fn restore(&self) -> Result<(), HelperError> {
        self.ask(&Request::Restore).map(|_| ())
    }

    fn ask(&self, request: &Request) -> Result<bool, HelperError> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        // A late response to an earlier request that timed out.
        let mut old = [0; RESPONSE_LEN];
        while recv(&*socket, &mut old, RecvFlags::DONTWAIT).is_ok_and(|(len, _)| len > 0) {}
        send(&*socket, &request.encode(), SendFlags::NOSIGNAL)
            .map_err(|errno| HelperError::Gone(errno.into()))?;
        drop(socket);
        match self.receive(TIMEOUT).map_err(HelperError::Gone)? {
            Response::Done => Ok(true),
            Response::LeftAlone => Ok(false),
            Response::Failed(errno) => Err(HelperError::Write(errno.into())),
            Response::Refused | Response::Ready => {
                Err(HelperError::Write(io::ErrorKind::InvalidInput.into()))
            }
        }
    }

    fn receive(&self, limit: Duration) -> io::Result<Response> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        sockopt::set_socket_timeout(&*socket, sockopt::Timeout::Recv, Some(limit))?;
        let mut packet = [0; RESPONSE_LEN];
        let (len, _) = recv(&*socket, &mut packet, RecvFlags::empty())?;
        if len == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Response::decode(&packet[..len]).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Closes the socket, so that the helper restores the file, and waits for its end.
    pub(crate) fn end(self) {
        let Self { socket, mut child } = self;
        drop(socket);
        let step = Duration::from_millis(10);
        for _ in 0..END.as_millis() / step.as_millis() {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(step);
        }
        tracing::warn!("the helper that restores {RESOLV_CONF} takes too long: not waiting for it");
    }
}

/// The resolvers that the system had before the agent.
pub(crate) fn previous(paths: &Paths) -> Vec<IpAddr> {
    resolv_conf::previous(Path::new(RESOLV_CONF), &paths.resolv_conf_backup())
}
