//! Forwarding to nodes: sealed requests to one of their candidates, requests for evidence to the node that they name.

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
    place::NodeAddress,
    routing::{Key, Routing, body_of, malformed, only},
};
use crate::{
    http::{
        self, ARRIVES, kind,
        listen::Caller,
        stream::IdleTimeoutBody,
        upstream::{self, UpstreamError},
    },
    random,
};

/// Longest time until a node begins to send evidence, and again until it has sent all of it.
const EVIDENCE: Duration = Duration::from_secs(30);
/// Longest evidence with the protobuf around it, in bytes.
pub(super) const EVIDENCE_LEN: usize = names::EVIDENCE_MAX + 4096;
/// Statuses of a node that is busy or failed.
const UNABLE: [StatusCode; 2] =
    [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE];
/// OpenPCC's nodes require an amount of credit above zero. There are no credits here.
const CREDIT: HeaderValue = HeaderValue::from_static("1000");

/// Shares of a node and of its certificate in the memory for requests.
type Share = (Permit<NodeId>, Permit<Key>);

/// Forwards a sealed request to a random live candidate, and the sealed response as it arrives. If the node is unreachable,
/// closes the connection, is busy, failed, or fails its health checks before it responds, the next candidate is tried. If it
/// is slow, none is.
pub(super) async fn request(
    State(routing): State<Arc<Routing>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ErrorResponse> {
    only(&caller, role::GATEWAY)?;
    let allowed = [media::REQUEST, media::CHUNKED_REQUEST];
    let title = "the content type must be that of a sealed request";
    let media = http::content_type(request.headers(), &allowed, title)?;
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
        // The share is held until the node responds and the body is sent.
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
                tracing::warn!(%node, "a node is unreachable");
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

/// Forwards a request for evidence.
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
    // Its share of the memory is held until it is sent.
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
    /// The address of a live node, and the key of its certificate.
    fn find(&self, node: NodeId) -> Option<(NodeAddress, Key)> {
        let registry = self.registry();
        Some((registry.live(node, Instant::now())?, registry.key(node)?))
    }

    /// Reserves memory for so many bytes to a node, so that a node that does not respond, or all nodes of its certificate,
    /// cannot exhaust it.
    fn share(&self, node: NodeId, key: Key, room: usize) -> Result<Share, Exceeded> {
        let mut share = (self.shares.take(node)?, self.shares_of_one.take(key)?);
        share.0.add(room)?;
        share.1.add(room)?;
        Ok(share)
    }

    /// Sends a request to a node; waits for the response's head until `limit`, or until its health checks fail.
    async fn ask(
        &self,
        node: NodeId,
        place: &NodeAddress,
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

/// The node's response as it arrives, with the node's ID.
fn passed(
    answer: Response<Incoming>,
    node: NodeId,
    turn: Permit<NodeId>,
    routing: &Routing,
) -> Response {
    let (head, body) = answer.into_parts();
    let body = with_guard(IdleTimeoutBody::new(body, routing.idle), turn);
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
    tracing::warn!(%node, error = error as &dyn StdError, "a node did not respond");
    http::unreachable()
}

/// Distinguished from an unknown path: clients refuse routers that do not have this path.
fn node_gone() -> ErrorResponse {
    ErrorResponse::new(StatusCode::NOT_FOUND, names::NODE_GONE, "the node is gone")
        .detail("Fetch the manifests again.")
}

/// The response of OpenPCC's router (`router/http_handler.go`).
fn no_node() -> ErrorResponse {
    ErrorResponse::new(
        StatusCode::NOT_FOUND,
        kind::NOT_FOUND,
        "all candidate nodes are unavailable",
    )
    .detail("Fetch the manifests again.")
}
