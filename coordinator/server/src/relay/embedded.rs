//! The relay as a part of the coordinator, on its HTTPS port.

use std::sync::Arc;

use chassis::quota::Permit;
use tokio::{
    net::{TcpStream, UdpSocket},
    time::Instant,
};
use tokio_rustls::server::TlsStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    RelayError, RelayState, answer_stun, certificate, enter, http, notice_silence, relay_for,
};
use crate::{
    config::Config,
    files::{self, Paths},
    limits::{self, Origin},
    listener::listen::bind_udp,
};

/// The embedded relay and its STUN socket.
pub(crate) struct EmbeddedRelay {
    shared: Arc<RelayState>,
    stun: Vec<UdpSocket>,
}

/// Takes over connections of the public port. Clones share the clients.
#[derive(Clone)]
pub(crate) struct RelayHandoff {
    shared: Arc<RelayState>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl EmbeddedRelay {
    /// Opens it, if the settings enable it.
    pub(crate) async fn open(paths: &Paths, config: &Config) -> Result<Option<Self>, RelayError> {
        let settings = &config.settings.relay;
        if !settings.embedded {
            return Ok(None);
        }
        let failed = |(address, error)| RelayError::Listen(address, "stun_listen", error);
        let stun = bind_udp(&settings.stun_listen).map_err(failed)?;
        files::make_dir(&paths.state(), 0o700)?;
        let key = certificate::derp_key(&paths.state().join("derp.key"))?;
        Ok(Some(Self { shared: RelayState::new(key, config, paths)?, stun }))
    }

    /// Starts the relay on `tasks`, until `stop` is cancelled.
    pub(crate) fn start(self, tasks: TaskTracker, stop: CancellationToken) -> RelayHandoff {
        let Self { shared, stun } = self;
        let (of, until) = (Arc::clone(&shared), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = until.cancelled() => {}
                () = answer_stun(stun) => {}
                () = of.keep_to_nodes() => {}
                () = of.forget() => {}
            }
        });
        RelayHandoff { shared, tasks, stop }
    }
}

impl RelayHandoff {
    /// Serves a connection, accepted at `begun`, whose first bytes request the relay. Returns when the client has left or was
    /// admitted; an admitted client is served on a task of its own.
    pub(crate) async fn take(
        self,
        mut stream: TlsStream<TcpStream>,
        first: Vec<u8>,
        begun: Instant,
        origin: Origin,
    ) {
        let until = begun + limits::RELAY_ENTRY_TIME;
        notice_silence(stream.get_ref().0);
        let Ok(permit) = self.shared.connections.take(origin) else { return };
        let served = http::serve(&mut stream, first, until, &self.shared.key.public()).await;
        let Some(entered) = enter(stream, served, &self.shared).await else { return };
        let Self { shared, tasks, stop } = self;
        tasks.spawn(async move {
            let _permit: Permit<Origin> = permit;
            relay_for(entered, &shared, stop.cancelled_owned()).await;
        });
    }
}
