//! Passing on to nodes: sealed requests to one of their candidates, questions for evidence to the node that they name.

use std::{
    error::Error as StdError,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chassis::{
    body::{self, BodyError, with_guard},
    problem::ErrorResponse,
    quota::{Exceeded, Permit},
};
use confidential_api::{
    NodeId,
    names::{self, header as wire, media, path, role},
    routing::{AttestRequest, ComputeCandidate, ComputeRequestInfo},
};
use hyper::body::Incoming;

use super::{
    place::Place,
    request::{body_of, malformed, only},
    routing::{Key, Routing},
};
use crate::{
    http::{
        self, ARRIVES, kind,
        listen::Caller,
        stream::Timed,
        upstream::{self, UpstreamError},
    },
    random,
};

/// Longest time until a node begins to show its evidence, and again until it has shown all of it.
const EVIDENCE: Duration = Duration::from_secs(30);
/// Longest evidence with the protobuf around it, in bytes.
pub(super) const EVIDENCE_LEN: usize = names::EVIDENCE_MAX + 4096;
/// What a node answers that is full, or whose processes failed.
const UNABLE: [StatusCode; 2] =
    [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE];
/// What a stock node wants to see of a credit: some number above zero. There are no credits here.
const CREDIT: HeaderValue = HeaderValue::from_static("1000");

/// What a node and its certificate have of the room for requests.
type Share = (Permit<NodeId>, Permit<Key>);

/// Passes a sealed request to a live candidate, any of them with equal chance, and the sealed answer back as it comes.
/// Until a node begins to answer, another one is asked where it cannot be connected to, ends the connection, says that it
/// is full or failed, or fails when it is looked at. One that is slow is waited for.
pub(super) async fn request(
    State(routing): State<Arc<Routing>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ErrorResponse> {
    only(&caller, role::GATEWAY)?;
    let taken = [media::REQUEST, media::CHUNKED_REQUEST];
    let Some(media) = taken.into_iter().find(|media| http::is_of(request.headers(), media)) else {
        return Err(ErrorResponse::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            kind::MEDIA_TYPE,
            "only sealed requests are passed on",
        ));
    };
    let info = request.headers().get(wire::ROUTING_INFO).map(HeaderValue::as_bytes);
    let info = ComputeRequestInfo::decode_text(info.unwrap_or_default()).map_err(malformed)?;
    let held = routing.bodies.read(request.into_body(), caller.address, ARRIVES).await;
    let held = held.map_err(http::unread)?;
    let room = held.room();
    let body = held.into_bytes();
    let mut candidates = info.candidates;
    random::shuffle(&mut candidates);
    let mut refused = no_node().into_response();
    for candidate in candidates {
        let node = candidate.id;
        let Some((place, key)) = routing.find(node) else { continue };
        let (Ok(turn), Ok(share)) = (routing.turns.take(node), routing.share(node, key, room))
        else {
            refused = http::busy().into_response();
            continue;
        };
        let headers = headers(media, &candidate)?;
        // Its share is held until it answers, and for as long as anything of the body is still to be sent.
        let body = body::counted(body.clone(), share);
        match routing.ask(node, &place, path::ROOT, headers, body.clone(), routing.answer).await {
            Ok(answer) => {
                let is_unable = UNABLE.contains(&answer.status());
                let answer = passed(answer, node, turn, &routing);
                if !is_unable {
                    return Ok(answer);
                }
                refused = answer;
            }
            Err(UpstreamError::Connect(_)) => {
                tracing::warn!(%node, "a node cannot be connected to");
                routing.registry().unreachable(node, &place);
            }
            Err(error) => {
                let is_slow = matches!(error, UpstreamError::Time);
                refused = failed(node, &error).into_response();
                if is_slow {
                    break;
                }
            }
        }
    }
    Ok(refused)
}

/// Asks a node for evidence with a client's nonce.
pub(super) async fn attest(
    State(routing): State<Arc<Routing>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ErrorResponse> {
    only(&caller, role::GATEWAY)?;
    let held = routing.questions.read(body_of(request)?, caller.address, ARRIVES).await;
    let held = held.map_err(http::unread)?;
    let asked = AttestRequest::decode(held.bytes()).map_err(malformed)?;
    let node = asked.node;
    let (place, key) = routing.find(node).ok_or_else(node_gone)?;
    let binary = HeaderValue::from_static(media::BINARY);
    let headers = [(header::CONTENT_TYPE, binary)].into_iter().collect();
    let body = held.bytes().clone();
    let answer = routing.ask(node, &place, path::ATTEST, headers, body, EVIDENCE).await;
    let (head, body) = answer.map_err(|error| failed(node, &error))?.into_parts();
    // Its share of the room is held until it was sent.
    let shown = routing.evidence.read(body, key, EVIDENCE).await;
    let shown = match shown {
        Ok(shown) => shown.into_bytes(),
        Err(BodyError::NoMemory) => return Err(http::busy()),
        Err(BodyError::TooLarge | BodyError::Incomplete | BodyError::Timeout) => {
            return Err(http::unreachable());
        }
    };
    let mut response = (head.status, shown).into_response();
    let told = [header::CONTENT_TYPE, header::RETRY_AFTER];
    *response.headers_mut() = upstream::copy(&head.headers, &told);
    Ok(response)
}

impl Routing {
    /// Where a live node is, and the key of its certificate.
    fn find(&self, node: NodeId) -> Option<(Place, Key)> {
        let registry = self.registry();
        Some((registry.live(node, Instant::now())?, registry.key(node)?))
    }

    /// Room for so many bytes that a node is sent: one that says nothing holds what it has of them, and leaves the rest to
    /// others, as do all nodes of its certificate.
    fn share(&self, node: NodeId, key: Key, room: usize) -> Result<Share, Exceeded> {
        let mut share = (self.shares.take(node)?, self.shares_of_one.take(key)?);
        share.0.add(room)?;
        share.1.add(room)?;
        Ok(share)
    }

    /// Asks a node, and waits for the head of its answer at most for `limit` and while looks at it do not fail.
    async fn ask(
        &self,
        node: NodeId,
        place: &Place,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        limit: Duration,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let uri = format!("{}{path}", place.url).parse::<Uri>();
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.map_err(|error| UpstreamError::Connect(error.into()))?;
        *request.headers_mut() = headers;
        tokio::select! {
            answer = self.nodes.send(request, limit) => answer,
            () = self.fails(node, place) => Err(UpstreamError::Fails),
        }
    }
}

fn headers(media: &'static str, candidate: &ComputeCandidate) -> Result<HeaderMap, ErrorResponse> {
    let key = HeaderValue::from_str(&STANDARD.encode(&candidate.encapsulated_key));
    let key = key.map_err(|_| http::unreachable())?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(wire::ENCAPSULATED_KEY, key);
    headers.insert(wire::CREDIT_AMOUNT, CREDIT);
    Ok(headers)
}

/// The node's answer as it comes, with the node's name.
fn passed(
    answer: Response<Incoming>,
    node: NodeId,
    turn: Permit<NodeId>,
    routing: &Routing,
) -> Response {
    let (head, body) = answer.into_parts();
    let body = with_guard(Timed::new(body, routing.idle), turn);
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    let headers = response.headers_mut();
    *headers = upstream::copy(&head.headers, &[header::CONTENT_TYPE, header::RETRY_AFTER]);
    if let Ok(node) = HeaderValue::from_str(&node.to_string()) {
        headers.insert(HeaderName::from_static(wire::NODE_ID), node);
    }
    response
}

fn failed(node: NodeId, error: &UpstreamError) -> ErrorResponse {
    tracing::warn!(%node, error = error as &dyn StdError, "a node gave no answer");
    http::unreachable()
}

/// Told apart from a path that is not there: a client refuses nodes behind a router without this one.
fn node_gone() -> ErrorResponse {
    ErrorResponse::new(StatusCode::NOT_FOUND, names::NODE_GONE, "the node is gone")
        .detail("Fetch the manifests once more.")
}

/// As OpenPCC's router answers (`router/http_handler.go`).
fn no_node() -> ErrorResponse {
    ErrorResponse::new(
        StatusCode::NOT_FOUND,
        kind::NOT_FOUND,
        "all candidate nodes are unavailable",
    )
    .detail("Fetch the manifests once more.")
}
