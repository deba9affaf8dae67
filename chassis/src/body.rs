//! Bodies that are held as a whole: the one way to read them. Each is bounded by the memory that it takes.
//!
//! ```text
//!   frame ──▶ is it late? ──▶ is it too long? ──▶ is there room? ──▶ copied into one buffer, the frame is dropped
//! ```
//!
//! hyper gives one [`Bytes`] for each chunk, and each keeps alive the read buffer that it lies in: a body of one-byte chunks
//! that is collected so takes about 40 times its length. Here it takes its length, however it was cut.
//!
//! [`BodyReader`] counts what all bodies, and those of one sender, take together. Room is taken for what has arrived, never for
//! what was announced: who announces much and sends nothing takes nothing. [`whole`] counts nothing: it is for those who
//! took room before, or of whom there are few; [`frame`] holds nothing: it is for who uses up each piece as it comes. A
//! buffer that grows is copied, without waiting: so beside what is counted there is half of a largest body for each thread
//! that reads.

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
use tokio::{
    task::coop::consume_budget,
    time::{Sleep, sleep},
};

use crate::quota::{Permit, Quota};

/// What is counted at once, in bytes.
const UNIT: usize = 4096;

type BoxError = Box<dyn Error + Send + Sync>;

/// Reads bodies and counts the room that they take, by `K`.
#[derive(Clone, Debug)]
pub struct BodyReader<K = IpAddr> {
    max: usize,
    /// In bytes.
    room: Quota<K>,
}

/// A body that is held, and its share of the room.
#[derive(Debug)]
pub struct BufferedBody<K: Eq + Hash = IpAddr> {
    bytes: Bytes,
    room: Permit<K>,
}

/// Why a body is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is longer than it may be.
    #[error("the body is too large")]
    TooLarge,
    /// There is no room.
    #[error("there is no room for the body now")]
    NoMemory,
    /// It does not come to its end.
    #[error("the body ended early")]
    Incomplete,
    /// It has not come to its end in time.
    #[error("the body did not arrive in time")]
    Timeout,
}

impl BodyError {
    /// What its sender is answered.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoMemory => StatusCode::SERVICE_UNAVAILABLE,
            Self::Incomplete => StatusCode::BAD_REQUEST,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// Why reading a body failed: [`Self::Timeout`] behind a [`DeadlineBody`], [`Self::TooLarge`] behind
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

/// Why a body is not the JSON that is taken.
#[derive(Debug, thiserror::Error)]
pub enum JsonBodyError {
    /// It is not said to be JSON. Where that is asked for, no page can send it unasked.
    #[error("send it as application/json")]
    Kind,
    /// It was not read.
    #[error(transparent)]
    Unread(#[from] BodyError),
    /// It is other JSON, or none.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl JsonBodyError {
    /// What its sender is answered.
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

/// Whether a request's body is said to be JSON.
#[must_use]
pub fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Reads a request's body as [`whole`] does, and decodes it: for local interfaces that few may call.
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

/// Bytes whose share of a bound is given back when the last reference to them is gone.
pub fn counted<H: Send + 'static>(bytes: Bytes, held: H) -> Bytes {
    struct Counted<H>(Bytes, H);

    impl<H> AsRef<[u8]> for Counted<H> {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    Bytes::from_owner(Counted(bytes, held))
}

/// Reads a body of at most `max` bytes to its end, which has to come within so long, however steadily it is sent. Its room
/// is counted by the caller, or bounded by how many read at a time.
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

/// The next piece of a body; nothing at its end. Whoever keeps pieces keeps the buffers that they lie in: hold bodies by
/// [`whole`] or [`BodyReader`].
pub async fn frame<B: HttpBody + Unpin>(body: &mut B) -> Option<Result<Frame<B::Data>, B::Error>> {
    poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

/// `room` is asked for as many bytes as the buffer takes, before it does.
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
        // A body of which more is always there leaves the thread to others now and then, the clock among them.
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
            // Doubled, so that many small pieces are not counted one by one.
            counted = (2 * len).max(UNIT).min(exact.unwrap_or(max)).max(len);
            room(counted)?;
            // Of a known length it is copied never: pages that nothing was written to take no memory.
            bytes.reserve_exact(exact.unwrap_or(counted).max(len) - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
}

impl<K: Clone + Eq + Hash> BodyReader<K> {
    /// Each of at most `max` bytes, those of one sender of `each` together, and all of `total`.
    #[must_use]
    pub fn new(max: usize, each: usize, total: usize) -> Self {
        Self { max, room: Quota::new(total.max(max), each.max(max)) }
    }

    /// The same room, for bodies of at most `max` bytes.
    #[must_use]
    pub fn at_most(&self, max: usize) -> Self {
        Self { max: max.min(self.max), room: self.room.clone() }
    }

    /// Reads a body to its end, which has to come within so long; `from` is counted as its sender.
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

    /// How many hold any room.
    #[must_use]
    pub fn holders(&self) -> usize {
        self.room.holders()
    }
}

impl<K: Clone + Eq + Hash + Send + 'static> BufferedBody<K> {
    /// What was read.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The room that it takes, in bytes.
    #[must_use]
    pub fn room(&self) -> usize {
        self.room.count()
    }

    /// The bytes, which take that room as long as anything of them is held.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        counted(self.bytes, self.room)
    }

    /// The same room for what was made of it, which is no longer.
    #[must_use]
    pub fn with(self, bytes: Bytes) -> Self {
        Self { bytes, ..self }
    }
}

impl<K: Clone + Eq + Hash + Send + Unpin + 'static> BufferedBody<K> {
    /// To be passed on; its room is given back once it was sent.
    pub fn into_body(self) -> Body {
        Body::new(GuardedBody::new(Full::new(self.bytes), self.room))
    }
}

/// A body that fails once its time is over, with an error that [`whole`] and [`BodyReader`] know as [`BodyError::Timeout`].
#[derive(Debug)]
pub struct DeadlineBody<B> {
    body: B,
    deadline: Pin<Box<Sleep>>,
}

#[derive(Debug)]
struct DeadlinePassed;

impl fmt::Display for DeadlinePassed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body took too long")
    }
}

impl Error for DeadlinePassed {}

impl<B> DeadlineBody<B> {
    /// All of it must come within so long.
    #[must_use]
    pub fn new(body: B, within: Duration) -> Self {
        Self { body, deadline: Box::pin(sleep(within)) }
    }
}

impl<B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin> HttpBody for DeadlineBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // First, so that who always has a little more to send is late too.
        if self.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(DeadlinePassed.into())));
        }
        Pin::new(&mut self.body)
            .poll_frame(context)
            .map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body, and what is held until it was sent or given up, such as its share of a bound.
#[derive(Debug)]
pub struct GuardedBody<B, H> {
    body: B,
    _held: H,
}

impl<B, H> GuardedBody<B, H> {
    /// Holds `held` beside the body.
    #[must_use]
    pub fn new(body: B, held: H) -> Self {
        Self { body, _held: held }
    }
}

impl<B: HttpBody + Unpin, H: Unpin> HttpBody for GuardedBody<B, H> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
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
