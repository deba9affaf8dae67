//! HTTP client of one backend. A connection carries one request at a time, so closing it cancels the request.
//!
//! The client follows no redirects and uses no proxy.

mod answer;
mod exchange;
mod fault;
mod files;
mod idle;
mod reason;
mod stream;

use std::{error::Error as StdError, ffi::OsStr, path::Path, sync::Arc, time::Duration};

use chat_vocabulary::Delta;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use http::Method;
use rustls::pki_types::ServerName;
use serde::Serialize;
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, timeout},
};

use self::{
    files::Files,
    idle::IdlePool,
    reason::{BUSY, Failure, LOADING, NO_STREAM, SILENT, TOO_LONG},
    stream::Target,
};
use crate::{
    DeltaStream, Error, Health,
    address::Address,
    body::{self, Pieces, StreamError},
    settings::{Settings, Timeouts},
};

pub(crate) use answer::Answer;

/// Longest answer that is not streamed, in bytes: model lists, slots, errors.
const BODY_MAX: usize = 1 << 20;
/// Longest answer with embeddings, in bytes: a thousand texts of 1,024 numbers have 12 MB.
pub(crate) const EMBEDDINGS_MAX: usize = 16 << 20;
/// Longest answer that is decoded on the thread of the request, in bytes.
const SMALL: usize = 64 << 10;
/// Limits how many longer answers are decoded at a time.
static DECODING: Semaphore = Semaphore::const_new(2);

/// HTTP client of one backend.
#[derive(Debug)]
pub(crate) struct Client {
    /// Base URL as written in the settings, for messages.
    name: String,
    address: Address,
    target: Target,
    files: Files,
    /// Name that the server's certificate must be for; `None` without TLS.
    server_name: Option<ServerName<'static>>,
    timeouts: Timeouts,
    idle: Arc<IdlePool>,
}

/// Folder of an embedded engine's socket; others have a number behind it (`services`, the rows of the engines).
const ENGINE: &str = "inference";

/// A request's content type and bytes.
type Content = (&'static str, Vec<u8>);

impl Client {
    /// Reads the settings. Nothing is connected yet; while a file cannot be used, each request fails with the file's
    /// name.
    pub(crate) fn new(settings: Settings) -> Result<Self, Error> {
        let Settings { base_url: name, key, tls, socket, timeouts } = settings;
        let failed = |reason| Error::Address { url: name.clone(), reason };
        let address = Address::parse(&name).map_err(failed)?;
        let server_name = match &address {
            Address::Unix(_) if tls.server_name.is_none() && tls.ca.is_some() => {
                return Err(failed(
                    "set request.tls.serverName to the name in the certificate of the socket's server",
                ));
            }
            Address::Unix(_) => tls.server_name.clone(),
            Address::Tcp { tls: false, .. } if tls != crate::Tls::default() => {
                return Err(failed(
                    "request.tls needs https://: change the address, or remove request.tls",
                ));
            }
            Address::Tcp { tls: false, .. } => None,
            Address::Tcp { host, .. } => tls.server_name.clone().or_else(|| Some(host.clone())),
        };
        if server_name.is_some() && tls.ca.is_none() {
            return Err(failed(
                "set request.tls.ca to the file with the CA certificate of the server: no other CA is trusted",
            ));
        }
        let server_name = server_name
            .map(|name| {
                ServerName::try_from(name)
                    .map_err(|_| failed("the server's name is not a DNS name"))
            })
            .transpose()?;
        let files = Files::new(key, tls)?;
        if let Err(error) = files.current() {
            let error = &error as &dyn StdError;
            tracing::warn!(backend = name, error, "a backend cannot be used until this is fixed");
        }
        let target = Target::of(&address, &socket);
        Ok(Self { name, address, target, files, server_name, timeouts, idle: Arc::default() })
    }

    /// Whether the server is an embedded engine of this machine, by its socket's folder: any other socket may lead elsewhere.
    pub(crate) fn is_engine(&self) -> bool {
        let Address::Unix(path) = &self.address else { return false };
        let folder = path.parent().and_then(Path::file_name).and_then(OsStr::to_str);
        folder.is_some_and(|folder| folder == ENGINE || folder.starts_with(&format!("{ENGINE}-")))
    }

    /// Sends `GET path`, which needs no model; an answer without success is an error.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Error> {
        self.send(Method::GET, path, None, self.timeouts.health).await
    }

    /// Sends `body` as JSON to `path`, which needs no model; an answer without success is an error.
    pub(crate) async fn look_up(&self, path: &str, body: &impl Serialize) -> Result<Answer, Error> {
        self.send(Method::POST, path, json(body), self.timeouts.health).await
    }

    /// The same for a request that a model answers.
    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Answer, Error> {
        self.send(Method::POST, path, json(body), self.timeouts.first).await
    }

    /// Sends `body` as JSON to `path` and decodes the reply, which must be a stream of this content type.
    pub(crate) async fn reply<S>(
        &self,
        path: &str,
        body: &impl Serialize,
        content_type: &str,
        decode: impl FnOnce(Pieces, String) -> S,
    ) -> Result<DeltaStream, Error>
    where
        S: Stream<Item = Result<Delta, Error>> + Send + 'static,
    {
        let sent = Instant::now();
        let answer = self.post(path, body).await?;
        if !answer.is(content_type) {
            return Err(self.unreachable(NO_STREAM, true, None));
        }
        let decode = |pieces| decode(pieces, self.name.clone());
        let pieces = answer.into_stream().map_err(StreamError::Transport).boxed();
        Ok(body::timed(pieces, sent, self.timeouts, decode))
    }

    /// The backend's health, judged by the answer to a health request.
    pub(crate) fn health<T>(answer: Result<T, Error>) -> Result<Health, Error> {
        match answer {
            Ok(_) => Ok(Health::Ready),
            Err(Error::Busy { reason: LOADING, .. }) => Ok(Health::Loading),
            Err(Error::Busy { reason: BUSY, .. }) => Ok(Health::Draining),
            // It limits our rate, so it is up.
            Err(Error::Busy { .. }) => Ok(Health::Ready),
            Err(error) => Err(error),
        }
    }

    /// Decodes the whole answer of `GET path`.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        path: &str,
        decode: fn(&[u8]) -> Option<T>,
    ) -> Result<T, Error> {
        let answer = self.get(path).await?;
        self.decode(path, answer, BODY_MAX, decode).await
    }

    /// Reads a whole answer of at most `max` bytes. A large one waits for earlier ones and is decoded on a blocking
    /// thread, so that it does not delay other requests' tokens.
    pub(crate) async fn decode<T: Send + 'static>(
        &self,
        path: &str,
        answer: Answer,
        max: usize,
        decode: impl FnOnce(&[u8]) -> Option<T> + Send + 'static,
    ) -> Result<T, Error> {
        let status = answer.status;
        let body = self.whole(answer, max).await?;
        let decoded = if body.len() <= SMALL {
            decode(&body)
        } else {
            // The semaphore is never closed. The thread holds the permit, because the caller may leave meanwhile.
            let permit = DECODING.acquire().await;
            let decoded = spawn_blocking(move || {
                let _permit = permit;
                decode(&body)
            });
            decoded.await.ok().flatten()
        };
        decoded.ok_or_else(|| {
            self.refused(status, format!("its answer to {path} has an unknown format"))
        })
    }

    /// Sends a request and returns the answer of any status, once its head has arrived.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Content>,
        limit: Duration,
    ) -> Result<Answer, Error> {
        match timeout(limit, self.exchange(method, path, body)).await {
            Err(_) => Err(self.unreachable(SILENT, true, None)),
            Ok(Err(failure)) => Err(self.fault(failure)),
            Ok(Ok(answer)) => Ok(answer),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Content>,
        limit: Duration,
    ) -> Result<Answer, Error> {
        let answer = self.ask(method, path, body, limit).await?;
        let status = answer.status;
        if status.is_success() {
            return Ok(answer);
        }
        let body = self.refused_with(answer, BODY_MAX).await;
        Err(self.refusal(status, &body))
    }

    /// The body of a refusal; empty if it is longer than `max` bytes or does not arrive soon.
    pub(crate) async fn refused_with(&self, answer: Answer, max: usize) -> Vec<u8> {
        let body = timeout(self.timeouts.health, self.whole(answer, max)).await;
        body.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Reads a whole body of at most `max` bytes, within the time limit of a reply even if bytes keep arriving.
    pub(crate) async fn whole(&self, mut answer: Answer, max: usize) -> Result<Vec<u8>, Error> {
        let Timeouts { idle, budget, .. } = self.timeouts;
        let (begun, mut body) = (Instant::now(), Vec::new());
        loop {
            // Checked before each chunk: `timeout` does not expire while chunks are ready.
            let remaining = budget.saturating_sub(begun.elapsed());
            if remaining.is_zero() {
                return Err(Error::Overlong { backend: self.name.clone(), budget });
            }
            match timeout(idle.min(remaining), answer.chunk()).await {
                Ok(None) => return Ok(body),
                Ok(Some(Ok(bytes))) if body.len() + bytes.len() <= max => {
                    body.extend_from_slice(&bytes);
                }
                Ok(Some(Ok(_))) => return Err(self.unreachable(TOO_LONG, true, None)),
                Ok(Some(Err(error))) => return Err(self.fault(Failure::Http(error))),
                Err(_) if remaining <= idle => {}
                Err(_) => return Err(self.unreachable(SILENT, true, None)),
            }
        }
    }

    /// Its base URL.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// A body as JSON. Serialization does not fail: bodies contain only maps with string keys, strings and numbers.
fn json(body: &impl Serialize) -> Option<Content> {
    Some(("application/json", serde_json::to_vec(body).unwrap_or_default()))
}
