//! The public port: listening addresses, TLS, and routing.

mod acme;
mod caller;
mod certificate;
mod error;
pub(crate) mod listen;
mod tls;
mod tls_mode;

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use chassis::{
    accept::{Connections, ShutdownSignal},
    endpoint::{self, Served},
    http::Http,
    pem,
};
use coordinator_api::settings::Settings;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::server::TlsStream;

pub use self::error::ListenError;
pub(crate) use self::{acme::Acme, tls_mode::TlsMode};
use self::{
    caller::{CallerLayer, ConnectionInfo},
    listen::TcpListeners,
    tls::{Opened, Tls},
};
use crate::{
    admin::https::{self, Api},
    app::App,
    control,
    files::{self, Paths},
    limits::{self, Origin},
    pages,
    relay::embedded::{EmbeddedRelay, RelayHandoff},
    verify,
};

/// The endpoints of the public port.
pub(crate) fn endpoints() -> Vec<Served<App>> {
    let pages = pages::endpoints().into_iter().chain(https::endpoints());
    control::endpoints().into_iter().chain(pages).chain(verify::endpoints()).collect()
}

/// The public port, bound.
pub(crate) struct PublicListener {
    listeners: TcpListeners,
    tls: Option<Tls>,
    acme: Option<Arc<Acme>>,
    callers: CallerLayer,
}

impl PublicListener {
    /// Binds the addresses. Connections wait until [`Self::serve`].
    pub(crate) fn open(
        root: &Path,
        paths: &Paths,
        settings: &Settings,
    ) -> Result<Self, ListenError> {
        let (mut tls, mut acme, mut trusted) = (None, None, Vec::new());
        match TlsMode::of(settings).map_err(ListenError::Settings)? {
            TlsMode::Plain => {}
            TlsMode::Proxied(networks) => trusted = networks,
            TlsMode::Files { certificate, key, host } => {
                tls = Some(Tls::from_files(root.join(certificate), root.join(key), &host)?);
            }
            TlsMode::Acme { acme: wanted, host, mesh_names } => {
                let ca = wanted.ca.as_ref().map(|ca| root.join(ca));
                if let Some(ca) = &ca {
                    pem::certificates(ca)?;
                }
                let folder = paths.state().join("acme");
                files::make_dir(&folder, 0o700)?;
                let ours = Arc::new(Acme::load(folder, wanted, ca, host, mesh_names));
                tls = Some(Tls::new(ours.clone())?);
                acme = Some(ours);
            }
        }
        let failed = |(address, error)| ListenError::Listen(address, error);
        let listeners = TcpListeners::bind(&settings.listen).map_err(failed)?;
        Ok(Self { listeners, tls, acme, callers: CallerLayer::new(trusted) })
    }

    /// The first listening address.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listeners.address()
    }

    /// What orders the certificates, if ACME is set up.
    pub(crate) fn acme(&self) -> Option<Arc<Acme>> {
        self.acme.clone()
    }

    /// Accepts connections until the coordinator stops. Until the first ACME certificate is issued, TLS fails and plain
    /// requests are answered. Connections that request the relay are handed to `relay`.
    pub(crate) async fn serve(self, app: &App, relay: Option<EmbeddedRelay>) {
        let Self { listeners, tls, acme, callers } = self;
        app.tasks.spawn(callers.clone().forget(app.stop.clone()));
        if let Some(acme) = acme {
            app.tasks.spawn(acme.renew(app.stop.clone()));
        }
        let api = Extension(Api::new(app.clone()));
        let all = endpoint::router(endpoints()).layer(api.clone()).with_state(app.clone());
        let relay = relay.map(|relay| relay.start(app.tasks.clone(), app.stop.clone()));
        let counted = |router| callers.around(router).layer(from_fn_with_state(app.clone(), count));
        let talk = ConnectionHandler {
            tls,
            relay,
            all: counted(all),
            plain: counted(plain(app).layer(api)),
        };
        let connections = Connections::new("connections", limits::TOTAL).drain(limits::DRAIN);
        let connect = |stream: TcpStream, address: SocketAddr, stopping: ShutdownSignal| {
            app.metrics.connection();
            let metrics = Arc::clone(&app.metrics);
            let address = address.ip();
            let origin = (!callers.is_proxy(address)).then(|| Origin::from(address));
            let place = Arc::new(app.newcomers.enter(origin));
            let _ = stream.set_nodelay(true);
            let (talk, arrival) = (
                talk.clone(),
                ConnectionInfo { address, is_tls: false, place: Arc::clone(&place) },
            );
            Some(async move {
                tokio::select! {
                    () = place.evicted() => {
                        metrics.refuse("newcomers");
                        tracing::debug!("closing an unauthenticated connection in favor of newer ones");
                    }
                    () = talk.with(stream, arrival, stopping) => {}
                }
            })
        };
        connections.serve(listeners, app.stop.cancelled(), connect).await;
    }
}

/// Counts an answer, and refusals by the rate limit.
async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    app.metrics.answer(response.status().as_u16());
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        app.metrics.refuse("requests");
    }
    response
}

/// Serves one connection.
#[derive(Clone)]
struct ConnectionHandler {
    tls: Option<Tls>,
    relay: Option<RelayHandoff>,
    all: Router,
    /// Answers plain HTTP on a TLS port.
    plain: Router,
}

impl ConnectionHandler {
    async fn with(self, stream: TcpStream, arrival: ConnectionInfo, stopping: ShutdownSignal) {
        let http =
            Http::new(limits::HEAD_TIME).one_request(limits::REQUEST_TIME).buffer(limits::BUFFER);
        let Some(tls) = self.tls else {
            return http.route(stream, self.all, arrival, stopping).await;
        };
        let begun = Instant::now();
        match timeout(limits::TLS_TIME, tls.open(stream)).await {
            Ok(Ok(Opened::Secure(stream))) => {
                let arrival = ConnectionInfo { is_tls: true, ..arrival };
                match self.relay {
                    None => http.route(*stream, self.all, arrival, stopping).await,
                    Some(relay) => {
                        let mut stream = BufReader::with_capacity(limits::BUFFER, *stream);
                        if !asks_for_relay(&mut stream).await {
                            return http.route(stream, self.all, arrival, stopping).await;
                        }
                        let first = stream.buffer().to_vec();
                        let origin = arrival.address.into();
                        relay.take(stream.into_inner(), first, begun, origin).await;
                    }
                }
            }
            Ok(Ok(Opened::Plain(stream))) => {
                http.route(stream, self.plain, arrival, stopping).await;
            }
            Ok(Ok(Opened::Proved)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake timed out"),
        }
    }
}

/// Whether the first request on a connection is for the relay. Such a connection bypasses hyper, because a client may want no
/// HTTP response before the relay's first frame.
async fn asks_for_relay(stream: &mut BufReader<TlsStream<TcpStream>>) -> bool {
    let first = timeout(limits::HEAD_TIME, stream.fill_buf()).await;
    matches!(first, Ok(Ok(first)) if derp::http::is_for_relay(first))
}

/// Answers plain HTTP on a TLS port: the control protocol, which Noise protects anyway, so that devices that joined before
/// TLS was enabled keep working; the admin API, with an error; and no pages.
fn plain(app: &App) -> Router {
    let text = format!("this port speaks HTTPS: go to {}\n", app.config.settings.server_url());
    let advice = move || {
        let text = text.clone();
        async move { (StatusCode::UPGRADE_REQUIRED, text) }
    };
    let answered = control::endpoints().into_iter().chain(https::endpoints());
    endpoint::router(answered).fallback(advice).with_state(app.clone())
}
