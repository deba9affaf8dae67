//! Reading whole bodies with a bound on the memory that they use.
//!
//! ```text
//!   frame ──▶ deadline ──▶ length limit ──▶ memory limit ──▶ copied into one buffer, the frame is dropped
//! ```
//!
//! hyper returns one [`Bytes`] for each chunk, which keeps its read buffer alive: collecting a body of one-byte chunks uses
//! about 40 times its length. A copied body uses its length.
//!
//! [`BodyReader`] limits the memory of all bodies and of one sender's. It counts bytes that arrived, not the announced length.
//! [`whole`] counts nothing: it is for callers that reserved memory before, or of which there are few. [`frame`] is for
//! streaming. A growing buffer is copied, so each reading thread may use half of a largest body in addition.

use std::{
    error::Error,
    fmt,
    future::poll_fn,
    hash::Hash,
    net::IpAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
};
use http_body_util::{Full, LengthLimitError};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use serde::de::DeserializeOwned;
use tokio::{task::coop::consume_budget, time::sleep};

use crate::quota::{Permit, Quota};

/// Smallest amount that is counted, in bytes.
const UNIT: usize = 4096;

type BoxError = Box<dyn Error + Send + Sync>;

/// Reads bodies and counts their memory by sender (`K`).
#[derive(Clone, Debug)]
pub struct BodyReader<K = IpAddr> {
    max: usize,
    /// In bytes.
    room: Quota<K>,
}

/// A whole body and its share of the memory limit.
#[derive(Debug)]
pub struct BufferedBody<K: Eq + Hash = IpAddr> {
    bytes: Bytes,
    room: Permit<K>,
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is longer than its limit.
    #[error("the body is too large")]
    TooLarge,
    /// The memory limit is reached.
    #[error("there is no room for the body now")]
    NoMemory,
    /// It ended early.
    #[error("the body ended early")]
    Incomplete,
    /// Its deadline passed.
    #[error("the body did not arrive in time")]
    Timeout,
}

impl BodyError {
    /// The HTTP status of the response.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoMemory => StatusCode::SERVICE_UNAVAILABLE,
            Self::Incomplete => StatusCode::BAD_REQUEST,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// Why reading a body failed: [`Self::Timeout`] behind [`with_deadline`], [`Self::TooLarge`] behind
    /// [`http_body_util::Limited`], else [`Self::Incomplete`].
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if error.is::<DeadlinePassed>() {
                return Self::Timeout;
            }
            if error.is::<LengthLimitError>() {
                return Self::TooLarge;
            }
            cause = error.source();
        }
        Self::Incomplete
    }
}

/// Why a JSON body is rejected.
#[derive(Debug, thiserror::Error)]
pub enum JsonBodyError {
    /// The content type is not JSON. Requiring it keeps websites out, which need a preflight to send it.
    #[error("send it as application/json")]
    Kind,
    /// The body was not read.
    #[error(transparent)]
    Unread(#[from] BodyError),
    /// The body is not valid JSON, or not of the expected type.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl JsonBodyError {
    /// The HTTP status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Kind => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unread(unread) => unread.status(),
            Self::Json(error) if error.is_data() => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Json(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// Whether the content type is JSON.
#[must_use]
pub fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Reads a JSON body as [`whole`] does; for local interfaces with few callers.
///
/// # Errors
///
/// See [`JsonBodyError`].
pub async fn json<T: DeserializeOwned>(
    request: Request,
    max: usize,
    within: Duration,
) -> Result<T, JsonBodyError> {
    if !is_json(request.headers()) {
        return Err(JsonBodyError::Kind);
    }
    let bytes = whole(request.into_body(), max, within).await?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Ties `held`, such as a permit, to the last reference to the bytes.
pub fn counted<H: Send + 'static>(bytes: Bytes, held: H) -> Bytes {
    struct Counted<H>(Bytes, H);

    impl<H> AsRef<[u8]> for Counted<H> {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    Bytes::from_owner(Counted(bytes, held))
}

/// Reads a body of at most `max` bytes; `within` limits the time in all. Its memory is not counted.
///
/// # Errors
///
/// [`BodyError`], but never [`BodyError::NoMemory`].
pub async fn whole<B>(body: B, max: usize, within: Duration) -> Result<Bytes, BodyError>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>>,
{
    gather(body, max, within, |_| Ok(())).await
}

/// Returns the next frame of a body. A frame keeps its read buffer alive: to keep a body, use [`whole`] or [`BodyReader`].
pub async fn frame<B: HttpBody + Unpin>(body: &mut B) -> Option<Result<Frame<B::Data>, B::Error>> {
    poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

/// Calls `room` with the buffer's new size before the buffer grows.
async fn gather<B>(
    body: B,
    max: usize,
    within: Duration,
    mut room: impl FnMut(usize) -> Result<(), BodyError>,
) -> Result<Bytes, BodyError>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>>,
{
    let (mut body, mut late) = (pin!(body), pin!(sleep(within)));
    let announced = body.size_hint();
    if usize::try_from(announced.lower()).map_or(true, |least| least > max) {
        return Err(BodyError::TooLarge);
    }
    let exact = announced.exact().and_then(|exact| usize::try_from(exact).ok());
    let (mut bytes, mut counted) = (Vec::new(), 0);
    loop {
        // A body that is always ready must yield to other tasks and to the timer.
        consume_budget().await;
        let frame = tokio::select! {
            biased;
            () = &mut late => return Err(BodyError::Timeout),
            frame = frame(&mut body) => frame,
        };
        let Some(frame) = frame else { return Ok(bytes.into()) };
        let Ok(data) = frame.map_err(|error| BodyError::of(&*error.into()))?.into_data() else {
            continue;
        };
        let len = bytes.len() + data.len();
        if len > max {
            return Err(BodyError::TooLarge);
        }
        if len > counted {
            // Doubled, so that small frames are not counted one by one.
            counted = (2 * len).max(UNIT).min(exact.unwrap_or(max)).max(len);
            room(counted)?;
            // A body of known length is never copied: untouched pages use no memory.
            bytes.reserve_exact(exact.unwrap_or(counted).max(len) - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
}

impl<K: Clone + Eq + Hash> BodyReader<K> {
    /// Limits each body to `max` bytes, those of one sender to `each`, and all to `total`.
    #[must_use]
    pub fn new(max: usize, each: usize, total: usize) -> Self {
        Self { max, room: Quota::new(total.max(max), each.max(max)) }
    }

    /// Shares the memory limit, with another limit for each body.
    #[must_use]
    pub fn at_most(&self, max: usize) -> Self {
        Self { max: max.min(self.max), room: self.room.clone() }
    }

    /// Reads a body of the sender `from`; `within` limits the time in all.
    ///
    /// # Errors
    ///
    /// [`BodyError`]; then nothing is held.
    pub async fn read<B>(
        &self,
        body: B,
        from: K,
        within: Duration,
    ) -> Result<BufferedBody<K>, BodyError>
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>>,
    {
        let mut room = self.room.take(from).map_err(|_| BodyError::NoMemory)?;
        let grow = |wanted: usize| {
            room.add(wanted.saturating_sub(room.count())).map_err(|_| BodyError::NoMemory)
        };
        let bytes = gather(body, self.max, within, grow).await?;
        Ok(BufferedBody { bytes, room })
    }

    /// Number of senders whose bodies are in memory.
    #[must_use]
    pub fn holders(&self) -> usize {
        self.room.holders()
    }
}

impl<K: Clone + Eq + Hash + Send + 'static> BufferedBody<K> {
    /// The body.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The memory that is counted for it, in bytes.
    #[must_use]
    pub fn room(&self) -> usize {
        self.room.count()
    }

    /// The bytes; their memory is counted until the last reference is dropped.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        counted(self.bytes, self.room)
    }

    /// Replaces the bytes by a result that is not longer.
    #[must_use]
    pub fn with(self, bytes: Bytes) -> Self {
        Self { bytes, ..self }
    }
}

impl<K: Clone + Eq + Hash + Send + Unpin + 'static> BufferedBody<K> {
    /// A body to forward; its memory is counted until it was sent.
    pub fn into_body(self) -> Body {
        with_guard(Full::new(self.bytes), self.room)
    }
}

#[derive(Debug)]
struct DeadlinePassed;

impl fmt::Display for DeadlinePassed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body took too long")
    }
}

impl Error for DeadlinePassed {}

/// A body that fails after `within`, with an error that [`BodyError::of`] recognizes.
pub fn with_deadline<B>(body: B, within: Duration) -> Body
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let mut deadline = Box::pin(sleep(within));
    let poll = move |body: Pin<&mut B>, context: &mut Context<'_>| {
        // First, so that a body that is always ready times out, too.
        if deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(DeadlinePassed.into())));
        }
        body.poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    };
    Body::new(PolledBody { body, poll })
}

/// A body with a value that is dropped with it, such as a permit.
pub fn with_guard<B, H>(body: B, guard: H) -> Body
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    H: Send + Unpin + 'static,
{
    let poll = move |body: Pin<&mut B>, context: &mut Context<'_>| {
        let _guard = &guard;
        body.poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    };
    Body::new(PolledBody { body, poll })
}

/// A body whose frames are polled by a function.
struct PolledBody<B, F> {
    body: B,
    poll: F,
}

impl<B, F> HttpBody for PolledBody<B, F>
where
    B: HttpBody<Data = Bytes> + Unpin,
    F: FnMut(Pin<&mut B>, &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { body, poll } = self.get_mut();
        poll(Pin::new(body), context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
