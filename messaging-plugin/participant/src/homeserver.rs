//! telmeet, as a client: the client-server API over the participant's own socket.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use chassis::{
    body::{self, BodyError},
    client,
    unix::Connector,
};
use http_body_util::Full;
use hyper::{Method, Request, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ruma::{RoomId, api::IncomingResponse};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{sleep, timeout};

/// The kind of login that works on this socket, without a password.
const LOGIN: &str = "maru.login.participant";
/// Largest response, in bytes, such as the keys of many devices.
const BODY_MAX: usize = 4 << 20;
/// Largest state of a room, in bytes: it is taken apart in memory.
const STATE_MAX: usize = 1 << 20;
/// Largest sync, in bytes: an event of 64 KiB for each room that the AI may be in.
const SYNC_MAX: usize = 20 << 20;
/// How long a response may take, besides the time that a sync may wait.
const PATIENCE: Duration = Duration::from_secs(30);
/// Shortest wait after telmeet answered that there are too many requests.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// Characters of a path's segment that need no escape.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// telmeet cannot be reached, or did not answer in time. Whether it acted is not known.
    #[error("telmeet cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refused.
    #[error("telmeet refused with {status} {code}")]
    Refused {
        /// Status.
        status: StatusCode,
        /// Error code of the specification.
        code: String,
    },
    /// Its answer is too large.
    #[error("telmeet's answer is too large")]
    TooLarge,
    /// Its answer is not what the specification says.
    #[error("telmeet's answer is malformed")]
    Malformed,
}

impl CallError {
    /// Whether the access token is not known any more.
    #[must_use]
    pub fn is_signed_out(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::UNAUTHORIZED, .. })
    }

    /// Whether the same call would be refused again.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Refused { status, .. }
            if status.is_client_error() && *status != StatusCode::TOO_MANY_REQUESTS)
    }
}

/// A user and a device, signed in.
#[derive(Debug, Deserialize)]
pub struct SignedIn {
    /// The user.
    pub user_id: ruma::OwnedUserId,
    /// The device.
    pub device_id: ruma::OwnedDeviceId,
    access_token: String,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    errcode: String,
    #[serde(default)]
    retry_after_ms: u64,
}

/// telmeet.
pub struct Homeserver {
    connector: Connector,
    /// The name under which it is called.
    host: String,
    token: Mutex<String>,
}

/// Does not show the token.
impl std::fmt::Debug for Homeserver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Homeserver").field("connector", &self.connector).finish_non_exhaustive()
    }
}

impl Homeserver {
    /// telmeet at this socket, called by this name.
    #[must_use]
    pub fn new(connector: Connector, host: &str) -> Self {
        Self { connector, host: host.to_owned(), token: Mutex::default() }
    }

    /// Signs in as the AI, with this device if it is named.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn sign_in(&self, device: Option<&str>) -> Result<SignedIn, CallError> {
        let mut body = serde_json::json!({ "type": LOGIN, "initial_device_display_name": "Maru" });
        if let Some(device) = device {
            body["device_id"] = device.into();
        }
        self.log_in(body).await
    }

    /// Signs in by this request of the specification ("Login").
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn log_in(&self, body: Value) -> Result<SignedIn, CallError> {
        let signed_in = self.call(Method::POST, "/_matrix/client/v3/login", Some(body)).await?;
        let signed_in: SignedIn =
            serde_json::from_value(signed_in).map_err(|_| CallError::Malformed)?;
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        token.clone_from(&signed_in.access_token);
        Ok(signed_in)
    }

    /// GET.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.call(Method::GET, path, None).await
    }

    /// POST.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn post(&self, path: &str, body: Value) -> Result<Value, CallError> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// PUT.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn put(&self, path: &str, body: Value) -> Result<Value, CallError> {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// A call whose response is of a type of `ruma`.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn typed<R: IncomingResponse>(
        &self,
        method: Method,
        path: &str,
        mut body: Value,
    ) -> Result<R, CallError> {
        // Fields that are not set are absent in the specification, never null.
        if let Value::Object(fields) = &mut body {
            fields.retain(|_, value| !value.is_null());
        }
        let bytes = self.bytes(method, path, Some(body), PATIENCE, BODY_MAX).await?;
        let response = hyper::Response::new(bytes.to_vec());
        R::try_from_http_response(response).map_err(|_| CallError::Malformed)
    }

    /// A sync that waits so long for something new.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn sync(&self, query: &str, wait: Duration) -> Result<Bytes, CallError> {
        let path = format!("/_matrix/client/v3/sync?{query}&timeout={}", wait.as_millis());
        self.bytes(Method::GET, &path, None, PATIENCE + wait, SYNC_MAX).await
    }

    /// The state of a room.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    pub async fn state(&self, room: &RoomId) -> Result<Value, CallError> {
        let path = room_path(room, "state");
        let bytes = self.bytes(Method::GET, &path, None, PATIENCE, STATE_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|_| CallError::Malformed)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, CallError> {
        let bytes = self.bytes(method, path, body, PATIENCE, BODY_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|_| CallError::Malformed)
    }

    async fn bytes(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        patience: Duration,
        max: usize,
    ) -> Result<Bytes, CallError> {
        let unreachable =
            |error: Box<dyn std::error::Error + Send + Sync>| CallError::Unreachable(error);
        let whole = async {
            loop {
                let stream =
                    self.connector.connect().await.map_err(|error| unreachable(error.into()))?;
                let request = self.request(method.clone(), path, body.as_ref());
                let response = client::send(stream, request.map_err(|_| CallError::Malformed)?);
                let response = response.await.map_err(|error| unreachable(error.into()))?;
                let status = response.status();
                let bytes = body::whole(response.into_body(), max, patience).await;
                let bytes = bytes.map_err(|error| {
                    let is_too_large = matches!(error, BodyError::TooLarge);
                    if is_too_large { CallError::TooLarge } else { unreachable(error.into()) }
                })?;
                if status != StatusCode::TOO_MANY_REQUESTS {
                    return Ok((status, bytes));
                }
                // Members may write faster than the AI may read.
                let refusal: Refusal = serde_json::from_slice(&bytes).unwrap_or_default();
                let wait = Duration::from_millis(refusal.retry_after_ms);
                sleep(wait.clamp(RETRY_MIN, patience)).await;
            }
        };
        let (status, bytes) =
            timeout(patience, whole).await.map_err(|error| unreachable(error.into()))??;
        if status.is_success() {
            return Ok(bytes);
        }
        let refusal: Refusal = serde_json::from_slice(&bytes).unwrap_or_default();
        let code = common::foreign::short(&refusal.errcode, 64);
        Err(CallError::Refused { status, code })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> hyper::http::Result<Request<Full<Bytes>>> {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/json");
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.body(Full::from(body.map(Value::to_string).unwrap_or_default()))
    }
}

/// A value as a segment of a path.
#[must_use]
pub fn segment(value: &str) -> String {
    utf8_percent_encode(value, SEGMENT).to_string()
}

/// The path of a room.
#[must_use]
pub fn room_path(room: &RoomId, rest: &str) -> String {
    format!("/_matrix/client/v3/rooms/{}/{rest}", segment(room.as_str()))
}
