//! Passing on to nodes: sealed requests to one of their candidates, questions for evidence to the node that they name.

use std::{
    error::Error as StdError,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chassis::problem::ErrorResponse;
use confidential_api::{
    NodeId,
    names::{self, header as wire, media, path},
    routing::{AttestRequest, ComputeCandidate, ComputeRequestInfo},
};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use super::{Routing, body_of, malformed, registry::Place};
use crate::{
    http::{
        self, kind,
        stream::Timed,
        upstream::{self, UpstreamError},
    },
    random,
};

/// Longest time until a node shows its evidence.
const EVIDENCE: Duration = Duration::from_secs(30);
/// What a stock node wants to see of a credit: some number above zero. There are no credits here.
const CREDIT: HeaderValue = HeaderValue::from_static("1000");

/// Passes a sealed request to a live candidate, any of them with equal chance, and the sealed answer back as it comes.
/// Where nobody can be connected to, the next one is asked.
pub(super) async fn request(
    State(routing): State<Arc<Routing>>,
    request: Request,
) -> Result<Response, ErrorResponse> {
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
    let held = routing.bodies.read(request.into_body()).await?;
    let mut candidates = info.candidates;
    random::shuffle(&mut candidates);
    for candidate in candidates {
        let Some(place) = routing.registry().live(candidate.id, Instant::now()) else { continue };
        let headers = headers(media, &candidate)?;
        let sent =
            routing.post(&place, path::ROOT, headers, held.bytes.clone(), routing.idle).await;
        match sent {
            Ok(answer) => return Ok(passed(answer, candidate.id, &routing)),
            Err(UpstreamError::Connect(_)) => {
                tracing::warn!(node = %candidate.id, "a node cannot be connected to");
                routing.registry().unreachable(candidate.id, &place);
            }
            Err(error) => return Err(failed(candidate.id, &error)),
        }
    }
    Err(no_node())
}

/// Asks a node for evidence with a client's nonce.
pub(super) async fn attest(
    State(routing): State<Arc<Routing>>,
    request: Request,
) -> Result<Response, ErrorResponse> {
    let held = routing.bodies.read(body_of(request)?).await?;
    let asked = AttestRequest::decode(&held.bytes).map_err(malformed)?;
    let place = routing.registry().live(asked.node, Instant::now()).ok_or_else(no_node)?;
    let binary = HeaderValue::from_static(media::BINARY);
    let headers = [(header::CONTENT_TYPE, binary)].into_iter().collect();
    let answer = routing.post(&place, path::ATTEST, headers, held.bytes.clone(), EVIDENCE).await;
    let answer = answer.map_err(|error| failed(asked.node, &error))?;
    let (head, body) = answer.into_parts();
    // Protobuf around the evidence, and no more.
    let body = Limited::new(Timed::new(body, EVIDENCE), names::EVIDENCE_MAX + 4096);
    let body = body.collect().await.map_err(|_| http::unreachable())?.to_bytes();
    let mut response = (head.status, body).into_response();
    let told = [header::CONTENT_TYPE, header::RETRY_AFTER];
    *response.headers_mut() = upstream::copy(&head.headers, &told);
    Ok(response)
}

impl Routing {
    async fn post(
        &self,
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
        self.nodes.send(request, limit).await
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
fn passed(answer: Response<Incoming>, node: NodeId, routing: &Routing) -> Response {
    let (head, body) = answer.into_parts();
    let mut response = Response::new(Body::new(Timed::new(body, routing.idle)));
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

/// As OpenPCC's router answers (`router/http_handler.go`).
fn no_node() -> ErrorResponse {
    ErrorResponse::new(
        StatusCode::NOT_FOUND,
        kind::NOT_FOUND,
        "all candidate nodes are unavailable",
    )
    .detail("Fetch the manifests once more.")
}
