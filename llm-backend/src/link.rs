//! The way to one backend: one request at a time on a connection, so that closing it is cancelling.
//!
//! No redirect is followed and no proxy is asked.

mod connection;
mod files;
mod idle;
mod stream;

use std::{error::Error as StdError, io, mem, sync::Arc, time::Duration};

use ai_gateway_api::chat::Delta;
use bytes::Bytes;
use chassis::unix::ConnectError;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream::BoxStream};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use rustls::pki_types::ServerName;
use serde::Serialize;
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, timeout},
};

use self::{
    connection::Connection,
    files::Files,
    idle::{Idle, Made, Trust},
    stream::Target,
};
use crate::{
    DeltaStream, Detail, Error, Health,
    address::Address,
    body::{self, Broken, Pieces},
    refusal::Refusal,
    settings::{Settings, Timeouts},
};

/// Longest answer that is not streamed, in bytes: model lists, slots, errors.
const BODY_MAX: usize = 1 << 20;
/// Longest answer with embeddings, in bytes: a thousand texts of 1,024 numbers have 12 MB.
pub(crate) const EMBEDDINGS_MAX: usize = 16 << 20;
/// What is decoded where it came, in bytes.
const SMALL: usize = 64 << 10;
/// Longer answers that are decoded at a time.
static DECODING: Semaphore = Semaphore::const_new(2);
/// A server that closes a kept connection does so this soon; later it was busy with the request.
const CLOSES: Duration = Duration::from_secs(1);
/// Longest message of a refusing backend that is passed on, in characters.
const MESSAGE_MAX: usize = 300;

const ABSENT: &str = "is not there: start it, or correct its base URL in the settings";
const ANOTHER: &str = "is not asked: a link is in the place of its socket or on the way to it, or another user listens there; stop what listens, or correct its uid in the settings";
const SILENT: &str = "did not begin to answer in time: it may be overloaded; wait or restart it";
const HUNG_UP: &str =
    "closed the connection without an answer: look at its log, it may have crashed";
const UNTRUSTED: &str = "and this gateway do not trust each other: compare ca, cert, key and serverName in the settings";
const OUT_OF_TIME: &str = "and this gateway do not trust each other: a certificate has expired or is not valid yet; is this machine's clock right?";
const LOADING: &str = "is still loading its model: try again in a moment";
/// It says so of one request, or of all new ones.
const BUSY: &str = "is busy with other requests: try again in a moment";
/// It says so to us.
const CROWDED: &str = "is asked too often: try again in a moment";
pub(crate) const FAILED: &str = "failed inside: look at its log";
const NO_STREAM: &str =
    "does not stream as its kind does: compare api and baseUrl in the settings with what it is";
const TOO_LONG: &str = "sent an answer longer than is taken: is it a chat server?";

/// The way to one backend.
#[derive(Debug)]
pub(crate) struct Link {
    /// Base URL as written in the settings, for messages.
    name: String,
    address: Address,
    target: Target,
    files: Files,
    /// Name that the server's certificate must be for; `None` where no TLS is spoken.
    server_name: Option<ServerName<'static>>,
    timeouts: Timeouts,
    idle: Arc<Idle>,
}

/// What a backend answered. Dropping it before its end closes the connection.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    /// Until the end.
    connection: Option<Connection>,
    made: Made,
    idle: Arc<Idle>,
}

/// What is sent: its content type, and its bytes.
type Content = (&'static str, Vec<u8>);

/// Why there is no answer.
enum Failure {
    Files(Error),
    Connect(io::Error),
    Http(hyper::Error),
}

impl Link {
    /// Reads the settings. Nothing is connected yet; while a file cannot be used, each request fails and says which.
    pub(crate) fn new(settings: Settings) -> Result<Self, Error> {
        let Settings { base_url: name, key, tls, listener, timeouts } = settings;
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
        let target = Target::of(&address, &listener);
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
        let pieces = answer.into_stream().map_err(Broken::Transport).boxed();
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

    /// A refusal in words of our own, or in the backend's.
    pub(crate) fn refused(&self, status: StatusCode, message: impl Into<String>) -> Error {
        let (backend, message) = (self.name.clone(), message.into());
        Error::Refused { backend, status: status.as_u16(), message, detail: Detail::default() }
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

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Content>,
    ) -> Result<Answer, Failure> {
        let loaded = self.files.current().map_err(Failure::Files)?;
        let mut request = Request::new(Full::new(Bytes::new()));
        let prefix = match &self.address {
            Address::Unix(_) => "",
            Address::Tcp { prefix, .. } => prefix,
        };
        // Both parts were read as parts of a URI before.
        *request.uri_mut() = format!("{prefix}{path}").parse().unwrap_or_default();
        *request.method_mut() = method;
        let headers = request.headers_mut();
        if let Ok(host) = HeaderValue::from_str(&self.address.host()) {
            headers.insert(header::HOST, host);
        }
        if let Some(authorization) = loaded.authorization {
            headers.insert(header::AUTHORIZATION, authorization);
        }
        if let Some((kind, body)) = body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            *request.body_mut() = Full::new(body.into());
        }
        let mut closed = None;
        // Looked at before connecting: whoever comes in its place meanwhile is connected to once more.
        let made = Made { trust: loaded.tls, socket: self.target.socket() };
        if let Some(connection) = self.idle.take(&made) {
            let sent = Instant::now();
            match self.answer(connection, request.clone(), made.clone()).await {
                Err(error) if error.is_canceled() => {}
                Err(error) if !error.is_parse() && sent.elapsed() < CLOSES => closed = Some(error),
                answer => return answer.map_err(Failure::Http),
            }
        }
        // A server may close a connection just when it is used again, so the request goes out once more. If nobody is
        // there any more, it was the request that ended the server, perhaps; unless it was never sent.
        match (self.connect(made.trust.clone()).await, closed) {
            (Ok(connection), _) => {
                self.answer(connection, request, made).await.map_err(Failure::Http)
            }
            (Err(_), Some(error)) => Err(Failure::Http(error)),
            (Err(failure), None) => Err(failure),
        }
    }

    async fn answer(
        &self,
        mut connection: Connection,
        request: Request<Full<Bytes>>,
        made: Made,
    ) -> Result<Answer, hyper::Error> {
        let (head, body) = connection.send(request).await?.into_parts();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            connection: Some(connection),
            made,
            idle: Arc::clone(&self.idle),
        })
    }

    async fn connect(&self, tls: Trust) -> Result<Connection, Failure> {
        let tls = tls.zip(self.server_name.clone());
        let connected = timeout(self.timeouts.connect, self.target.connect(tls)).await;
        let stream = connected
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(Failure::Connect)?;
        Connection::new(stream).await.map_err(Failure::Http)
    }

    /// Reads a whole body, up to `max` bytes.
    pub(crate) async fn whole(&self, mut answer: Answer, max: usize) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        loop {
            match timeout(self.timeouts.idle, answer.chunk()).await {
                Ok(None) => return Ok(body),
                Ok(Some(Ok(bytes))) if body.len() + bytes.len() <= max => {
                    body.extend_from_slice(&bytes);
                }
                Ok(Some(Ok(_))) => return Err(self.unreachable(TOO_LONG, true, None)),
                Ok(Some(Err(error))) => return Err(self.fault(Failure::Http(error))),
                Err(_) => return Err(self.unreachable(SILENT, true, None)),
            }
        }
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> Error {
        let said = Refusal::in_body(body);
        let message = said.message.as_deref();
        if status == StatusCode::INTERNAL_SERVER_ERROR
            && let Some(words) = message.and_then(unsupported)
        {
            return self.refused(StatusCode::BAD_REQUEST, words);
        }
        match status {
            StatusCode::SERVICE_UNAVAILABLE if is_loading(message) => self.busy(LOADING),
            StatusCode::SERVICE_UNAVAILABLE => self.busy(BUSY),
            StatusCode::TOO_MANY_REQUESTS => self.busy(CROWDED),
            // llama-server's word for what it was not started with: no fault of its own.
            status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
                self.unreachable(FAILED, true, None)
            }
            status => said.refused(self.name.clone(), status.as_u16()),
        }
    }

    fn fault(&self, failure: Failure) -> Error {
        let (reason, arrived, source): (_, _, Box<dyn StdError + Send + Sync>) = match failure {
            Failure::Files(error) => return error,
            Failure::Connect(error) if ConnectError::of(&error).is_some() => {
                (ANOTHER, false, error.into())
            }
            Failure::Connect(error) => (ABSENT, false, error.into()),
            Failure::Http(error) => (HUNG_UP, true, error.into()),
        };
        if let Some(error) = of_tls(source.as_ref()) {
            let reason = if is_of_time(error) { OUT_OF_TIME } else { UNTRUSTED };
            return self.unreachable(reason, false, Some(source));
        }
        self.unreachable(reason, arrived, Some(source))
    }

    /// Its base URL.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// It did not answer in time.
    pub(crate) fn silent(&self) -> Error {
        self.unreachable(SILENT, true, None)
    }

    /// It said that it failed.
    pub(crate) fn failed(&self) -> Error {
        self.unreachable(FAILED, true, None)
    }

    /// It said that it has no room.
    pub(crate) fn full(&self) -> Error {
        self.busy(BUSY)
    }

    fn busy(&self, reason: &'static str) -> Error {
        Error::Busy { backend: self.name.clone(), reason }
    }

    fn unreachable(
        &self,
        reason: &'static str,
        arrived: bool,
        source: Option<Box<dyn StdError + Send + Sync>>,
    ) -> Error {
        Error::Unreachable { backend: self.name.clone(), reason, arrived, source }
    }
}

impl Answer {
    /// Whether the body is of this content type.
    pub(crate) fn is(&self, essence: &str) -> bool {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        kind.is_some_and(|kind| kind.split(';').next().unwrap_or_default().trim() == essence)
    }

    /// The body as it comes.
    pub(crate) fn into_stream(mut self) -> BoxStream<'static, Result<Bytes, hyper::Error>> {
        // They hold on to the buffer that they were read into: while they live, what follows needs another one.
        self.headers = HeaderMap::new();
        let next = async |mut answer: Self| Some((answer.chunk().await?, answer));
        futures_util::stream::unfold(self, next).boxed()
    }

    async fn chunk(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        loop {
            let Some(frame) = self.connection.as_mut()?.frame(&mut self.body).await else {
                self.idle.keep(self.connection.take()?, mem::take(&mut self.made));
                return None;
            };
            match frame {
                Ok(frame) => match frame.into_data() {
                    Ok(bytes) => return Some(Ok(bytes)),
                    // Trailers.
                    Err(_) => continue,
                },
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// A body. Maps with string keys and numbers: JSON can say it all.
fn json(body: &impl Serialize) -> Option<Content> {
    Some(("application/json", serde_json::to_vec(body).unwrap_or_default()))
}

/// What failed in TLS, if that is what failed.
fn of_tls<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inner = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(found) = error.downcast_ref::<rustls::Error>().or(inner) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Whether it is that a certificate's time is not now, by our clock or by the server's.
fn is_of_time(error: &rustls::Error) -> bool {
    use rustls::{AlertDescription, CertificateError};
    matches!(
        error,
        rustls::Error::AlertReceived(AlertDescription::CertificateExpired)
            | rustls::Error::InvalidCertificate(
                CertificateError::Expired
                    | CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYet
                    | CertificateError::NotValidYetContext { .. }
            )
    )
}

/// The message of an error value: an object with `message`, or a string.
pub(crate) fn message(error: &serde_json::Value) -> String {
    let text = error.get("message").unwrap_or(error).as_str();
    text.unwrap_or("without saying why").to_owned()
}

/// Whether a 503 says that the model is still being loaded.
fn is_loading(message: Option<&str>) -> bool {
    message.is_some_and(|message| message.to_ascii_lowercase().contains("loading"))
}

/// What llama-server says, with status 500, of a request that its model cannot take, in words that tell it from a fault:
/// `image input is not supported - hint: …`, `tools param requires --jinja flag`, and what the model's template says of a
/// conversation.
pub(crate) fn unsupported(message: &str) -> Option<String> {
    let lower = message.to_ascii_lowercase();
    if ["not supported", "not support ", "unsupported"].iter().any(|it| lower.contains(it)) {
        let kinds = [("image input", "vision"), ("audio input", "audio"), ("tools", "tools")];
        let known = kinds.iter().find(|(theirs, _)| lower.contains(theirs));
        if let Some((_, ours)) = known {
            return Some(format!("the model does not support {ours}"));
        }
    }
    // It was not started with what templates with tools need.
    if lower.contains("tools param requires") {
        return Some("the model does not support tools".to_owned());
    }
    let (_, said) = message.split_once("Jinja Exception: ")?;
    let said = shorten(said.lines().next().unwrap_or_default());
    Some(format!("the model's template does not support this conversation: {said}"))
}

/// The message of a refusing backend, as far as it is passed on; for tests and fuzzing.
#[must_use]
pub fn decode_error(body: &[u8]) -> Option<String> {
    Refusal::in_body(body).message.as_deref().map(shorten)
}

/// What is passed on of a backend's words.
pub(crate) fn shorten(text: &str) -> String {
    common::foreign::short(text, MESSAGE_MAX)
}
