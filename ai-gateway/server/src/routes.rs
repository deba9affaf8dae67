//! The endpoints of each listener.
//!
//! | path | the agent's listener (mesh 18789) | the same, called by this machine | telmeet's listener |
//! |---|---|---|---|
//! | `/maru/v1/chat`, `/maru/v1/keys` | yes | no | yes |
//! | `/maru/v1/devices` | yes | no | no: only a node's own connection may bind a key to it |
//! | `/v1/…`, `/`, `/api/…` | yes | with an app's key | no |
//! | `/` as a WebSocket ([`operator`](crate::operator)) | yes | no | no |
//! | `/healthz`, `/readyz` | yes | yes | yes |
//!
//! [`rooms`] serves the participant on a socket of its own.
//!
//! `/metrics`, `/maru/v1/apps` and `/maru/v1/providers` are on neither: [`metrics`] serves them to the superuser.

mod apps;
mod begin;
mod body;
mod caller;
mod cors;
mod devices;
mod health;
pub(crate) mod metrics;
mod ollama;
mod openai;
mod people;
pub(crate) mod rooms;
mod sealed;
mod sse;
mod surface;

use std::sync::Arc;

use axum::http::{Method, Uri};
use axum::{
    Extension, Router,
    extract::{Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
};
use chassis::endpoint::{self, Declaration, Served};
use mesh_identity::{Header, Person};
use mesh_listener::Refusal;

use crate::{App, Error, bodies, bodies::Holder, limits::Kind};

use self::surface::{Listener, Surface};

pub(crate) use caller::is_for_apps;

/// Paths below which web pages of listed origins may send requests; `/` stands for itself alone, where the WebSocket is.
pub(crate) const FOR_PAGES: [&str; 3] = ["/v1", "/api", "/"];

/// Endpoints of a listener in Maru's own formats, without health.
fn own_endpoints(listener: Listener) -> Vec<Served<Arc<App>>> {
    let mut endpoints = Vec::from(sealed::endpoints());
    match listener {
        Listener::Agent => endpoints.extend(devices::endpoints()),
        Listener::Plugin => {}
    }
    endpoints
}

/// Endpoints of a listener in other programs' formats: not sealed, and with larger bodies.
fn plain_endpoints(listener: Listener) -> Vec<Served<Arc<App>>> {
    match listener {
        Listener::Agent => openai::endpoints().into_iter().chain(ollama::endpoints()).collect(),
        Listener::Plugin => Vec::new(),
    }
}

/// Every endpoint of each socket.
#[must_use]
pub fn endpoints() -> [(&'static str, Vec<Declaration>); 4] {
    let of = |listener: Listener| {
        let lists = [own_endpoints(listener), plain_endpoints(listener)];
        let lists = lists.iter().map(|list| endpoint::list(list));
        lists.chain([endpoint::list(&health::endpoints())]).flatten().collect()
    };
    [
        ("gateway", of(Listener::Agent)),
        ("plugin", of(Listener::Plugin)),
        ("participant", endpoint::list(&rooms::endpoints())),
        ("metrics", endpoint::list(&metrics::endpoints())),
    ]
}

/// The listener that the agent publishes as mesh port 18789.
pub(crate) fn agent_listener(app: &Arc<App>) -> Router {
    listener(Listener::Agent, app)
}

/// The listener for telmeet, which sends its users' sealed requests.
pub(crate) fn plugin_listener(app: &Arc<App>) -> Router {
    listener(Listener::Plugin, app)
}

fn listener(listener: Listener, app: &Arc<App>) -> Router {
    // One layer before the handlers does everything: each layer costs every request a boxed future and a clone of the
    // inner service.
    let own = endpoint::router(own_endpoints(listener));
    let own = own.layer(from_fn_with_state(Arc::clone(app), admit_own));
    let plain = endpoint::router(plain_endpoints(listener));
    let plain = plain.layer(from_fn_with_state(Arc::clone(app), admit_plain));
    let counting = Arc::clone(app);
    let answered = from_fn(move |request: Request, next: Next| {
        count_answer(listener, Arc::clone(&counting), request, next)
    });
    own.merge(plain)
        .layer(Extension(listener))
        .merge(endpoint::router(health::endpoints()))
        .fallback(async move |uri: Uri| listener.surface(uri.path()).answer(Error::NotFound))
        .method_not_allowed_fallback(async move |uri: Uri| {
            listener.surface(uri.path()).answer(Error::Method)
        })
        .layer(answered)
        .with_state(Arc::clone(app))
}

/// Counts an answer by its status, and adds the CORS headers.
async fn count_answer(listener: Listener, app: Arc<App>, request: Request, next: Next) -> Response {
    let surface = listener.surface(request.uri().path());
    let response = cors::share(request, next).await;
    app.metrics.answer(surface.name(), response.status().as_u16());
    response
}

/// The answer to a request that the agent's listener refused, in the format of its path.
#[must_use]
pub(crate) fn refused(path: &str, refusal: Refusal) -> Response {
    Surface::of(path).answer(refusal.into())
}

/// Admits a request in Maru's own formats.
async fn admit_own(
    State(app): State<Arc<App>>,
    Extension(listener): Extension<Listener>,
    request: Request,
    next: Next,
) -> Response {
    app.starts.wait().await;
    let surface = listener.surface(request.uri().path());
    if let Err(error) = limit(&app, listener, &request) {
        return refuse(&app, surface, error);
    }
    let caller = request.extensions().get::<Header>().map(|caller| caller.identity.person());
    let holder = caller.map(|person| match listener {
        Listener::Agent => Holder::Person(person),
        Listener::Plugin => Holder::Claimed(person),
    });
    answer(&app, surface, (holder, app.limits.max_body_bytes), request, next).await
}

/// Admits a request in other programs' formats, once the caller is known and memory for its body is reserved.
async fn admit_plain(
    State(app): State<Arc<App>>,
    Extension(listener): Extension<Listener>,
    mut request: Request,
    next: Next,
) -> Response {
    app.starts.wait().await;
    let surface = Surface::of(request.uri().path());
    if let Err(error) = caller::identify(&app, &mut request) {
        return caller::with_challenge(refuse(&app, surface, error));
    }
    if let Err(error) = limit(&app, listener, &request) {
        return refuse(&app, surface, error);
    }
    let holder = request.extensions().get::<Person>().cloned().map(Holder::Person);
    answer(&app, surface, (holder, app.limits.max_plain_body_bytes), request, next).await
}

/// Answers a request whose body may have at most `most` bytes, once memory is reserved for it.
async fn answer(
    app: &App,
    surface: Surface,
    (holder, most): (Option<Holder>, usize),
    mut request: Request,
    next: Next,
) -> Response {
    // Requests that only read have no body.
    let holder = holder.filter(|_| !is_read(request.method()));
    let reserved = match holder {
        Some(holder) => {
            app.bodies.reserve(&holder, body::announced(&request), most).await.map(Some)
        }
        None => Ok(None),
    };
    match reserved {
        // The reservation lasts until the answer begins.
        Ok(_reserved) => {
            request.extensions_mut().insert(body::MaxBody(most));
            next.run(request).await
        }
        Err(bodies::ReserveTimeout) => refuse(app, surface, Error::Busy),
    }
}

fn refuse(app: &App, surface: Surface, error: Error) -> Response {
    app.metrics.refuse(error.name());
    surface.answer(error)
}

/// Counts a request against its caller's rate, or against the rate of telmeet's claims.
fn limit(app: &App, listener: Listener, request: &Request) -> Result<(), Error> {
    let kind = if is_read(request.method()) { Kind::Read } else { Kind::Write };
    let counted = match (request.extensions().get::<Header>(), listener) {
        (Some(caller), Listener::Agent) => app.limiter.count(caller, kind),
        (Some(caller), Listener::Plugin) => app.limiter.count_claim(caller, kind),
        // A program of this machine, identified by its key.
        (None, Listener::Agent | Listener::Plugin) => match request.extensions().get::<Person>() {
            Some(person) => app.limiter.count_app(person, kind),
            None => Ok(()),
        },
    };
    counted.map_err(Error::Exceeded)
}

fn is_read(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}
