//! The gateway, as a client of the plugin protocol's half for rooms (`docs/protocols/plugin.md`).

use std::{collections::VecDeque, io, time::Duration};

use ai_gateway_api::rooms::{ReplyEvent, RoomMessage, Settings, path};
use bytes::Bytes;
use chassis::{
    body,
    client::{self, ResponseBody},
    unix::{ConnectError, Connector},
};
use chat_vocabulary::sse::Decoder;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, header};
use telmeet_api::plugin;
use tokio::{
    net::UnixStream,
    time::{sleep, timeout},
};

/// How long the start of an answer may take: a message may wait for the model.
const START: Duration = Duration::from_secs(10 * 60);
/// How long the settings may take.
const SETTINGS: Duration = Duration::from_secs(10);
/// How long a stream may be silent; the gateway sends something every 15 seconds.
const SILENCE: Duration = Duration::from_secs(60);
/// How often a gateway that is not there is tried, and how long it is waited for in between: `maru up` starts it again.
const TRIES: u32 = 10;
const WAIT: Duration = Duration::from_secs(1);
/// Largest event of a stream, and largest settings, in bytes.
const EVENT_MAX: usize = 256 << 10;

/// The gateway gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// It cannot be reached, or broke off.
    #[error("the gateway cannot be reached")]
    Unreachable(#[source] io::Error),
    /// It refused.
    #[error("the gateway refused with {0}")]
    Refused(StatusCode),
    /// Its answer is not of the protocol.
    #[error("the gateway's answer is malformed")]
    Malformed,
}

/// The gateway.
#[derive(Clone, Debug)]
pub struct Gateway(Connector);

/// A reply as it comes.
#[derive(Debug)]
pub struct Reply {
    body: ResponseBody,
    decoder: Decoder,
    ready: VecDeque<ReplyEvent>,
}

impl Gateway {
    /// The gateway at this socket.
    #[must_use]
    pub fn new(connector: Connector) -> Self {
        Self(connector)
    }

    /// Which messages are answered.
    ///
    /// # Errors
    ///
    /// See [`GatewayError`].
    pub async fn settings(&self) -> Result<Settings, GatewayError> {
        let response = self.send(Method::GET, path::SETTINGS, Vec::new(), SETTINGS).await?;
        if response.status() != StatusCode::OK {
            return Err(GatewayError::Refused(response.status()));
        }
        let bytes = body::whole(response.into_body(), EVENT_MAX, SETTINGS).await;
        let bytes = bytes.map_err(|error| GatewayError::Unreachable(io::Error::other(error)))?;
        serde_json::from_slice(&bytes).map_err(|_| GatewayError::Malformed)
    }

    /// Asks for the reply to a message. `None`: it is not answered.
    ///
    /// # Errors
    ///
    /// See [`GatewayError`]; 409 if the gateway had received it before.
    pub async fn ask(&self, message: &RoomMessage) -> Result<Option<Reply>, GatewayError> {
        let json = serde_json::to_vec(message).map_err(|_| GatewayError::Malformed)?;
        let response = self.send(Method::POST, path::MESSAGES, json, START).await?;
        match response.status() {
            StatusCode::OK => Ok(Some(Reply {
                body: response.into_body(),
                decoder: Decoder::new(EVENT_MAX),
                ready: VecDeque::new(),
            })),
            StatusCode::NO_CONTENT => Ok(None),
            status => Err(GatewayError::Refused(status)),
        }
    }

    async fn connect(&self) -> Result<UnixStream, ConnectError> {
        for _ in 1..TRIES {
            if let Ok(stream) = self.0.connect().await {
                return Ok(stream);
            }
            sleep(WAIT).await;
        }
        self.0.connect().await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        json: Vec<u8>,
        within: Duration,
    ) -> Result<Response<ResponseBody>, GatewayError> {
        let whole = async {
            let stream = self.connect().await?;
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(header::HOST, plugin::HOST)
                .header(header::CONTENT_TYPE, "application/json")
                .body(Full::new(Bytes::from(json)))
                .map_err(io::Error::other)?;
            client::send(stream, request).await.map_err(io::Error::other)
        };
        let response = timeout(within, whole).await.map_err(io::Error::from);
        response.and_then(|response| response).map_err(GatewayError::Unreachable)
    }
}

impl Reply {
    /// The next event; `None` if the reply was cut. Cancel-safe.
    pub async fn next(&mut self) -> Option<ReplyEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let frame = timeout(SILENCE, body::frame(&mut self.body)).await.ok()??;
            let Ok(bytes) = frame.ok()?.into_data() else { continue };
            let ready = &mut self.ready;
            let decoded = self.decoder.push(&bytes, |name, data| {
                ready.extend(ReplyEvent::decode(name, data.as_bytes()));
            });
            if decoded.is_err() && self.ready.is_empty() {
                return None;
            }
        }
    }
}
