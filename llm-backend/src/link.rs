//! The way to one backend: one request at a time on a connection, so that closing it is cancelling.
//!
//! No redirect is followed and no proxy is asked.

mod answer;
mod exchange;
mod fault;
mod files;
mod idle;
mod reason;
mod stream;

use std::{error::Error as StdError, sync::Arc, time::Duration};

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
/// What is decoded where it came, in bytes.
const SMALL: usize = 64 << 10;
/// Longer answers that are decoded at a time.
static DECODING: Semaphore = Semaphore::const_new(2);

/// The way to one backend.
#[derive(Debug)]
pub(crate) struct Client {
    /// Base URL as written in the settings, for messages.
    name: String,
    address: Address,
    target: Target,
    files: Files,
    /// Name that the server's certificate must be for; `None` where no TLS is spoken.
    server_name: Option<ServerName<'static>>,
    timeouts: Timeouts,
    idle: Arc<IdlePool>,
}

/// What is sent: its content type, and its bytes.
type Content = (&'static str, Vec<u8>);

impl Client {
    /// Reads the settings. Nothing is connected yet; while a file cannot be used, each request fails and says which.
    pub(crate) fn new(settings: Settings) -> Result<Self, Error> {
        let Settings { base_url: name, key, tls, socket, timeouts } = settings;
        let failed = |reason| Error::Address { url: name.clone(), reason };
        let address = Address::parse(&name).map_err(failed)?;
        let wanted = match &address {
            Address::Unix(_) if tls.server_name.is_none() && tls.ca.is_some() => {
                return Err(failed(
                    "say with request.tls.serverName whose certificate is expected behind the socket",
                ));
            }
            Address::Unix(_) => tls.server_name.clone(),
            Address::Tcp { tls: false, .. } if tls != crate::Tls::default() => {
                return Err(failed("request.tls is for https://: write that, or take it out"));
            }
            Address::Tcp { tls: false, .. } => None,
            Address::Tcp { host, .. } => tls.server_name.clone().or_else(|| Some(host.clone())),
        };
        if wanted.is_some() && tls.ca.is_none() {
            return Err(failed(
                "name the file with its authority's certificate in request.tls.ca: no other is trusted",
            ));
        }
        let server_name = wanted
            .map(|name| ServerName::try_from(name).map_err(|_| failed("its name is no DNS name")))
            .transpose()?;
        let files = Files::new(key, tls)?;
        if let Err(error) = files.current() {
            let error = &error as &dyn StdError;
            tracing::warn!(backend = name, error, "a backend is not asked until this is mended");
        }
        let target = Target::of(&address, &socket);
        Ok(Self { name, address, target, files, server_name, timeouts, idle: Arc::default() })
    }

    /// Asks for `path` and takes only a successful answer, which takes no model.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Error> {
        self.send(Method::GET, path, None, self.timeouts.health).await
    }

    /// Sends `body` as JSON to `path` and takes only a successful answer, which takes no model.
    pub(crate) async fn look_up(&self, path: &str, body: &impl Serialize) -> Result<Answer, Error> {
        self.send(Method::POST, path, json(body), self.timeouts.health).await
    }

    /// The same for an answer that a model makes.
    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Answer, Error> {
        self.send(Method::POST, path, json(body), self.timeouts.first).await
    }

    /// Sends `body` as JSON to `path` and decodes the reply, which comes as a stream of this content type.
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

    /// What an answer says about whether it can answer chats.
    pub(crate) fn health<T>(asked: Result<T, Error>) -> Result<Health, Error> {
        match asked {
            Ok(_) => Ok(Health::Ready),
            Err(Error::Busy { reason: LOADING, .. }) => Ok(Health::Loading),
            Err(Error::Busy { reason: BUSY, .. }) => Ok(Health::Draining),
            // It lives, and what it says of us says nothing of itself.
            Err(Error::Busy { .. }) => Ok(Health::Ready),
            Err(error) => Err(error),
        }
    }

    /// The whole answer of `GET path`.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        path: &str,
        decode: fn(&[u8]) -> Option<T>,
    ) -> Result<T, Error> {
        let answer = self.get(path).await?;
        self.decode(path, answer, BODY_MAX, decode).await
    }

    /// Reads a whole answer of at most `max` bytes. A large one is decoded on a thread where it holds up nobody else's
    /// tokens, after those that came before it.
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
            // It is never closed. The turn is the thread's: whoever asked may leave.
            let turn = DECODING.acquire().await;
            let decoded = spawn_blocking(move || {
                let _turn = turn;
                decode(&body)
            });
            decoded.await.ok().flatten()
        };
        decoded.ok_or_else(|| {
            self.refused(status, format!("its answer to {path} is of an unknown shape"))
        })
    }

    /// Sends something and takes the answer whatever its status, once its head has come.
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

    /// The body of an answer that is a refusal; empty if it is longer than `max` bytes or does not come soon.
    pub(crate) async fn refused_with(&self, answer: Answer, max: usize) -> Vec<u8> {
        let body = timeout(self.timeouts.health, self.whole(answer, max)).await;
        body.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Reads a whole body, up to `max` bytes and for no longer than a reply may take, however often something comes.
    pub(crate) async fn whole(&self, mut answer: Answer, max: usize) -> Result<Vec<u8>, Error> {
        let Timeouts { idle, budget, .. } = self.timeouts;
        let (begun, mut body) = (Instant::now(), Vec::new());
        loop {
            // Asked first: there may be more at each look.
            let left = budget.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(Error::Overlong { backend: self.name.clone(), budget });
            }
            match timeout(idle.min(left), answer.chunk()).await {
                Ok(None) => return Ok(body),
                Ok(Some(Ok(bytes))) if body.len() + bytes.len() <= max => {
                    body.extend_from_slice(&bytes);
                }
                Ok(Some(Ok(_))) => return Err(self.unreachable(TOO_LONG, true, None)),
                Ok(Some(Err(error))) => return Err(self.fault(Failure::Http(error))),
                Err(_) if left <= idle => {}
                Err(_) => return Err(self.unreachable(SILENT, true, None)),
            }
        }
    }

    /// Its base URL.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// A body. Maps with string keys and numbers: JSON can say it all.
fn json(body: &impl Serialize) -> Option<Content> {
    Some(("application/json", serde_json::to_vec(body).unwrap_or_default()))
}
