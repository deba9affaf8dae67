//! HTTP to the gateway: through the page of the network for chat, on its own listener for the device key.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ai_gateway_api::{
    kind,
    sealed::{BindDevice, KeyDocument, PORT, Request, decode_keys, path},
    wire::DecodeError,
};
use anyhow::{Context as _, anyhow, bail};
use common::problem::Problem;
use messages::message;
use reqwest::{Response, StatusCode, header};

use supervisor::local;

/// Connect timeout; a path through a relay takes at most a second.
const CONNECT: Duration = Duration::from_secs(10);

/// Read timeout; the gateway sends a comment every 15 seconds.
const SILENCE: Duration = Duration::from_secs(90);
/// Idle time before the first TCP keepalive probe, and between probes.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// How long an answer without a stream may take.
const ANSWER: Duration = Duration::from_secs(30);

/// Largest answer without a stream, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// HTTP connections to the gateway.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    http: reqwest::Client,
    /// Where sealed chat is relayed.
    chat: String,
    /// The agent's own listener.
    gateway: String,
}

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The gateway could not open the request, or does not say why.
    Sealed,
    /// The device key is not bound to this node.
    Device,
    /// The device key is bound to another node.
    Bound,
    /// Anything else, with what to do.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl Connection {
    /// Connects to the host at these addresses; by its name if there are none.
    pub(super) fn new(host: &str, addresses: &[IpAddr]) -> anyhow::Result<Self> {
        let chat = format!("http://{host}");
        let gateway = format!("http://{host}:{PORT}");
        Self::with_urls(host, addresses, chat, gateway)
    }

    pub(super) fn with_urls(
        host: &str,
        addresses: &[IpAddr],
        chat: String,
        gateway: String,
    ) -> anyhow::Result<Self> {
        Ok(Self { http: client(host, addresses)?, chat, gateway })
    }

    /// Gets the key document.
    pub(super) async fn keys(&self) -> anyhow::Result<KeyDocument> {
        let request = self.http.get(format!("{}{}", self.chat, path::KEYS)).timeout(ANSWER);
        let response = request.send().await.map_err(|error| unreachable(error, &self.chat))?;
        if response.status() != StatusCode::OK {
            return Err(problem(response).await.map_or_else(no_gateway, |problem| say(&problem)));
        }
        let body = read(response).await?;
        decode_keys(&body).map_err(|error| match error {
            DecodeError::Version { .. } => {
                anyhow!(message!("gateway-keys", error))
            }
            DecodeError::Json(_) => no_gateway(),
        })
    }

    /// Binds the device key to this node.
    pub(super) async fn bind(&self, bind: &BindDevice) -> Result<(), Failure> {
        let request =
            self.http.post(format!("{}{}", self.gateway, path::DEVICES)).timeout(ANSWER).json(bind);
        let response = request.send().await.map_err(|error| unreachable(error, &self.gateway))?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(failure(problem(response).await))
    }

    /// Sends a sealed request; gives the stream of the reply.
    pub(super) async fn chat(&self, request: &Request) -> Result<Response, Failure> {
        let sent = self
            .http
            .post(format!("{}{}", self.chat, path::CHAT))
            .header(header::ACCEPT, "text/event-stream")
            .json(request)
            .send();
        let response = sent.await.map_err(|error| unreachable(error, &self.chat))?;
        if response.status() == StatusCode::OK {
            let streams = response
                .headers()
                .get(header::CONTENT_TYPE)
                .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
            return if streams { Ok(response) } else { Err(Failure::Other(no_gateway())) };
        }
        Err(failure(problem(response).await))
    }
}

/// A client that reaches the host at these addresses; by its name if there are none.
pub(crate) fn client(host: &str, addresses: &[IpAddr]) -> anyhow::Result<reqwest::Client> {
    let mut builder = local::plain()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        // Detects a home machine that lost its power.
        .tcp_keepalive(KEEPALIVE)
        .tcp_keepalive_interval(KEEPALIVE)
        .tcp_keepalive_retries(3)
        .tcp_nodelay(true);
    if !addresses.is_empty() {
        // Port 0 stands for the URL's own.
        let addresses: Vec<_> =
            addresses.iter().map(|&address| SocketAddr::new(address, 0)).collect();
        builder = builder.resolve_to_addrs(host, &addresses);
    }
    builder.build().context(message!("no-http-client"))
}

fn failure(problem: Option<Problem>) -> Failure {
    match problem {
        Some(problem) if problem.is(kind::SEALED) => Failure::Sealed,
        Some(problem) if problem.is(kind::DEVICE) => Failure::Device,
        Some(problem) if problem.is(kind::DEVICE_BOUND) => Failure::Bound,
        Some(problem) => Failure::Other(say(&problem)),
        None => Failure::Other(no_gateway()),
    }
}

/// Reads a short answer.
pub(crate) async fn read(mut response: Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            bail!(message!("gateway-answer-too-long"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

async fn problem(response: Response) -> Option<Problem> {
    serde_json::from_slice(&read(response).await.ok()?).ok()
}

fn say(problem: &Problem) -> anyhow::Error {
    anyhow!(common::foreign::line(&messages::problem(problem)))
}

fn no_gateway() -> anyhow::Error {
    anyhow!(message!("not-a-gateway"))
}

fn unreachable(error: reqwest::Error, url: &str) -> anyhow::Error {
    let url = url.strip_prefix("http://").unwrap_or(url);
    let text = match error.is_timeout() {
        true => message!("gateway-timeout", url),
        false => message!("gateway-unreachable", url),
    };
    anyhow!(error.without_url()).context(text)
}
