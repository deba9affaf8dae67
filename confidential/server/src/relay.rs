//! The relay (RFC 9458): it knows who asks, and nothing of what.
//!
//! It passes sealed requests on to one gateway and sealed answers back. A request is passed on once it is whole, so that
//! whoever sends slowly takes room here, where one address has a share of it, and none behind. Of the headers only the content type goes
//! through: nothing names the client, nothing names the relay's connection. It keeps no state, and logs no address.

use std::{error::Error as StdError, path::Path, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
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
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    http::{
        self, kind,
        listen::{Answers, Caller, Doors, Listening},
        stream::Timed,
        upstream::{self, Upstream},
    },
};

/// A relay that listens.
pub struct Relay {
    doors: Doors,
    router: Router,
}

#[derive(Debug)]
struct Passing {
    gateway: Upstream,
    bodies: BodyReader,
    answer: Duration,
    idle: Duration,
}

impl Relay {
    /// Begins to listen; paths are below the root.
    ///
    /// # Errors
    ///
    /// A setting, file or port cannot be used.
    pub fn start<'a>(root: &'a Path, settings: &'a Settings) -> BoxFuture<'a, Result<Self, Error>> {
        Box::pin(Self::open(root, settings))
    }

    async fn open(root: &Path, settings: &Settings) -> Result<Self, Error> {
        let doors = Doors::open(Listening {
            root,
            listen: settings.listen,
            plain: None,
            tls: &settings.tls,
            clients: None,
            connections: settings.connections,
            each: settings.connections_per_address,
            answers: Answers::seconds(settings.idle_s, settings.whole_answer_s),
        });
        let passing = Passing {
            gateway: Upstream::new(root, &settings.gateway, None)?,
            bodies: BodyReader::new(settings.max_request_bytes, http::BODIES / 4, http::BODIES),
            answer: Duration::from_secs(settings.answer_s),
            idle: Duration::from_secs(settings.idle_s),
        };
        let router = endpoint::router(endpoints()).fallback(http::not_found);
        Ok(Self { doors: doors.await?, router: router.with_state(Arc::new(passing)) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        self.doors.addresses().0
    }

    /// Serves until `stop` is cancelled.
    pub fn serve(self, stop: CancellationToken) -> BoxFuture<'static, ()> {
        Box::pin(self.serve_all(stop))
    }

    async fn serve_all(self, stop: CancellationToken) {
        self.doors.serve("the relay's connections", self.router, stop).await;
    }
}

fn endpoints() -> [endpoint::Served<Arc<Passing>>; 1] {
    [endpoint::serve(&declared::PASS, pass)]
}

/// Every endpoint.
#[must_use]
pub fn list() -> Vec<Declaration> {
    endpoint::list(&endpoints())
}

/// Passes a sealed request on, and the sealed answer back as it comes.
async fn pass(
    State(passing): State<Arc<Passing>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ErrorResponse> {
    let taken = [media::OHTTP_REQUEST, media::OHTTP_CHUNKED_REQUEST];
    let Some(media) = taken.into_iter().find(|media| http::is_of(request.headers(), media)) else {
        return Err(ErrorResponse::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            kind::MEDIA_TYPE,
            "only encapsulated requests are passed on",
        ));
    };
    let held = passing.bodies.read(request.into_body(), caller.address, http::ARRIVES).await;
    let held = held.map_err(http::unread)?;
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(media))].into_iter().collect();
    let (gateway, body) = (&passing.gateway, held.into_body());
    let answer = gateway.send(Method::POST, path::ROOT, headers, body, passing.answer);
    let answer = answer.await.map_err(|error| {
        tracing::warn!(error = &error as &dyn StdError, "the gateway cannot be asked");
        http::unreachable()
    })?;
    let (head, body) = answer.into_parts();
    let mut response = Response::new(Body::new(Timed::new(body, passing.idle)));
    *response.status_mut() = head.status;
    *response.headers_mut() = upstream::copy(&head.headers, &[header::CONTENT_TYPE]);
    Ok(response)
}
