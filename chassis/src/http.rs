//! HTTP/1.1 as a server, on one connection: timeouts and shutdown.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

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
    time::{Instant, sleep, timeout},
};

use crate::{accept::ShutdownSignal, log::request::in_span};

/// Default read buffer of a connection, in bytes; hyper's own default is some 400 KB.
pub(crate) const BUFFER: usize = 64 << 10;

/// The timeouts and limits of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    head: Duration,
    whole: Option<Duration>,
    answer: Option<Duration>,
    /// In bytes.
    buffer: usize,
}

impl Http {
    /// `head` limits the time for a request's head, and the time between two requests.
    #[must_use]
    pub fn new(head: Duration) -> Self {
        Self { head, whole: None, answer: None, buffer: BUFFER }
    }

    /// Serves one request on each connection, and limits the time for it and its response.
    #[must_use]
    pub fn one_request(self, whole: Duration) -> Self {
        Self { whole: Some(whole), ..self }
    }

    /// Limits the time from a response's head to its end, and the idle time after it. Then the connection is closed.
    #[must_use]
    pub fn answer(self, longest: Duration) -> Self {
        Self { answer: Some(longest), ..self }
    }

    /// Sets the read buffer, which bounds a request's head. Default: 64 KiB, so that 512 connections use 32 MiB at most.
    #[must_use]
    pub fn buffer(self, bytes: usize) -> Self {
        Self { buffer: bytes, ..self }
    }

    /// Serves a connection by `router` until it ends, is upgraded or times out; after `stopping`, no further request.
    /// Each request has `caller` in its extensions.
    pub async fn route<I, T>(self, io: I, router: Router, caller: T, stopping: ShutdownSignal)
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

    /// Serves a connection by any service, see [`Self::route`].
    pub async fn serve<I, S>(self, io: I, service: S, mut stopping: ShutdownSignal)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.head).max_buf_size(self.buffer);
        let closes = self.whole.is_some();
        let until = ResponseDeadline::default();
        let answered = until.clone();
        let service = service_fn(move |request| {
            answered.set(None);
            let (answer, answered) = (in_span(service.call(request)), answered.clone());
            async move {
                let mut response = answer.await?;
                // An overflow means no deadline.
                let longest = self.answer;
                answered.set(longest.and_then(|longest| Instant::now().checked_add(longest)));
                // hyper's own option would also add this to an upgrade, which then fails in Go's client (net/http,
                // `shouldClose`).
                if closes && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        });
        let connection = builder.serve_connection(TokioIo::new(io), service).with_upgrades();
        let whole = async {
            let (mut connection, mut late) = (pin!(connection), pin!(until.passed()));
            let mut asked = false;
            loop {
                // The connection first: it may change the deadline.
                tokio::select! {
                    biased;
                    ended = &mut connection => return Some(ended),
                    () = &mut late => return None,
                    () = stopping.requested(), if !asked => {
                        asked = true;
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
        };
        let ended = match self.whole {
            Some(time) => timeout(time, whole).await.unwrap_or(None),
            None => whole.await,
        };
        match ended {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(%error, "a connection ended early"),
            None => tracing::debug!("a connection timed out"),
        }
    }
}

/// The deadline of the current response, if there is one.
///
/// It is polled beside the connection, since hyper does not poll a response's body while the client reads nothing.
#[derive(Clone, Debug, Default)]
struct ResponseDeadline(Arc<Mutex<Option<Instant>>>);

impl ResponseDeadline {
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, until: Option<Instant>) {
        *self.lock() = until;
    }

    /// Waits until it has passed. Poll it in the task that sets it, and after what sets it.
    async fn passed(&self) {
        let mut timer = pin!(sleep(Duration::ZERO));
        poll_fn(|context| {
            let Some(until) = *self.lock() else { return Poll::Pending };
            if timer.deadline() != until {
                timer.as_mut().reset(until);
            }
            timer.as_mut().poll(context)
        })
        .await;
    }
}
