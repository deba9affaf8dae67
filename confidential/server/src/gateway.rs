//! The gateway (RFC 9458): it opens requests without seeing the address of the client.
//!
//! It forwards the Binary HTTP request inside to the router, for a few paths only, and seals the response as it arrives. An
//! unknown or inactive key is RFC 9458's `ohttp-key` problem; other failures to open are not distinguished.

mod answer;
mod keys;
pub(crate) mod ring;

use std::{path::Path, sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chassis::body::{BodyReader, BufferedBody};
use chassis::{
    endpoint::{self, Declaration},
    problem::ErrorResponse,
};
use common::problem::Problem;
use confidential_api::{
    endpoints::gateway as declared,
    names::{OHTTP_KEY_PROBLEM, header as names, host, media, path},
    settings::gateway::Settings,
};
use confidential_envelope::{
    Limits, Plaintext, ResponseSealer, Unopenable,
    bhttp::{self, RequestHead},
    ohttp::{self, GatewayKey, OpenError},
};
use futures_util::future::BoxFuture;
use tokio::task::spawn_blocking;

use self::{answer::Answer, keys::GatewayKeys};
use crate::{
    Error, Server,
    http::{
        self, kind,
        listen::{Caller, ListenOptions, Listeners, listen_options, own},
        upstream::{self, Upstream},
    },
};

/// The requests that are forwarded to the router.
const ALLOWED: [(Method, &str); 4] = [
    (Method::GET, path::PING),
    (Method::POST, path::COMPUTE_MANIFESTS),
    (Method::POST, path::ATTEST),
    (Method::POST, path::ROOT),
];
/// The request headers that are forwarded.
const ONWARD: [HeaderName; 2] =
    [header::CONTENT_TYPE, HeaderName::from_static(names::ROUTING_INFO)];
/// The response headers that are forwarded.
const BACK: [HeaderName; 3] =
    [header::CONTENT_TYPE, header::RETRY_AFTER, HeaderName::from_static(names::NODE_ID)];

/// Requests longer than this, in bytes, are opened on another thread.
const LONG: usize = 64 << 10;
/// Longest time for a response that needs no model; a node's evidence takes at most 30 seconds.
const QUICK: Duration = Duration::from_secs(40);

struct GatewayState {
    keys: GatewayKeys,
    names: Vec<String>,
    bodies: BodyReader,
    limits: Limits,
    router: Upstream,
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
    if settings.names.is_empty() {
        return Err(Error::Setting(
            "set `names` to the host names by which relays reach this gateway",
        ));
    }
    let options = listen_options!(
        "the gateway's connections",
        root,
        settings,
        [settings.idle_s, settings.whole_answer_s]
    );
    let listeners = Listeners::open(ListenOptions { plain: settings.listen_plain, ..options });
    let max = settings.max_request_bytes;
    let state = Arc::new(GatewayState {
        keys: GatewayKeys::open(root, settings)?,
        names: settings.names.clone(),
        // A relay forwards the requests of all clients, but must leave memory for other relays.
        bodies: BodyReader::new(max, http::BODIES / 2, http::BODIES),
        limits: Limits { total: max as u64, ..ohttp::REQUEST_LIMITS },
        router: Upstream::new(root, &settings.router, Some(own(root, &settings.tls)))?,
        answer: Duration::from_secs(settings.answer_s),
        idle: Duration::from_secs(settings.idle_s),
    });
    let router = endpoint::router(endpoints()).fallback(http::not_found);
    let router = router.with_state(Arc::clone(&state));
    let background = Box::pin(async move { state.keys.rotate().await });
    Ok(Server { listeners: listeners.await?, router, background })
}

fn endpoints() -> [endpoint::Served<Arc<GatewayState>>; 2] {
    [endpoint::serve(&declared::OPEN, open), endpoint::serve(&declared::BUNDLE, bundle)]
}

/// Every endpoint.
#[must_use]
pub fn list() -> Vec<Declaration> {
    endpoint::list(&endpoints())
}

/// The signed bundle of keys.
async fn bundle(State(gateway): State<Arc<GatewayState>>) -> Result<Response, ErrorResponse> {
    match gateway.keys.bundle() {
        Some(bundle) => {
            let json = [(header::CONTENT_TYPE, "application/json")];
            Ok((json, bundle.to_string()).into_response())
        }
        None => Err(http::not_found().await),
    }
}

/// Opens a request, forwards it, and seals the response.
async fn open(
    State(gateway): State<Arc<GatewayState>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    gateway.answer(request, &caller).await.unwrap_or_else(IntoResponse::into_response)
}

/// Why the response is not sealed.
enum Refused {
    /// The request was refused before it was opened.
    Outside(ErrorResponse),
    /// RFC 9458, section 5.3.
    Key,
    /// Everything else.
    Unopenable,
}

impl From<OpenError> for Refused {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::UnknownKey => Self::Key,
            OpenError::Unopenable(_) => Self::Unopenable,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Outside(error) => error.into_response(),
            Self::Unopenable => StatusCode::BAD_REQUEST.into_response(),
            Self::Key => {
                let title = "the key is unknown or not active: fetch the keys again";
                let problem = Problem {
                    kind: OHTTP_KEY_PROBLEM.to_owned(),
                    ..Problem::new("", StatusCode::BAD_REQUEST.as_u16(), title)
                };
                let media = [(header::CONTENT_TYPE, media::PROBLEM)];
                (StatusCode::BAD_REQUEST, media, Json(problem)).into_response()
            }
        }
    }
}

impl GatewayState {
    async fn answer(&self, request: Request, caller: &Caller) -> Result<Response, Refused> {
        self.check_name(request.headers()).map_err(Refused::Outside)?;
        let allowed = [media::OHTTP_REQUEST, media::OHTTP_CHUNKED_REQUEST];
        let title = "the content type must be that of an encapsulated request";
        let media =
            http::content_type(request.headers(), &allowed, title).map_err(Refused::Outside)?;
        let chunked = media == media::OHTTP_CHUNKED_REQUEST;
        let held = self.bodies.read(request.into_body(), caller.address, http::ARRIVES).await;
        let held = held.map_err(|unread| Refused::Outside(http::unread(unread)))?;
        let (message, sealer) = self.unseal(chunked, held.bytes()).await?;
        let (head, content) = bhttp::decode::<RequestHead>(&message, self.limits.total)
            .map_err(|_| Refused::Unopenable)?;
        drop(message);
        let held = held.with(content.to_vec().into());
        drop(content);
        // From here on, every response is sealed.
        let answer = self.ask(head, held).await;
        answer.seal(sealer, self.idle).await.map_err(|_| Refused::Unopenable)
    }

    /// Opens a request; a long one on another thread.
    async fn unseal(
        &self,
        chunked: bool,
        bytes: &Bytes,
    ) -> Result<(Plaintext, ResponseSealer), OpenError> {
        let (keys, limits) = (self.keys.accepted(), self.limits);
        if bytes.len() <= LONG {
            return unseal(keys, limits, chunked, bytes);
        }
        let bytes = bytes.clone();
        let opened = spawn_blocking(move || unseal(keys, limits, chunked, &bytes)).await;
        opened.unwrap_or(Err(Unopenable.into()))
    }

    /// Forwards a request to the router, if that is allowed.
    async fn ask(&self, head: RequestHead, content: BufferedBody) -> Answer {
        let allowed = head.authority == host::ROUTER
            && ALLOWED.iter().any(|(method, path)| {
                head.method == *method && head.path.path() == *path && head.path.query().is_none()
            });
        if !allowed {
            let refused = ErrorResponse::new(
                StatusCode::FORBIDDEN,
                kind::FORBIDDEN,
                "only requests to the router are forwarded",
            );
            return Answer::CertificateFiles(refused);
        }
        let headers = upstream::copy(&head.headers, &ONWARD);
        let body = content.into_body();
        let place = head.path.path();
        let limit = if place == path::ROOT { self.answer } else { self.answer.min(QUICK) };
        match self.router.send(head.method, place, headers, body, limit).await {
            Ok(answer) => {
                let (mut head, body) = answer.into_parts();
                head.headers = upstream::copy(&head.headers, &BACK);
                Answer::Router(head.status, head.headers, body)
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the router did not respond");
                Answer::CertificateFiles(http::unreachable())
            }
        }
    }

    /// Checks that a request is for one of this gateway's names.
    fn check_name(&self, headers: &HeaderMap) -> Result<(), ErrorResponse> {
        let host =
            headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) | None => host,
        };
        if self.names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Ok(());
        }
        Err(ErrorResponse::new(
            StatusCode::MISDIRECTED_REQUEST,
            kind::MISDIRECTED,
            "the gateway does not have this name: add it to `names` in its settings",
        ))
    }
}

fn unseal(
    keys: Vec<Arc<GatewayKey>>,
    limits: Limits,
    chunked: bool,
    bytes: &[u8],
) -> Result<(Plaintext, ResponseSealer), OpenError> {
    if !chunked {
        let opened = ohttp::open(&keys, bytes)?;
        return Ok((opened.plaintext, opened.response));
    }
    let mut stream = ohttp::RequestStream::new(keys, limits);
    let mut message = Plaintext::default();
    stream.push(bytes, &mut message)?;
    let sealer = stream.finish(&mut message)?;
    Ok((message, sealer))
}
