//! The beginning of an answer: decodes the request's body and waits for the reply's first step.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json,
    body::Bytes,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use chat_vocabulary::{ChatRequest, DecodeError, Delta, Evidence};
use mesh_identity::Person;
use serde_json::Value;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::body::Body;
use crate::{
    App, Error, bodies,
    chat::{AnsweringModel, Ending, Run, Step},
};

/// Large bodies that are decoded at a time. More threads would take processor time from those that forward tokens.
const DECODED_AT_A_TIME: usize = 2;
static DECODING: Semaphore = Semaphore::const_new(DECODED_AT_A_TIME);

/// Decodes a body. A large one, with images for example, waits for earlier ones and is decoded on a blocking thread, so
/// that it does not delay other requests' tokens.
pub(super) async fn decoded<T: Send + 'static>(
    body: Body,
    decode: fn(Bytes) -> Result<T, DecodeError>,
) -> Result<T, Error> {
    let body = body.0?;
    if body.len() <= bodies::SMALL {
        return Ok(decode(body)?);
    }
    // The semaphore is never closed, and a blocking thread ends early only with the runtime. The thread holds the
    // permit, because the client may disconnect meanwhile.
    let permit = DECODING.acquire().await.map_err(|_| Error::Busy)?;
    let decoded = spawn_blocking(move || {
        let _permit = permit;
        decode(body)
    });
    let decoded = decoded.await.map_err(|_| Error::Busy)?;
    Ok(decoded?)
}

/// Most numbers in an answer that is encoded on the thread of the request.
const FEW: usize = 8 << 10;

/// Answers with vectors of `numbers` numbers in total. A large answer is encoded on a blocking thread, as a large body
/// is decoded.
pub(super) async fn encoded(
    numbers: usize,
    answer: impl FnOnce() -> Value + Send + 'static,
) -> Result<Response, Error> {
    if numbers <= FEW {
        return Ok(Json(answer()).into_response());
    }
    let permit = DECODING.acquire().await.map_err(|_| Error::Busy)?;
    let encoded = spawn_blocking(move || {
        let _permit = permit;
        answer().to_string()
    });
    let encoded = encoded.await.map_err(|_| Error::Busy)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], encoded).into_response())
}

/// The header with the evidence of the node that answered, as JSON, for a reply of the confidential chain.
pub(super) const EVIDENCE: HeaderName = HeaderName::from_static("maru-evidence");

/// The header's value for a model's evidence.
fn evidence_header(evidence: &Evidence) -> Option<HeaderValue> {
    let json = serde_json::to_string(evidence).ok()?;
    // An image's name may be in any script; a header is ASCII.
    let ascii = json.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect::<String>();
    HeaderValue::try_from(ascii).ok()
}

/// Adds the evidence header, if the evidence is known when the headers are sent.
pub(super) fn with_evidence(mut response: Response, evidence: Option<HeaderValue>) -> Response {
    if let Some(evidence) = evidence {
        response.headers_mut().insert(EVIDENCE, evidence);
    }
    response
}

/// A reply that has begun, for the APIs that are not sealed.
pub(super) struct ReplyReader {
    run: Run,
    /// The model that answers; until then, the one that was requested.
    pub(super) model: String,
    /// The value of the header [`EVIDENCE`], until it is sent.
    pub(super) evidence: Option<HeaderValue>,
    /// When the model began to answer; `None` while a streamed reply waits for its model.
    pub(super) answered: Option<Instant>,
    pub(super) ending: Ending,
}

impl ReplyReader {
    /// Sends the request and waits until a model answers; a streamed reply waits at most [`App::patience`] after it got
    /// its slot. Until then an error is answered with a status.
    pub(super) async fn begin(
        app: &Arc<App>,
        surface: &'static str,
        person: &Person,
        request: ChatRequest,
    ) -> Result<Self, Error> {
        let patience = request.stream.then(|| app.patience());
        let model = request.model.clone().unwrap_or_default();
        let run = Run::start(app, surface, person, request, None)?;
        let ending = Ending::default();
        let mut reader = Self { run, model, evidence: None, answered: None, ending };
        // Waits for a slot.
        reader.step().await?;
        reader.wait(patience).await?;
        Ok(reader)
    }

    /// Waits until a model answers, for `patience` at most; returns whether one does.
    pub(super) async fn wait(&mut self, patience: Option<Duration>) -> Result<bool, Error> {
        let step = match patience {
            None => self.step().await?,
            Some(patience) => match timeout(patience, self.step()).await {
                Ok(step) => step?,
                Err(_) => return Ok(false),
            },
        };
        if let Some(Step::Model(AnsweringModel { model, evidence })) = step {
            self.model = model.to_string();
            self.evidence = evidence.and_then(|evidence| evidence_header(&evidence));
        }
        self.answered = Some(Instant::now());
        Ok(true)
    }

    /// The next delta; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Delta>, Error> {
        loop {
            match self.step().await? {
                Some(Step::Delta(delta)) => {
                    self.ending.take(&delta);
                    return Ok(Some(delta));
                }
                Some(Step::Model(answering)) => self.model = answering.model.to_string(),
                // It is of no session.
                Some(Step::Started | Step::Turn(_) | Step::Failed(_) | Step::Refused(_)) => {}
                None => return Ok(None),
            }
        }
    }

    async fn step(&mut self) -> Result<Option<Step>, Error> {
        match self.run.next().await {
            Some(Step::Failed(failure)) => Err(failure.into()),
            Some(Step::Refused(exceeded)) => Err(Error::Exceeded(exceeded)),
            step => Ok(step),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread::{self, ThreadId},
    };

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn a_large_body_is_decoded_on_another_thread_and_a_small_one_here() {
        let decode: fn(Bytes) -> Result<ThreadId, DecodeError> = |_| Ok(thread::current().id());
        let on = async |bytes| decoded(Body(Ok(vec![b' '; bytes].into())), decode).await.unwrap();
        let here = thread::current().id();
        assert_eq!(on(bodies::SMALL).await, here);
        assert_ne!(on(bodies::SMALL + 1).await, here);
    }

    #[tokio::test]
    async fn many_numbers_are_encoded_on_another_thread_and_few_here() {
        let on = async |numbers| {
            let (sender, receiver) = std::sync::mpsc::channel();
            let answer = move || {
                sender.send(thread::current().id()).unwrap();
                Value::Null
            };
            let answer = encoded(numbers, answer).await.unwrap();
            assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
            receiver.recv().unwrap()
        };
        let here = thread::current().id();
        assert_eq!(on(FEW).await, here);
        assert_ne!(on(FEW + 1).await, here);
    }

    #[tokio::test]
    async fn few_large_bodies_are_decoded_at_a_time_and_all_of_them_in_the_end() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let decode: fn(Bytes) -> Result<(), DecodeError> = |_| {
            let running = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
            MOST.fetch_max(running, Ordering::SeqCst);
            // Long enough for all others to begin.
            thread::sleep(Duration::from_millis(20));
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        };
        let large = || Body(Ok(vec![b' '; bodies::SMALL + 1].into()));
        let decoded = join_all((0..8).map(|_| decoded(large(), decode))).await;
        assert!(decoded.iter().all(Result::is_ok));
        assert!(MOST.load(Ordering::SeqCst) <= DECODED_AT_A_TIME);
    }
}
