//! Any server that speaks OpenAI's `/v1/chat/completions`.

mod address;
mod lines;
mod reply;
mod wire;

use std::time::Duration;

use ai_gateway_api::chat::{ChatRequest, ModelInfo};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture};
use reqwest::{Client, Response, StatusCode, header, redirect};
use tokio::time::{Instant, timeout_at};

use self::address::Address;
use crate::{Backend, DeltaStream, Error, Health};

pub use reply::decode;
pub use wire::{Slot, decode_models, decode_slots};

/// Longest answer that is not streamed, in bytes: model lists, slots, errors.
const BODY_MAX: usize = 1 << 20;
/// Longest message of a refusing backend that is passed on, in characters.
const MESSAGE_MAX: usize = 300;

/// How long to wait for a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection. Default: 5 s.
    pub connect: Duration,
    /// For the answer to begin: the model may load, and it reads the whole prompt first. Default: 120 s.
    pub first: Duration,
    /// Between two signs of life after that; comment lines count. Default: 60 s.
    pub idle: Duration,
    /// For the whole reply. Default: 600 s.
    pub budget: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            budget: Duration::from_secs(600),
        }
    }
}

/// An OpenAI-compatible server: `maru-llm`, llama-server, vLLM.
#[derive(Clone, Debug)]
pub struct OpenAiCompatible {
    /// Base URL as written in the settings, for messages.
    name: String,
    /// Where the paths begin; for a UNIX socket a placeholder host.
    base: String,
    client: Client,
    timeouts: Timeouts,
}

impl OpenAiCompatible {
    /// Makes a client for `unix:///path/to.sock` or `http://host:port`; a trailing `/v1` is understood. Nothing is
    /// connected yet.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if the URL is of another kind, or plain HTTP to a host that is neither this machine nor in
    /// the mesh, where the prompt would travel unencrypted.
    pub fn new(base_url: &str) -> Result<Self, Error> {
        Self::with_timeouts(base_url, Timeouts::default())
    }

    /// Like [`Self::new`], with other timeouts.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn with_timeouts(base_url: &str, timeouts: Timeouts) -> Result<Self, Error> {
        let failed = |reason| Error::Address { url: base_url.to_owned(), reason };
        let address = Address::parse(base_url).map_err(failed)?;
        // No idle connection is kept: a connection is a request, and closing it is cancelling it.
        let builder = Client::builder()
            .tls_certs_only([])
            .no_proxy()
            .http1_only()
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .connect_timeout(timeouts.connect);
        let (builder, base) = match address {
            Address::Unix(path) => (builder.unix_socket(path), "http://localhost".to_owned()),
            Address::Http { base, port } => {
                let local =
                    [([127, 0, 0, 1], port).into(), ([0, 0, 0, 0, 0, 0, 0, 1], port).into()];
                (builder.resolve_to_addrs("localhost", &local), base)
            }
        };
        let client = builder.build().map_err(|_| failed("no HTTP client could be made for it"))?;
        Ok(Self { name: base_url.to_owned(), base, client, timeouts })
    }

    /// What each slot of the server is doing, for servers with llama-server's `/slots`.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] or [`Error::Refused`].
    pub async fn slots(&self) -> Result<Vec<Slot>, Error> {
        self.get("/slots", decode_slots).await
    }

    async fn open(&self, request: ChatRequest) -> Result<DeltaStream, Error> {
        let deadline = Instant::now() + self.timeouts.budget;
        let body = wire::streaming(request);
        let response =
            self.send(self.client.post(self.url("/v1/chat/completions")).json(&body)).await?;
        if !is_event_stream(&response) {
            return Err(Error::Refused {
                backend: self.name.clone(),
                status: response.status().as_u16(),
                message: "it does not stream; a server with server-sent events is needed"
                    .to_owned(),
            });
        }
        let bytes = reply::timed(response.bytes_stream().boxed(), self.timeouts.idle, deadline);
        Ok(reply::deltas(bytes, self.name.clone()).boxed())
    }

    async fn list(&self) -> Result<Vec<ModelInfo>, Error> {
        self.get("/v1/models", decode_models).await
    }

    async fn state(&self) -> Result<Health, Error> {
        match self.send(self.client.get(self.url("/health"))).await {
            Ok(_) => Ok(Health::Ready),
            Err(Error::Unreachable { reason: LOADING, .. }) => Ok(Health::Loading),
            // A server without /health answers if it lists its models.
            Err(Error::Refused { status: 404, .. }) => self.list().await.map(|_| Health::Ready),
            Err(error) => Err(error),
        }
    }

    async fn get<T>(&self, path: &str, decode: fn(&[u8]) -> Option<T>) -> Result<T, Error> {
        let response = self.send(self.client.get(self.url(path))).await?;
        let status = response.status().as_u16();
        let body = self.body(response).await?;
        decode(&body).ok_or_else(|| Error::Refused {
            backend: self.name.clone(),
            status,
            message: format!("its answer to {path} is of an unknown shape"),
        })
    }

    /// Sends a request and takes only a successful answer.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, Error> {
        let deadline = Instant::now() + self.timeouts.first.min(self.timeouts.budget);
        let response = match timeout_at(deadline, request.send()).await {
            Err(_) => return Err(self.unreachable(SILENT, None)),
            Ok(Err(error)) if error.is_connect() => {
                return Err(self.unreachable(ABSENT, Some(error)));
            }
            Ok(Err(error)) => return Err(self.unreachable(HUNG_UP, Some(error))),
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = timeout_at(deadline, self.body(response))
            .await
            .ok()
            .and_then(Result::ok)
            .unwrap_or_default();
        Err(self.refusal(status, &body))
    }

    /// Reads a whole body, up to [`BODY_MAX`].
    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        loop {
            match timeout_at(Instant::now() + self.timeouts.idle, response.chunk()).await {
                Ok(Ok(None)) => return Ok(body),
                Ok(Ok(Some(bytes))) if body.len() + bytes.len() <= BODY_MAX => {
                    body.extend_from_slice(&bytes)
                }
                Ok(Ok(Some(_))) => return Err(self.unreachable(TOO_LONG, None)),
                Ok(Err(error)) => return Err(self.unreachable(HUNG_UP, Some(error))),
                Err(_) => return Err(self.unreachable(SILENT, None)),
            }
        }
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> Error {
        let message = wire::error_message(body);
        match status {
            StatusCode::SERVICE_UNAVAILABLE if wire::is_loading(message.as_deref()) => {
                self.unreachable(LOADING, None)
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                self.unreachable(BUSY, None)
            }
            status if status.is_server_error() => self.unreachable(FAILED, None),
            status => Error::Refused {
                backend: self.name.clone(),
                status: status.as_u16(),
                message: decode_error(body).unwrap_or_else(|| "without saying why".to_owned()),
            },
        }
    }

    fn unreachable(&self, reason: &'static str, source: Option<reqwest::Error>) -> Error {
        // The URL of a UNIX socket's placeholder host would only confuse.
        let source = source.map(|error| error.without_url().into());
        Error::Unreachable { backend: self.name.clone(), reason, source }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

const ABSENT: &str = "is not there: start it, or correct its base URL in the settings";
const SILENT: &str = "did not begin to answer in time: it may be overloaded; wait or restart it";
const HUNG_UP: &str =
    "closed the connection without an answer: look at its log, it may have crashed";
const LOADING: &str = "is still loading its model: try again in a moment";
const BUSY: &str = "is busy with other requests: try again in a moment";
const FAILED: &str = "failed inside: look at its log";
const TOO_LONG: &str = "sent an answer longer than is taken: is it a chat server?";

impl Backend for OpenAiCompatible {
    fn chat(&self, request: ChatRequest) -> BoxFuture<'_, Result<DeltaStream, Error>> {
        self.open(request).boxed()
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelInfo>, Error>> {
        self.list().boxed()
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, Error>> {
        self.state().boxed()
    }
}

fn is_event_stream(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| {
        kind.split(';').next().unwrap_or_default().trim() == "text/event-stream"
    })
}

/// The message of a refusing backend, as far as it is passed on; for tests and fuzzing.
#[must_use]
pub fn decode_error(body: &[u8]) -> Option<String> {
    wire::error_message(body).as_deref().map(shorten)
}

fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MESSAGE_MAX).collect()
}
