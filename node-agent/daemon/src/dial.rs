//! Dials: UNIX sockets through which one user of this machine reaches one loopback or mesh address, or one outside.
//!
//! So a gateway without a network asks Ollama on this machine, or on another node. Where a dial leads is written in the
//! settings, and nothing that the caller says changes it.
//!
//! * Who calls is told by the kernel; another user than the dial's is turned away.
//! * A mesh address is reached from this node's own mesh address, through the tunnel's interface and no other, while a
//!   peer of the map has it; when that peer leaves the map, its connections are cut.
//! * An address outside is reached by this machine's routes; its settings say that it lies there.
//! * When the caller closes, so does the connection to the target, at once: that is how a reply that nobody waits for
//!   is stopped. Half a close goes on as half a close, both ways.
//!
//! The sockets stay for as long as the agent runs, whatever becomes of the tunnel meanwhile.

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
    pass::{Answers, keep_alive, pass_on},
};

mod target;

use target::{DialError, Peer, Target};

/// Connections of one dial at once. Each is a reply under way, of which a gateway asks for far fewer.
const MAX_CONNECTIONS: usize = 256;
/// How long a target may take to accept; to one in the mesh the tunnel may have to be made first.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// A connection on which nothing moves for so long is closed, after twice as long at most. Reading a long prompt on a
/// slow processor takes many minutes, in which a model server says nothing.
const IDLE: Duration = Duration::from_secs(30 * 60);

/// One dial.
#[derive(Clone, Debug)]
struct Dial {
    name: Arc<str>,
    uid: u32,
    target: Arc<Target>,
    netmap: watch::Receiver<Arc<Netmap>>,
    idle: Duration,
    said: Arc<Said>,
}

/// What was logged of a dial, so that it is not logged again.
#[derive(Debug, Default)]
struct Said {
    /// That the target is not reached.
    away: AtomicBool,
    /// That another user tried.
    stranger: AtomicBool,
}

/// Serves every dial of the settings until it is dropped. `interface` is the tunnel's.
///
/// A socket that cannot be made is logged, and its dial is left out.
pub async fn run(agent: Arc<Agent>, interface: String) {
    let mut tasks = JoinSet::new();
    for dial in &agent.config.settings.dial {
        let socket = match Socket::bind(&agent.paths.resolve(&dial.socket), Access::Group) {
            Ok(socket) => socket,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(dial = dial.name, error, "the dial is left out");
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
            said: Arc::default(),
        }
    }

    async fn listen(self, socket: Socket) {
        let connect = |caller, uid, _| self.admits(uid).then(|| self.clone().serve(caller));
        let connections = Connections::new("connections of a dial", MAX_CONNECTIONS);
        connections.serve(socket, std::future::pending(), connect).await;
    }

    fn admits(&self, uid: u32) -> bool {
        let admitted = uid == self.uid;
        if !admitted && !self.said.stranger.swap(true, Ordering::Relaxed) {
            tracing::warn!(dial = %self.name, uid, "refused: the dial is for uid {}", self.uid);
        }
        admitted
    }

    /// Connects `caller` to the target, until either leaves.
    async fn serve(mut self, caller: UnixStream) {
        let hang_up = match HangUp::of(&caller) {
            Ok(hang_up) => hang_up,
            Err(error) => {
                tracing::warn!(dial = %self.name, %error, "a connection cannot be watched");
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
                self.say_back();
                self.carry(caller, &hang_up, target, peer).await;
            }
            (Err(error), _) | (_, Err(error)) => self.say_away(error),
        }
    }

    /// Passes bytes on until it is over.
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
        let from_caller = Noting { from: from_caller, moved: &moved, ended: None };
        let from_target = Noting { from: from_target, moved: &moved, ended: Some(&ended) };
        tokio::select! {
            _ = pass_on((from_caller, to_caller), (from_target, to_target), Answers::Any) => return,
            () = left(hang_up, &ended) => {}
            () = silence(&moved, idle) => {
                tracing::info!(dial = %name, "closed: nothing moved for {idle:?}");
            }
            () = self.withdrawn(peer) => {
                tracing::info!(dial = %name, "cut: the node is not in the map any more");
            }
        }
        // A target that was told that the caller sends no more would not hear of an ordinary end.
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

    fn say_away(&self, error: DialError) {
        let Target { address: to, .. } = *self.target;
        if !self.said.away.swap(true, Ordering::Relaxed) {
            tracing::warn!(dial = %self.name, %to, %error, "not reached; said once until it is");
        }
    }

    fn say_back(&self) {
        if self.said.away.swap(false, Ordering::Relaxed) {
            tracing::info!(dial = %self.name, to = %self.target.address, "reached again");
        }
    }
}

/// Returns when the caller has left while the target had more to say. Once the target has ended its side, the kernel
/// does not tell a caller that left from one that ends its own; then reading tells, and what was sent last arrives.
async fn left(hang_up: &HangUp, ended: &AtomicBool) {
    hang_up.wait().await;
    if ended.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}

/// Returns once nothing has moved for `idle`, or somewhat later.
async fn silence(moved: &AtomicBool, idle: Duration) {
    loop {
        sleep(idle).await;
        if !moved.swap(false, Ordering::Relaxed) {
            return;
        }
    }
}

/// Notes that something was read, and that there is no more.
struct Noting<'a, R> {
    from: R,
    moved: &'a AtomicBool,
    ended: Option<&'a AtomicBool>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Noting<'_, R> {
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
