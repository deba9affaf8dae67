//! The relay (RFC 9458): it sees the client's address, but no content.
//!
//! It forwards sealed requests to one gateway, and sealed responses back. A request is forwarded once it is complete, so that
//! slow clients take memory here, where each address has a limit, and not at the gateway. Of the headers, only the content
//! type is forwarded, so that nothing identifies the client. It has no state, and logs no address.

use std::{error::Error as StdError, path::Path, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, header},
    response::Response,
};
use chassis::{
    body::BodyReader,
    endpoint::{self, Declaration},
    problem::ErrorResponse,
};
use confidential_api::{
    endpoints::relay as declared,
    names::{media, path},
    settings::relay::Settings,
};
use futures_util::future::BoxFuture;

use crate::{
    Error, Server,
    http::{
        self,
        listen::{Caller, Listeners, listen_options},
        stream::IdleTimeoutBody,
        upstream::{self, Upstream},
    },
};

#[derive(Debug)]
struct RelayState {
    gateway: Upstream,
    bodies: BodyReader,
    answer: Duration,
    idle: Duration,
}

/// Starts listening; paths are below the root.
///
/// # Errors
///
/// A setting, file or port cannot be used.
pub fn start<'a>(root: &'a Path, settings: &'a Settings) -> BoxFuture<'a, Result<Server, Error>> {
    Box::pin(listen(root, settings))
}

async fn listen(root: &Path, settings: &Settings) -> Result<Server, Error> {
    let options = listen_options!(
        "the relay's connections",
        root,
        settings,
        [settings.idle_s, settings.whole_answer_s]
    );
    let listeners = Listeners::open(options);
    let state = RelayState {
        gateway: Upstream::new(root, &settings.gateway, None)?,
        bodies: BodyReader::new(settings.max_request_bytes, http::BODIES / 4, http::BODIES),
        answer: Duration::from_secs(settings.answer_s),
        idle: Duration::from_secs(settings.idle_s),
    };
    let router = endpoint::router(endpoints()).fallback(http::not_found);
    let router = router.with_state(Arc::new(state));
    Ok(Server { listeners: listeners.await?, router, background: Box::pin(async {}) })
}

fn endpoints() -> [endpoint::Served<Arc<RelayState>>; 1] {
    [endpoint::serve(&declared::PASS, pass)]
}

/// Every endpoint.
#[must_use]
pub fn list() -> Vec<Declaration> {
    endpoint::list(&endpoints())
}

/// Forwards a sealed request, and the sealed response as it arrives.
async fn pass(
    State(relay): State<Arc<RelayState>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ErrorResponse> {
    let allowed = [media::OHTTP_REQUEST, media::OHTTP_CHUNKED_REQUEST];
    let title = "the content type must be that of an encapsulated request";
    let media = http::content_type(request.headers(), &allowed, title)?;
    let held = relay.bodies.read(request.into_body(), caller.address, http::ARRIVES).await;
    let held = held.map_err(http::unread)?;
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(media))].into_iter().collect();
    let (gateway, body) = (&relay.gateway, held.into_body());
    let answer = gateway.send(Method::POST, path::ROOT, headers, body, relay.answer);
    let answer = answer.await.map_err(|error| {
        tracing::warn!(error = &error as &dyn StdError, "the gateway did not respond");
        http::unreachable()
    })?;
    let (head, body) = answer.into_parts();
    let mut response = Response::new(Body::new(IdleTimeoutBody::new(body, relay.idle)));
    *response.status_mut() = head.status;
    *response.headers_mut() = upstream::copy(&head.headers, &[header::CONTENT_TYPE]);
    Ok(response)
}
