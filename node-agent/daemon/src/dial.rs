//! Dials: UNIX sockets through which one user of this machine reaches one loopback or mesh address, or one outside.
//!
//! So a gateway without a network reaches Ollama on this machine or on another node. The settings fix a dial's target.
//!
//! * The kernel tells the caller's uid; connections of another user than the dial's are refused.
//! * A mesh address is reached from this node's own mesh address, through the tunnel's interface and no other, while a
//!   peer of the map has it; when that peer leaves the map, its connections are cut.
//! * An outside address is reached by this machine's routes, and must be marked as such in the settings.
//! * When the caller closes, the connection to the target is reset at once, which stops an unfinished reply. A half-close is
//!   passed on, in both directions.
//!
//! The sockets exist as long as the agent runs, with or without a tunnel.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use chassis::{
    accept::Connections,
    hang_up::HangUp,
    log::event,
    unix::{Access, Socket},
};
use node_agent_api::settings;
use node_agent_core::netmap::Netmap;
use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::{TcpStream, UnixStream},
    sync::watch,
    task::JoinSet,
    time::sleep,
};

use crate::{
    agent::Agent,
    proxy::{ResponsePolicy, forward, keep_alive},
};

pub(crate) mod target;

use target::{DialError, Peer, Target};

/// Connections of one dial at once; each carries one running reply.
const MAX_CONNECTIONS: usize = 256;
/// Timeout of connecting; for a mesh address it includes a WireGuard handshake.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// An idle connection is closed after this time, or at most twice as long. A model server may be silent for many minutes
/// while it reads a long prompt.
const IDLE: Duration = Duration::from_secs(30 * 60);

/// One dial.
#[derive(Clone, Debug)]
struct Dial {
    name: Arc<str>,
    uid: u32,
    target: Arc<Target>,
    netmap: watch::Receiver<Arc<Netmap>>,
    idle: Duration,
    logged: Arc<LogState>,
}

/// Which warnings of a dial were logged, so that each is logged once.
#[derive(Debug, Default)]
struct LogState {
    /// The target cannot be reached.
    unreachable: AtomicBool,
    /// Another user connected.
    other_user: AtomicBool,
}

/// Serves every dial of the settings until it is dropped. `interface` is the tunnel's. A dial whose socket cannot be made is
/// logged and skipped.
pub(crate) async fn run(agent: Arc<Agent>, interface: String) {
    let mut tasks = JoinSet::new();
    for dial in &agent.config.settings.dial {
        let socket = match Socket::bind(&agent.paths.resolve(&dial.socket), Access::Group) {
            Ok(socket) => socket,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(dial = dial.name, error, "the dial is skipped");
                continue;
            }
        };
        let (to, outside) = (dial.to, dial.outside);
        tracing::info!(dial = dial.name, %to, outside, uid = dial.uid, "dial offered");
        let dial = Dial::new(dial, &interface, agent.netmap.subscribe());
        tasks.spawn(dial.listen(socket));
    }
    while tasks.join_next().await.is_some() {}
}

impl Dial {
    fn new(dial: &settings::Dial, interface: &str, netmap: watch::Receiver<Arc<Netmap>>) -> Self {
        let target =
            Target { address: dial.to, outside: dial.outside, interface: interface.to_owned() };
        Self {
            name: dial.name.as_str().into(),
            uid: dial.uid,
            target: Arc::new(target),
            netmap,
            idle: IDLE,
            logged: Arc::default(),
        }
    }

    async fn listen(self, socket: Socket) {
        let connect = |caller, uid, _| self.admits(uid).then(|| self.clone().serve(caller));
        let connections = Connections::new("connections of a dial", MAX_CONNECTIONS);
        connections.serve(socket, std::future::pending(), connect).await;
    }

    fn admits(&self, uid: u32) -> bool {
        let admitted = uid == self.uid;
        if !admitted && !self.logged.other_user.swap(true, Ordering::Relaxed) {
            tracing::warn!(dial = %self.name, uid, "refused: the dial is for uid {}", self.uid);
        }
        admitted
    }

    /// Connects `caller` to the target, until either closes.
    async fn serve(mut self, caller: UnixStream) {
        let hang_up = match HangUp::of(&caller) {
            Ok(hang_up) => hang_up,
            Err(error) => {
                tracing::warn!(dial = %self.name, %error, "a connection cannot be watched for its end");
                return;
            }
        };
        let peer = self.target.peer(&self.netmap.borrow_and_update());
        let connected = tokio::select! {
            connected = self.target.connect(&peer, CONNECT_WAIT) => connected,
            () = hang_up.wait() => return,
        };
        match (connected, peer) {
            (Ok(target), Ok(peer)) => {
                self.log_reached();
                self.carry(caller, &hang_up, target, peer).await;
            }
            (Err(error), _) | (_, Err(error)) => self.log_unreachable(error),
        }
    }

    /// Copies bytes until the connection ends.
    async fn carry(
        &mut self,
        mut caller: UnixStream,
        hang_up: &HangUp,
        mut target: TcpStream,
        peer: Option<Peer>,
    ) {
        keep_alive(&target);
        let (name, idle) = (Arc::clone(&self.name), self.idle);
        let (moved, ended) = (AtomicBool::default(), AtomicBool::default());
        let ((from_caller, to_caller), (from_target, to_target)) = (caller.split(), target.split());
        let from_caller = ActivityReader { from: from_caller, moved: &moved, ended: None };
        let from_target = ActivityReader { from: from_target, moved: &moved, ended: Some(&ended) };
        tokio::select! {
            _ = forward((from_caller, to_caller), (from_target, to_target), ResponsePolicy::Any) => return,
            () = left(hang_up, &ended) => {}
            () = silence(&moved, idle) => {
                tracing::info!(dial = %name, "closed: idle for {idle:?}");
            }
            () = self.withdrawn(peer) => {
                tracing::info!(dial = %name, "cut: the node is no longer in the map");
            }
        }
        // After a half-close the target would not notice an ordinary close.
        let _ = sockopt::set_socket_linger(&target, Some(Duration::ZERO));
    }

    /// Returns when the peer that was dialled has left the map, or this node has another address.
    async fn withdrawn(&mut self, dialled: Option<Peer>) {
        while dialled.is_some() && self.netmap.changed().await.is_ok() {
            if self.target.peer(&self.netmap.borrow_and_update()).ok() != Some(dialled.clone()) {
                return;
            }
        }
        std::future::pending().await
    }

    fn log_unreachable(&self, error: DialError) {
        let Target { address: to, .. } = *self.target;
        if !self.logged.unreachable.swap(true, Ordering::Relaxed) {
            let event = event::BACKEND_UNREACHABLE;
            tracing::warn!(%event, dial = %self.name, %to, %error, "the target cannot be reached (logged once until it can)");
        }
    }

    fn log_reached(&self) {
        if self.logged.unreachable.swap(false, Ordering::Relaxed) {
            tracing::info!(dial = %self.name, to = %self.target.address, "the target is reached again");
        }
    }
}

/// Returns when the caller has closed before the target's end of stream. After that, a full close and a half-close of the
/// caller look the same here; reading tells them apart, and the last bytes still arrive.
async fn left(hang_up: &HangUp, ended: &AtomicBool) {
    hang_up.wait().await;
    if ended.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}

/// Returns once no bytes were read for `idle`, or at most twice as long.
async fn silence(moved: &AtomicBool, idle: Duration) {
    loop {
        sleep(idle).await;
        if !moved.swap(false, Ordering::Relaxed) {
            return;
        }
    }
}

/// A reader that records activity and the end of the stream.
struct ActivityReader<'a, R> {
    from: R,
    moved: &'a AtomicBool,
    ended: Option<&'a AtomicBool>,
}

impl<R: AsyncRead + Unpin> AsyncRead for ActivityReader<'_, R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.from).poll_read(context, buffer);
        if read.is_ready() {
            self.moved.store(true, Ordering::Relaxed);
            if let (true, Some(ended)) = (buffer.filled().len() == before, self.ended) {
                ended.store(true, Ordering::Relaxed);
            }
        }
        read
    }
}

#[cfg(test)]
mod tests;
