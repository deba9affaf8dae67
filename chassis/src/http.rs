//! HTTP/1.1 on one connection: how long its parts may take, and how it ends.

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

use crate::accept::ShutdownSignal;

/// How much is read ahead on a connection unless it is said, in bytes; hyper's own default is some 400 KB.
pub(crate) const BUFFER: usize = 64 << 10;

/// How HTTP is spoken on a connection.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    head: Duration,
    whole: Option<Duration>,
    answer: Option<Duration>,
    /// In bytes.
    buffer: usize,
}

impl Http {
    /// The head of a request may take so long, and a connection may be idle so long between two.
    #[must_use]
    pub fn new(head: Duration) -> Self {
        Self { head, whole: None, answer: None, buffer: BUFFER }
    }

    /// One request on each connection, which may take so long, its answer included.
    #[must_use]
    pub fn one_request(self, whole: Duration) -> Self {
        Self { whole: Some(whole), ..self }
    }

    /// An answer may take so long from its head to its end, however slowly it is read: then the connection is cut. So is one
    /// that is idle so long after its answer began.
    #[must_use]
    pub fn answer(self, longest: Duration) -> Self {
        Self { answer: Some(longest), ..self }
    }

    /// At most so many bytes are read ahead, which bounds the head of a request. Default: 64 KiB, so that 512 connections
    /// together hold no more than 32 MiB.
    #[must_use]
    pub fn buffer(self, bytes: usize) -> Self {
        Self { buffer: bytes, ..self }
    }

    /// Answers the requests of a connection by `router` until it ends, is upgraded or takes too long; when it is
    /// `stopping`, no further one. Each request has `caller` in its extensions.
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

    /// The same by any service.
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
            let (answer, answered) = (service.call(request), answered.clone());
            async move {
                let mut response = answer.await?;
                // One beyond what the clock can say has all the time.
                let longest = self.answer;
                answered.set(longest.and_then(|longest| Instant::now().checked_add(longest)));
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
            let (mut connection, mut late) = (pin!(connection), pin!(until.is_over()));
            let mut asked = false;
            loop {
                // In this order: what the connection does may change the time that its answer has.
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
            None => tracing::debug!("a connection took too long"),
        }
    }
}

/// Until when the answer under way may take, if one is.
///
/// It is looked at beside the connection and not in the answer's body, which nobody polls while the other end reads nothing.
#[derive(Clone, Debug, Default)]
struct ResponseDeadline(Arc<Mutex<Option<Instant>>>);

impl ResponseDeadline {
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, until: Option<Instant>) {
        *self.lock() = until;
    }

    /// Returns once it has passed. It is to be polled on the task that sets it, after whatever sets it.
    async fn is_over(&self) {
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
