//! The helper: a process that stays root and only leads this machine's programs to the agent's resolver.
//!
//! ```text
//!  agent, no root ── Request ──▶ writer: root's files, no capability; Landlock: resolv.conf, its backup, openresolv's folder
//!        ◀── Response ──              ▲ restarted when another program replaced the file, or programs ask another resolver
//!                                  keeper: reads nothing; undoes everything when both have ended
//! ```
//!
//! Both are this program, started by the agent while it is root ([`Part`]). What they may do is said then ([`Scope`]): later the
//! agent names a domain and nothing else. If one is killed, the keeper undoes everything when the agent ends, or else the next
//! start or `maru-agent restore` does.

use std::{
    io,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    path::Path,
    process::{Child, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use node_agent_core::{domain::Domain, resolv_conf::Request, system_resolver::Method};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair, sockopt,
};

use crate::dns::resolv_conf::RESOLV_CONF;

mod message;
pub(crate) mod part;
pub(crate) mod scope;

use message::{RESPONSE_LEN, Response};
use part::START;
pub use part::{Part, run};
pub use scope::Scope;

/// Timeout of a response, which may wait for another resolver's commands.
const TIMEOUT: Duration = Duration::from_secs(10);
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
    #[error("cannot change this machine's resolver")]
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
    pub(crate) fn start(root: &Path, scope: &Scope) -> Result<Self, HelperError> {
        let pair =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (own, other) = pair.map_err(|errno| HelperError::Start(errno.into()))?;
        let mut command = Part::Keeper.command(root, scope);
        // Ctrl-C is for the agent, which needs the helper once more.
        command.stdin(Stdio::from(other)).env_clear().process_group(0);
        let child = command.spawn().map_err(HelperError::Start)?;
        drop(command);
        let helper = Self { socket: Mutex::new(own), child };
        match helper.receive(START) {
            Ok(Response::Ready) => Ok(helper),
            Ok(Response::Failed(errno)) => Err(helper.fails(errno.into())),
            Ok(
                Response::Done(_) | Response::LeftAlone(_) | Response::Restored | Response::Refused,
            ) => Err(helper.fails(io::ErrorKind::InvalidData.into())),
            Err(error) => Err(helper.fails(error)),
        }
    }

    fn fails(self, error: io::Error) -> HelperError {
        self.end();
        HelperError::Charge(error)
    }

    /// Leads programs to the agent for names of `network`, also those that another program led elsewhere since. The method, and
    /// whether it reaches them: if not, nothing was changed.
    pub(crate) fn point(&self, network: Domain) -> Result<(Method, bool), HelperError> {
        match self.ask(&Request::Point(network))? {
            Response::Done(method) => Ok((method, true)),
            Response::LeftAlone(method) => Ok((method, false)),
            response @ (Response::Ready
            | Response::Restored
            | Response::Refused
            | Response::Failed(_)) => Err(unexpected(response)),
        }
    }

    /// Undoes what the helper changed.
    pub(crate) fn restore(&self) -> Result<(), HelperError> {
        match self.ask(&Request::Restore)? {
            Response::Restored => Ok(()),
            response @ (Response::Ready
            | Response::Done(_)
            | Response::LeftAlone(_)
            | Response::Refused
            | Response::Failed(_)) => Err(unexpected(response)),
        }
    }

    fn ask(&self, request: &Request) -> Result<Response, HelperError> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        // A late response to an earlier request that timed out.
        let mut old = [0; RESPONSE_LEN];
        while recv(&*socket, &mut old, RecvFlags::DONTWAIT).is_ok_and(|(len, _)| len > 0) {}
        send(&*socket, &request.encode(), SendFlags::NOSIGNAL)
            .map_err(|errno| HelperError::Gone(errno.into()))?;
        drop(socket);
        self.receive(TIMEOUT).map_err(HelperError::Gone)
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

fn unexpected(response: Response) -> HelperError {
    HelperError::Write(match response {
        Response::Failed(errno) => errno.into(),
        Response::Done(_)
        | Response::LeftAlone(_)
        | Response::Ready
        | Response::Refused
        | Response::Restored => io::ErrorKind::InvalidInput.into(),
    })
}
