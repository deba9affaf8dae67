//! The gateway (RFC 9458): it opens requests, and cannot tell who sent them.
//!
//! What it finds inside, Binary HTTP, goes to one router and no further than a few paths. The answer is sealed as it
//! comes. A key that is unknown or not active is RFC 9458's `ohttp-key` problem; every other failure to open looks alike.

mod answer;
mod keys;
pub(crate) mod ring;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
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
use tokio_util::sync::CancellationToken;

use self::{answer::Answer, keys::GatewayKeys};
use crate::{
    Error,
    http::{
        self, kind,
        listen::{Answers, Caller, Doors, Listening, own},
        upstream::{self, Upstream},
    },
};

/// What is asked of the router, and nothing else.
const ALLOWED: [(Method, &str); 4] = [
    (Method::GET, path::PING),
    (Method::POST, path::COMPUTE_MANIFESTS),
    (Method::POST, path::ATTEST),
    (Method::POST, path::ROOT),
];
/// What of a request's head the router is told.
const ONWARD: [HeaderName; 2] =
    [header::CONTENT_TYPE, HeaderName::from_static(names::ROUTING_INFO)];
/// What of the answer's head the client is told.
const BACK: [HeaderName; 3] =
    [header::CONTENT_TYPE, header::RETRY_AFTER, HeaderName::from_static(names::NODE_ID)];

/// A request is opened beside others if it is longer, in bytes: they would wait for it otherwise.
const LONG: usize = 64 << 10;
/// Longest time until the router answers what no model has to work for; a node's evidence takes it 30 seconds at most.
const QUICK: Duration = Duration::from_secs(40);

/// A gateway that listens.
pub struct Gateway {
    doors: Doors,
    router: Router,
    opening: Arc<Opening>,
}

#[derive(Debug)]
struct Opening {
    keys: GatewayKeys,
    names: Vec<String>,
    bodies: BodyReader,
    limits: Limits,
    router: Upstream,
    answer: Duration,
    idle: Duration,
}

impl Gateway {
    /// Begins to listen; paths are below the root.
    ///
    /// # Errors
    ///
    /// A setting, file or port cannot be used.
    pub fn start<'a>(root: &'a Path, settings: &'a Settings) -> BoxFuture<'a, Result<Self, Error>> {
        Box::pin(Self::open(root, settings))
    }

    async fn open(root: &Path, settings: &Settings) -> Result<Self, Error> {
        if settings.names.is_empty() {
            return Err(Error::Setting("`names` says by which names relays call this gateway"));
        }
        let doors = Doors::open(Listening {
            root,
            listen: settings.listen,
            plain: settings.listen_plain,
            tls: &settings.tls,
            clients: None,
            connections: settings.connections,
            each: settings.connections_per_address,
            answers: Answers::seconds(settings.idle_s, settings.whole_answer_s),
        });
        let max = settings.max_request_bytes;
        let opening = Arc::new(Opening {
            keys: GatewayKeys::open(root, settings)?,
            names: settings.names.clone(),
            // A relay brings everybody's, and yet leaves some for another one.
            bodies: BodyReader::new(max, http::BODIES / 2, http::BODIES),
            limits: Limits { total: max as u64, ..ohttp::REQUEST_LIMITS },
            router: Upstream::new(root, &settings.router, Some(own(root, &settings.tls)))?,
            answer: Duration::from_secs(settings.answer_s),
            idle: Duration::from_secs(settings.idle_s),
        });
        let router = endpoint::router(endpoints()).fallback(http::not_found);
        Ok(Self { doors: doors.await?, router: router.with_state(Arc::clone(&opening)), opening })
    }

    /// Where it listens with TLS, and without.
    #[must_use]
    pub fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        self.doors.addresses()
    }

    /// Serves until `stop` is cancelled.
    pub fn serve(self, stop: CancellationToken) -> BoxFuture<'static, ()> {
        Box::pin(self.serve_all(stop))
    }

    async fn serve_all(self, stop: CancellationToken) {
        let serving = self.doors.serve("the gateway's connections", self.router, stop.clone());
        tokio::join!(serving, self.opening.keys.rotate(stop));
    }
}

fn endpoints() -> [endpoint::Served<Arc<Opening>>; 2] {
    [endpoint::serve(&declared::OPEN, open), endpoint::serve(&declared::BUNDLE, bundle)]
}

/// Every endpoint.
#[must_use]
pub fn list() -> Vec<Declaration> {
    endpoint::list(&endpoints())
}

/// The signed bundle of keys.
async fn bundle(State(opening): State<Arc<Opening>>) -> Result<Response, ErrorResponse> {
    match opening.keys.bundle() {
        Some(bundle) => {
            let json = [(header::CONTENT_TYPE, "application/json")];
            Ok((json, bundle.to_string()).into_response())
        }
        None => Err(http::not_found().await),
    }
}

/// Opens a request, asks the router, and seals the answer.
async fn open(
    State(opening): State<Arc<Opening>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    opening.answer(request, &caller).await.unwrap_or_else(IntoResponse::into_response)
}

/// Why nothing sealed is answered.
enum Refused {
    /// Before anything was opened.
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
                let title = "the key is unknown or not active: fetch the keys once more";
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

impl Opening {
    async fn answer(&self, request: Request, caller: &Caller) -> Result<Response, Refused> {
        self.check_name(request.headers()).map_err(Refused::Outside)?;
        let chunked = match () {
            () if http::is_of(request.headers(), media::OHTTP_REQUEST) => false,
            () if http::is_of(request.headers(), media::OHTTP_CHUNKED_REQUEST) => true,
            () => {
                return Err(Refused::Outside(ErrorResponse::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    kind::MEDIA_TYPE,
                    "only encapsulated requests are opened",
                )));
            }
        };
        let held = self.bodies.read(request.into_body(), caller.address, http::ARRIVES).await;
        let held = held.map_err(|unread| Refused::Outside(http::unread(unread)))?;
        let (message, sealer) = self.unseal(chunked, held.bytes()).await?;
        let (head, content) = bhttp::decode::<RequestHead>(&message, self.limits.total)
            .map_err(|_| Refused::Unopenable)?;
        drop(message);
        let held = held.with(content.to_vec().into());
        drop(content);
        // From here on everything that is answered is sealed.
        let answer = self.ask(head, held).await;
        answer.seal(sealer, self.idle).await.map_err(|_| Refused::Unopenable)
    }

    /// Opens a request; beside everybody else's, where it is long.
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

    /// Asks the router, if it may be asked for this.
    async fn ask(&self, head: RequestHead, content: BufferedBody) -> Answer {
        let allowed = head.authority == host::ROUTER
            && ALLOWED.iter().any(|(method, path)| {
                head.method == *method && head.path.path() == *path && head.path.query().is_none()
            });
        if !allowed {
            let refused = ErrorResponse::new(
                StatusCode::FORBIDDEN,
                kind::FORBIDDEN,
                "nothing but the router is asked for anybody",
            );
            return Answer::Own(refused);
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
                tracing::warn!(error, "the router cannot be asked");
                Answer::Own(http::unreachable())
            }
        }
    }

    /// A request is for this gateway, by one of the names that relays were told.
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
            "this gateway has another name: the operator lists names in `names`",
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
