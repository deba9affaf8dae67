//! An exchange sealed to the gateway's key, through one of the relays.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::problem::{self, Problem};
use confidential_api::names::{OHTTP_KEY_PROBLEM, media, path};
use confidential_envelope::{
    bhttp::{self, RequestHead},
    ohttp::{KeyConfig, RESPONSE_LIMITS},
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::{HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use tokio::time::{Instant, timeout_at};

use super::{layer, prepared::PreparedSecrets};
use crate::{
    Error,
    body::StreamError,
    link::{Answer, Client},
};

/// Requests are padded to a multiple of this, in bytes, so that their length reveals less.
const PADDING: usize = 256;

/// The relays to the gateway.
pub(crate) struct Outer {
    name: String,
    relays: Vec<Client>,
    /// Index of the relay that worked last.
    first: AtomicUsize,
    prepared: Arc<PreparedSecrets>,
}

/// An exchange failed.
#[derive(Debug)]
pub(crate) enum ExchangeError {
    /// The gateway does not have the key (RFC 9458, section 5.3).
    Key,
    /// Anything else.
    Error(Error),
}

impl From<Error> for ExchangeError {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Outer {
    pub(crate) fn new(name: String, relays: Vec<Client>, prepared: Arc<PreparedSecrets>) -> Self {
        Self { name, relays, first: AtomicUsize::new(0), prepared }
    }

    /// Seals a request, sends it through the first relay that forwards it, and opens the head of the answer. A chat is
    /// sent in chunks, and each relay has `limit` until the answer begins. Otherwise all relays share `limit`: each
    /// gets half of the remaining time, the last one all of it.
    pub(crate) async fn exchange(
        &self,
        key: &KeyConfig,
        head: &RequestHead,
        content: &[u8],
        chunked: bool,
        limit: Duration,
    ) -> Result<layer::Answer, ExchangeError> {
        let (mut last, mut no_key) = (None, false);
        let (count, first) = (self.relays.len(), self.first.load(Ordering::Relaxed));
        let until = Instant::now() + limit;
        for attempt in 0..count {
            let at = (first + attempt) % count;
            let Some(relay) = self.relays.get(at) else { continue };
            let remaining = until.saturating_duration_since(Instant::now());
            let each = match (chunked, attempt + 1 == count) {
                (true, _) => limit,
                (false, true) => remaining,
                (false, false) => remaining / 2,
            };
            match self.through(relay, key, head, content, chunked, each).await {
                // A relay may be down or malicious: the next one is tried. A node answers a request only once.
                Err(ExchangeError::Key) => no_key = true,
                Err(ExchangeError::Error(
                    error @ (Error::Unreachable { .. }
                    | Error::Busy { .. }
                    | Error::Refused { .. }
                    | Error::Untrusted { .. }),
                )) => {
                    tracing::debug!(relay = relay.name(), %error, "the next relay is tried");
                    last = Some(error);
                }
                done => {
                    self.first.store(at, Ordering::Relaxed);
                    return done;
                }
            }
        }
        if no_key {
            return Err(ExchangeError::Key);
        }
        let none = Error::Address { url: self.name.clone(), reason: "name at least one relay" };
        Err(ExchangeError::Error(last.unwrap_or(none)))
    }

    async fn through(
        &self,
        relay: &Client,
        key: &KeyConfig,
        head: &RequestHead,
        content: &[u8],
        chunked: bool,
        limit: Duration,
    ) -> Result<layer::Answer, ExchangeError> {
        let refused =
            |code, reason| ExchangeError::Error(Error::untrusted(&self.name, code, reason));
        let unsealable =
            || refused("no-active-key", "requests cannot be sealed to the gateway's key");
        let unsealed = |reason| {
            let (backend, code) = (self.name.clone(), "reply-unsealed");
            // Only chunked requests contain people's text.
            ExchangeError::Error(Error::Untrusted { backend, code, reason, sent: chunked })
        };
        let until = Instant::now() + limit;
        let message = bhttp::encode(head, content, PADDING);
        let request = self.prepared.request(key).map_err(|_| unsealable())?;
        let (kind, sealed, opener) = if chunked {
            let (sealer, opener) = request.chunked().map_err(|_| unsealable())?;
            let sealed = sealer.finish(&message).map_err(|_| unsealable())?;
            (media::OHTTP_CHUNKED_REQUEST, sealed, opener)
        } else {
            let (sealed, opener) = request.seal(&message).map_err(|_| unsealable())?;
            (media::OHTTP_REQUEST, sealed, opener)
        };
        let answer = relay.ask(Method::POST, path::ROOT, Some((kind, sealed)), limit).await?;
        if !answer.status.is_success() {
            let refusal = timeout_at(until, refusal(relay, answer)).await;
            return Err(refusal.unwrap_or_else(|_| relay.silent().into()));
        }
        let in_chunks = answer.is(media::OHTTP_CHUNKED_RESPONSE);
        if !in_chunks && !answer.is(media::OHTTP_RESPONSE) {
            return Err(unsealed("an answer of the chain was not sealed"));
        }
        let sealed = answer.into_stream().map_err(StreamError::Transport).boxed();
        match timeout_at(until, layer::Answer::open(sealed, opener, in_chunks, RESPONSE_LIMITS))
            .await
        {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(StreamError::Sealed)) => Err(unsealed("an answer of the chain does not open")),
            Ok(Err(broken)) => Err(broken.into_error(&self.name, false).into()),
            Err(_) => Err(ExchangeError::Error(relay.silent())),
        }
    }
}

/// An unsealed refusal of a relay or the gateway. Only the problem that names the key is trusted.
async fn refusal(relay: &Client, answer: Answer) -> ExchangeError {
    let status = answer.status;
    let kind = answer.headers.get(CONTENT_TYPE).cloned();
    let kind = kind.as_ref().map_or(b"".as_slice(), HeaderValue::as_bytes);
    if status == StatusCode::BAD_REQUEST && problem::is_problem(kind) {
        let body = relay.refused_with(answer, problem::MAX).await;
        let problem = Problem::received(kind, &body);
        if problem.is_some_and(|problem| problem.kind == OHTTP_KEY_PROBLEM) {
            return ExchangeError::Key;
        }
    }
    ExchangeError::Error(match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => relay.full(),
        status if status.is_server_error() => relay.failed(),
        status => relay.refused(status, "the chain refused the request"),
    })
}
