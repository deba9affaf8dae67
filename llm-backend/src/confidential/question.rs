//! A chat: sealed to verified nodes, and the reply of the node that answers.

use std::{sync::Arc, time::Duration};

use attestation::VerifiedNode;
use bytes::Bytes;
use chat_vocabulary::{ChatRequest, Evidence};
use confidential_api::{
    NodeId,
    names::{header, host, media, path},
    routing::{ComputeCandidate, ComputeRequestInfo},
};
use confidential_envelope::{
    Plaintext,
    bhttp::{self, RequestHead, Scheme},
    inner::{self, Candidate as _, PADDING, RESPONSE_LIMITS},
};
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE, uri::PathAndQuery};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{
    chain::{Chain, OTHER_KEYS, SILENT, head},
    clock::now_ms,
    layer::Answer,
    outer,
    verified::Candidates,
};
use crate::{
    DeltaStream, Error,
    body::{self, StreamError},
    openai,
    refusal::Refusal,
};

/// The only path of a node's worker.
const COMPLETIONS: &str = "/v1/chat/completions";
/// Longest refusal of a node, in bytes.
const REFUSAL_MAX: usize = 64 << 10;

/// Why an attempt brought no reply.
enum AttemptError {
    /// The nodes reject the request, or are gone: they are verified again.
    Stale(Error),
    /// The gateway has other keys, which were fetched. The policy may have changed, too, so the request is sealed
    /// again.
    OtherKeys,
    /// Anything else.
    Error(Error),
}

impl From<Error> for AttemptError {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Requests a reply. If the nodes reject the request, they are verified again and the request is sent once more; if the
/// gateway has other keys, it is sealed once more. The reply must begin within the timeout for the first delta.
pub(super) async fn ask(chain: Arc<Chain>, request: ChatRequest) -> Result<DeltaStream, Error> {
    let asked = begin(&chain, request, Instant::now());
    timeout(chain.timeouts.first, asked).await.unwrap_or_else(|_| Err(chain.unreachable(SILENT)))
}

async fn begin(
    chain: &Arc<Chain>,
    request: ChatRequest,
    sent: Instant,
) -> Result<DeltaStream, Error> {
    let model = request.model.clone().unwrap_or_default();
    if let Some(completion) = &request.completion {
        let message = format!("{model} does not support {}", completion.as_str());
        return Err(chain.refused(StatusCode::BAD_REQUEST, message));
    }
    // Nodes keep nothing between requests.
    let request = ChatRequest { prompt_cache_key: None, ..request };
    let body = serde_json::to_vec(&openai::streaming(request)).unwrap_or_default();
    let question = bhttp::encode(&inner_head(), &body, PADDING);
    drop(Plaintext::from(body));
    let mut was_sent = false;
    let reply = attempts(chain, &model, &question, sent, &mut was_sent).await;
    reply.map_err(|error| if was_sent { error.once_sent() } else { error })
}

/// Repeats until there is a reply, three times at most: once for other keys, once for other nodes.
async fn attempts(
    chain: &Arc<Chain>,
    model: &str,
    question: &Plaintext,
    sent: Instant,
    was_sent: &mut bool,
) -> Result<DeltaStream, Error> {
    let (mut other_keys, mut stale) = (false, false);
    loop {
        let candidates = chain.candidates(model).await?;
        match attempt(chain, candidates, question, sent, was_sent).await {
            Ok(reply) => return Ok(reply),
            Err(AttemptError::Error(error)) => return Err(error),
            Err(AttemptError::OtherKeys) if other_keys => return Err(chain.unreachable(OTHER_KEYS)),
            Err(AttemptError::OtherKeys) => other_keys = true,
            Err(AttemptError::Stale(error)) => {
                chain.forget(model);
                if stale {
                    return Err(error);
                }
                stale = true;
            }
        }
    }
}

const REFUSED: &str = "has nodes that cannot open the request: try again in a moment";

/// The head that a worker reads.
fn inner_head() -> RequestHead {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    RequestHead {
        method: Method::POST,
        scheme: Scheme::Https,
        authority: host::WORKER.to_owned(),
        path: PathAndQuery::from_static(COMPLETIONS),
        headers,
    }
}

async fn attempt(
    chain: &Arc<Chain>,
    Candidates { nodes, known }: Candidates,
    question: &Plaintext,
    sent: Instant,
    was_sent: &mut bool,
) -> Result<DeltaStream, AttemptError> {
    let unsealable = |_| chain.unreachable("has nodes with unusable keys");
    let recipients = chain.prepared.recipients(&nodes).map_err(unsealable)?;
    let sealed = inner::seal(recipients, question).map_err(unsealable)?;
    let candidates = sealed.keys.into_iter();
    let candidates =
        candidates.map(|key| ComputeCandidate { id: key.id, encapsulated_key: key.bytes });
    let routing = ComputeRequestInfo { candidates: candidates.collect() };

    let mut head = head(Method::POST, path::ROOT);
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media::REQUEST));
    if let Ok(routing) = HeaderValue::try_from(routing.encode_text()) {
        head.headers.insert(header::ROUTING_INFO, routing);
    }
    let key = known.key(now_ms()).ok_or_else(|| chain.no_key())?;
    let limit = chain.timeouts.first;
    *was_sent = true;
    let outer = match chain.outer.exchange(key, &head, &sealed.body, true, limit).await {
        Ok(outer) => outer,
        Err(outer::ExchangeError::Error(error)) => return Err(error.into()),
        Err(outer::ExchangeError::Key) => {
            chain.other_key(&known).await?;
            return Err(AttemptError::OtherKeys);
        }
    };
    let status = outer.head.status;
    if !status.is_success() {
        return Err(refusal(chain, status));
    }
    let text = |name: &str| outer.head.headers.get(name).and_then(|value| value.to_str().ok());
    let answers = text(header::NODE_ID).and_then(|id| id.parse::<NodeId>().ok());
    let not_taken =
        |code, reason| Error::Untrusted { backend: chain.name.clone(), code, reason, sent: true };
    let not_offered =
        || not_taken("node-not-offered", "the answer is from a node to which nothing was sealed");
    let node = answers.ok_or_else(not_offered)?;
    let opener = sealed.answers.of(&node).map_err(|_| not_offered())?;
    let proved = nodes.iter().find(|it| it.id() == node).ok_or_else(not_offered)?;
    let unsealed = || not_taken("reply-unsealed", "a node's answer was not sealed");
    let chunked = match text(CONTENT_TYPE.as_str()) {
        Some(media::CHUNKED_RESPONSE) => true,
        Some(media::RESPONSE) => false,
        Some(_) | None => return Err(unsealed().into()),
    };
    let evidence = evidence(node, proved);
    let answer = Answer::open(outer.content, opener, chunked, RESPONSE_LIMITS).await;
    let answer = answer.map_err(|broken| {
        if matches!(broken, StreamError::Sealed) {
            return unsealed();
        }
        broken.into_error(&chain.name, false)
    })?;
    let reply = reply(chain, answer, sent, evidence).await?;
    prepare_next(chain, Candidates { nodes, known });
    Ok(reply)
}

/// Prepares secrets for the next request without delaying this reply.
fn prepare_next(chain: &Chain, Candidates { nodes, known }: Candidates) {
    let prepared = Arc::clone(&chain.prepared);
    tokio::task::spawn_blocking(move || {
        if let Some(key) = known.key(now_ms()) {
            prepared.prepare(&nodes, key);
        }
        // The nodes may have been verified again or dropped meanwhile.
        drop(nodes);
        prepared.tidy();
    });
}

/// The evidence of a reply.
fn evidence(node: NodeId, proved: &VerifiedNode) -> Evidence {
    let summary = proved.summary();
    Evidence {
        class: summary.class.as_str().to_owned(),
        image: summary.image.clone(),
        node: node.to_string(),
        verified_at: summary.verified_at,
    }
}

/// A refusal outside of the node's seal: 400 from a node that cannot open the request, 404 if no node is up. Both may
/// mean that the nodes have changed.
fn refusal(chain: &Chain, status: StatusCode) -> AttemptError {
    match status {
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => {
            AttemptError::Stale(chain.unreachable(REFUSED))
        }
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            AttemptError::Error(chain.busy("is busy with other requests: try again in a moment"))
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            let message = "the request is too long for the chain: send less text";
            AttemptError::Error(chain.refused(status, message))
        }
        _ => AttemptError::Error(
            chain.unreachable("had an internal error: its operator must look at it"),
        ),
    }
}

/// The sealed reply, or the worker's error in its place.
async fn reply(
    chain: &Chain,
    answer: Answer,
    sent: Instant,
    evidence: Evidence,
) -> Result<DeltaStream, Error> {
    let status = answer.head.status;
    if !status.is_success() {
        let (_, body) = answer.whole(REFUSAL_MAX).await.unwrap_or_else(|()| {
            (bhttp::ResponseHead { status, headers: HeaderMap::new() }, Vec::new())
        });
        return Err(match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                chain.busy("is busy with other requests: try again in a moment")
            }
            status if status.is_server_error() => chain.unreachable("has an engine that failed"),
            status => Refusal::in_body(&body).refused(chain.name.clone(), status.as_u16()),
        });
    }
    let kind = answer.head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.and_then(|kind| kind.split(';').next()) != Some("text/event-stream") {
        return Err(chain.unreachable("has an engine that does not stream"));
    }
    let name = chain.name.clone();
    let decode = |pieces: body::Pieces| openai::deltas(pieces, name);
    let content = Arc::new(Mutex::new(Content { pieces: answer.content.fuse(), broken: false }));
    let pieces = stream::unfold(Arc::clone(&content), async |content| {
        let piece = content.lock().await.next().await?;
        Some((piece, content))
    });
    let deltas = body::timed(pieces.boxed(), sent, chain.timeouts, decode);
    let end = SealEnd { content, name: chain.name.clone(), idle: chain.timeouts.idle };
    // The first delta carries the evidence.
    let state = (deltas, Some(Arc::new(evidence)), Some(end));
    let deltas = stream::unfold(state, async |(mut deltas, mut evidence, mut end)| {
        match deltas.next().await {
            Some(Ok(mut delta)) => {
                delta.evidence = evidence.take();
                Some((Ok(delta), (deltas, evidence, end)))
            }
            Some(Err(error)) => Some((Err(error), (deltas, evidence, None))),
            None => {
                // Releases the lock of the content, so that the rest can be read.
                drop(deltas);
                let cut = end.take()?.missing().await?;
                Some((Err(cut), (stream::empty().boxed(), evidence, None)))
            }
        }
    });
    Ok(deltas.boxed())
}

/// A reply's bytes, and whether they broke off, which may happen after the last event.
struct Content {
    pieces: stream::Fuse<body::Pieces>,
    broken: bool,
}

impl Content {
    async fn next(&mut self) -> Option<Result<Bytes, StreamError>> {
        let piece = self.pieces.next().await?;
        self.broken |= piece.is_err();
        Some(piece)
    }
}

/// What follows the last event of a reply: the end of its seal, without which the reply is incomplete.
struct SealEnd {
    content: Arc<Mutex<Content>>,
    name: String,
    idle: Duration,
}

impl SealEnd {
    /// The error if the reply is incomplete.
    async fn missing(self) -> Option<Error> {
        let ended = async {
            let mut content = self.content.lock().await;
            while content.next().await.is_some() {}
            content.broken
        };
        match timeout(self.idle, ended).await {
            Ok(false) => None,
            Ok(true) => Some(StreamError::Sealed.into_error(&self.name, true)),
            Err(_) => Some(StreamError::Silent(self.idle).into_error(&self.name, true)),
        }
    }
}
