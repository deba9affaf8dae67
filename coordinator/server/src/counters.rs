//! The counters: for root on a UNIX socket and, if configured, on loopback for every local user.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header, uri::Authority},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use chassis::{
    accept::Connections,
    endpoint::{self, Served},
    http::Http,
    superuser,
    unix::Socket,
};
use coordinator_api::public::METRICS;
use tokio::net::{TcpListener, TcpStream};

use crate::{app::App, clock};

/// Connections at a time on loopback.
const READERS: usize = 16;
/// Timeout of a request's head.
const HEAD: Duration = Duration::from_secs(10);
/// Timeout of a request and its response.
const WHOLE: Duration = Duration::from_secs(30);

/// The endpoints of the counters.
pub(crate) fn endpoints() -> [Served<App>; 1] {
    [endpoint::serve(&METRICS, metrics)]
}

/// Listens on a loopback address.
///
/// # Errors
///
/// The address is not a loopback address, or in use.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_loopback() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a loopback address"));
    }
    TcpListener::bind(address).await
}

/// Serves the counters until the coordinator stops.
pub(crate) async fn serve(app: &App, (socket, listener): (Socket, Option<TcpListener>)) {
    let router = endpoint::router(endpoints()).with_state(app.clone());
    let on_loopback = async {
        if let Some(listener) = listener {
            serve_loopback(listener, router.clone(), app.stop.cancelled()).await;
        }
    };
    tokio::join!(superuser::serve(socket, router.clone(), app.stop.cancelled()), on_loopback);
}

/// Serves every local user until `stop` completes, and no website: `Host` must be `localhost` or a loopback address.
async fn serve_loopback(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let router = router.layer(middleware::from_fn(own_name));
    let connect = |stream: TcpStream, _: SocketAddr, stopping| {
        Some(Http::new(HEAD).one_request(WHOLE).route(stream, router.clone(), (), stopping))
    };
    Connections::new("readers on loopback", READERS).serve(listener, stop, connect).await;
}

async fn own_name(request: Request<Body>, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if host.is_some_and(is_own) && !request.headers().contains_key(header::ORIGIN) {
        return next.run(request).await;
    }
    StatusCode::MISDIRECTED_REQUEST.into_response()
}

/// Whether it is `localhost` or a loopback address, with or without a port.
fn is_own(host: &str) -> bool {
    host.parse::<Authority>().is_ok_and(|authority| {
        let name = authority.host().trim_matches(['[', ']']);
        name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    })
}

async fn metrics(State(app): State<App>) -> Response {
    superuser::counters(app.metrics.render(&app.hub.snapshot(), clock::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_machine_itself_is_its_own_name() {
        for own in
            ["localhost", "localhost:9100", "127.0.0.1:9100", "127.0.0.2", "[::1]:9100", "[::1]"]
        {
            assert!(is_own(own), "{own}");
        }
        for foreign in [
            "",
            "example.org",
            "example.org:9100",
            "127.0.0.1.example.org",
            "10.0.0.1",
            "[fd00::1]:80",
        ] {
            assert!(!is_own(foreign), "{foreign}");
        }
    }

    #[tokio::test]
    async fn an_address_of_other_machines_is_not_listened_on() {
        for address in ["0.0.0.0:0", "[::]:0"] {
            let refused = listen(address.parse().unwrap()).await.unwrap_err();
            assert!(refused.to_string().contains("loopback"), "{refused}");
        }
    }
}
