//! HTTP/1.1 on one connection: how long its parts may take, and how it ends.

use std::{convert::Infallible, pin::pin, time::Duration};

use axum::{Router, body::Body};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use crate::accept::Stopping;

/// How HTTP is spoken on a connection.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    head: Duration,
    whole: Option<Duration>,
    buffer: Option<usize>,
}

impl Http {
    /// The head of a request may take so long, and a connection may be idle so long between two.
    #[must_use]
    pub fn new(head: Duration) -> Self {
        Self { head, whole: None, buffer: None }
    }

    /// One request on each connection, which may take so long, its answer included.
    #[must_use]
    pub fn one_request(self, whole: Duration) -> Self {
        Self { whole: Some(whole), ..self }
    }

    /// At most so many bytes are read ahead, which bounds the head of a request; hyper's default is some 400 KB.
    #[must_use]
    pub fn buffer(self, bytes: usize) -> Self {
        Self { buffer: Some(bytes), ..self }
    }

    /// Answers the requests of a connection by `router` until it ends, is upgraded or takes too long; when it is
    /// `stopping`, no further one. Each request has `caller` in its extensions.
    pub async fn route<I, T>(self, io: I, router: Router, caller: T, stopping: Stopping)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: Clone + Send + Sync + 'static,
    {
        let router = TowerToHyperService::new(router);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(caller.clone());
            router.call(request)
        });
        self.serve(io, service, stopping).await;
    }

    /// The same by any service.
    pub async fn serve<I, S>(self, io: I, service: S, mut stopping: Stopping)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.head);
        if let Some(bytes) = self.buffer {
            builder.max_buf_size(bytes);
        }
        let closes = self.whole.is_some();
        let service = service_fn(move |request| {
            let answer = service.call(request);
            async move {
                let mut response = answer.await?;
                // hyper's own way to serve one request would add this to an upgrade's header too. Go's client takes it
                // away again there, and the upgrade with it (net/http, `shouldClose`).
                if closes && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        });
        let connection = builder.serve_connection(TokioIo::new(io), service).with_upgrades();
        let whole = async {
            let mut connection = pin!(connection);
            tokio::select! {
                ended = &mut connection => ended,
                () = stopping.asked() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        };
        let ended = match self.whole {
            Some(time) => timeout(time, whole).await,
            None => Ok(whole.await),
        };
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a connection ended early"),
            Err(_) => tracing::debug!("a connection took too long"),
        }
    }
}
