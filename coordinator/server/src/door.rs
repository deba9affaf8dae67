//! How connections come in: the addresses that are listened on, and TLS.

mod certificate;
mod entry;
mod listen;
mod tls;

use std::{io, net::SocketAddr, path::Path};

use chassis::{
    accept::{Connections, Stopping},
    endpoint::{self, Endpoint},
    http::Http,
    pem::FileError,
};
use coordinator_api::settings::Listen;
use tokio::{net::TcpStream, time::timeout};

pub(crate) use self::entry::Entry;
use self::{
    listen::Listeners,
    tls::{Opened, Tls},
};
use crate::{app::App, control, limits, pages};

/// The coordinator cannot be reached as its settings want it.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// `[tls]`, `[proxy]` and `server_url` do not go together.
    #[error("cannot use coordinator.toml: {0}")]
    Settings(String),
    /// The certificate or its key.
    #[error(transparent)]
    Certificate(#[from] FileError),
    /// TLS itself.
    #[error("TLS is not available")]
    Tls(#[from] rustls::Error),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}; {}", advice(.source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 are root's: let your router, or a rule of nftables, lead that port to `listen` in \
             coordinator.toml, such as 443 to 8443"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address: correct `listen` in coordinator.toml"
        }
        _ => "stop what uses the port, or set `listen` in coordinator.toml",
    }
}

/// What the port for everyone answers.
pub(crate) fn endpoints() -> Vec<Endpoint<App>> {
    control::endpoints().into_iter().chain(pages::endpoints()).collect()
}

/// The port for everyone, open.
pub(crate) struct Door {
    listeners: Listeners,
    tls: Option<Tls>,
}

impl Door {
    /// Listens. From then on connections are taken, and answered by [`Self::serve`].
    pub(crate) fn open(
        root: &Path,
        settings: &coordinator_api::settings::Settings,
    ) -> Result<Self, DoorError> {
        let entry = Entry::of(settings).map_err(DoorError::Settings)?;
        let tls = match entry {
            Entry::Plain | Entry::Proxied(_) => None,
            Entry::Files { certificate, key, host } => {
                Some(Tls::from_files(root.join(certificate), root.join(key), &host)?)
            }
        };
        Ok(Self { listeners: listen(&settings.listen)?, tls })
    }

    /// The first of the addresses that it listens on.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listeners.address()
    }

    /// Takes the connections of devices and browsers, until the coordinator stops.
    pub(crate) async fn serve(self, app: &App) {
        let Self { listeners, tls } = self;
        let http = Http::new(limits::HEAD_TIME).buffer(limits::BUFFER);
        let everything = endpoint::router(endpoints()).with_state(app.clone());
        let plain = plain(app);
        let connections = Connections::new("connections", limits::TOTAL).drain(limits::DRAIN);
        let connect = |stream: TcpStream, address: SocketAddr, stopping: Stopping| {
            let origin = limits::Origin::from(address.ip());
            let Ok(permit) = app.connections.take(origin) else {
                tracing::debug!("too many connections");
                return None;
            };
            let _ = stream.set_nodelay(true);
            let caller = limits::Caller { origin, permit: permit.into() };
            let (tls, everything, plain) = (tls.clone(), everything.clone(), plain.clone());
            Some(async move {
                let Some(tls) = tls else {
                    return http.route(stream, everything, caller, stopping).await;
                };
                match timeout(limits::TLS_TIME, tls.open(stream)).await {
                    Ok(Ok(Opened::Secure(stream))) => {
                        http.route(*stream, everything, caller, stopping).await;
                    }
                    Ok(Ok(Opened::Plain(stream))) => {
                        http.route(stream, plain, caller, stopping).await
                    }
                    Ok(Err(error)) => tracing::debug!(%error, "no TLS came about"),
                    Err(_) => tracing::debug!("the TLS handshake took too long"),
                }
            })
        };
        connections.serve(listeners, app.stop.cancelled(), connect).await;
    }
}

/// What is answered to who speaks plain HTTP where TLS is spoken: the control protocol, which is as safe there, so that
/// devices which joined before TLS was switched on go on, the one on this machine among them. Pages are not.
fn plain(app: &App) -> axum::Router {
    let text = format!("this port speaks HTTPS: go to {}\n", app.config.settings.server_url());
    let advice = move || {
        let text = text.clone();
        async move { (axum::http::StatusCode::UPGRADE_REQUIRED, text) }
    };
    endpoint::router(control::endpoints()).fallback(advice).with_state(app.clone())
}

fn listen(listen: &Listen) -> Result<Listeners, DoorError> {
    Listeners::bind(listen).map_err(|(address, source)| DoorError::Listen { address, source })
}
