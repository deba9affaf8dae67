//! Auth: it serves the configuration, the same bytes for everyone.
//!
//! It signs what it serves with a key that the deployment's identity certified. The gateway's keys come from the gateway,
//! signed there; auth only passes them on (option C), or derives them from shared seeds (option A).

mod document;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chassis::{
    body,
    endpoint::{self, Declaration},
    problem::ErrorResponse,
};
use confidential_api::{
    bundle::Bundle,
    config::KeySource,
    endpoints::auth as declared,
    names::{DOCUMENT_MAX, header as wire, path},
    settings::auth::Settings,
    signed::Signed,
};
use futures_util::future::BoxFuture;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::document::{Documents, Served};
use crate::{
    Error, clock,
    http::{
        self, kind,
        listen::{Answers, Doors, Listening},
        upstream::Upstream,
    },
    seeds,
};

/// Longest time until the gateway answers with its bundle.
const ANSWER: Duration = Duration::from_secs(5);
/// Longest time until a client has taken the configuration, in seconds.
const SENT_S: u64 = 60;

/// An auth daemon that listens.
pub struct Auth {
    doors: Doors,
    router: Router,
    serving: Arc<Serving>,
    documents: Documents,
    source: Source,
    every: Duration,
}

/// Where the gateway's keys are from.
enum Source {
    Gateway(Box<Upstream>),
    Seeds,
}

/// What is served at the moment.
#[derive(Default)]
struct Serving(RwLock<Option<Arc<Served>>>);

impl Auth {
    /// Begins to listen; paths are below the root.
    ///
    /// # Errors
    ///
    /// A setting, file or port cannot be used, or the deployment's identity does not stand behind a document.
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
            answers: Answers::seconds(SENT_S, SENT_S),
        });
        let gateway = Upstream::new(root, &settings.gateway, None)?;
        let mut documents = Documents::open(root, settings)?;
        let serving = Arc::new(Serving::default());
        let source = match settings.key_source {
            KeySource::Gateway => Source::Gateway(Box::new(gateway)),
            KeySource::Seeds => {
                let file = settings.seeds_file.as_ref();
                documents.derive_from(seeds::load(root, file, "seeds_file", seeds::variable())?);
                serving.set(documents.make(None, clock::now_ms())?);
                Source::Seeds
            }
        };
        let router = endpoint::router(endpoints()).fallback(http::not_found);
        let router = router.with_state(Arc::clone(&serving));
        let every = Duration::from_secs(settings.refresh_s.max(1));
        Ok(Self { doors: doors.await?, router, serving, documents, source, every })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.doors.addresses().0
    }

    /// Serves until `stop` is cancelled.
    pub fn serve(self, stop: CancellationToken) -> BoxFuture<'static, ()> {
        Box::pin(self.serve_all(stop))
    }

    async fn serve_all(self, stop: CancellationToken) {
        let Self { doors, router, serving, documents, source, every } = self;
        let serve = doors.serve("auth's connections", router, stop.clone());
        let refresh = stop.run_until_cancelled(refresh(serving, documents, source, every));
        tokio::join!(serve, refresh);
    }
}

fn endpoints() -> [endpoint::Served<Arc<Serving>>; 2] {
    [endpoint::serve(&declared::CONFIG, config), endpoint::serve(&declared::HEALTHZ, async || "ok")]
}

/// Every endpoint.
#[must_use]
pub fn list() -> Vec<Declaration> {
    endpoint::list(&endpoints())
}

/// The configuration. Who asks, and with which headers, changes nothing of it.
async fn config(State(serving): State<Arc<Serving>>) -> Result<Response, ErrorResponse> {
    let Some(served) = serving.get() else {
        let refused = ErrorResponse::new(
            StatusCode::SERVICE_UNAVAILABLE,
            kind::UNREACHABLE,
            "the gateway's keys are not known yet",
        );
        return Err(refused.retry_after(2));
    };
    let mut response = served.body.clone().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(wire::SIGNATURE, served.signature.clone());
    headers.insert(wire::CERTIFICATE, served.certificate.clone());
    Ok(response)
}

/// Asks the gateway for its bundle, again and again; what was served before stays while it gives none.
async fn refresh(serving: Arc<Serving>, mut documents: Documents, source: Source, every: Duration) {
    let mut failing = false;
    loop {
        let made = match &source {
            Source::Seeds => documents.make(None, clock::now_ms()),
            Source::Gateway(gateway) => match bundle(gateway).await {
                Ok(bundle) => documents.make(Some(bundle), clock::now_ms()),
                Err(error) => Err(error),
            },
        };
        match made {
            Ok(made) => {
                failing = false;
                serving.set(made);
            }
            Err(error) => {
                if !failing {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "no new configuration: what was served before stays");
                }
                failing = true;
            }
        }
        sleep(every).await;
    }
}

async fn bundle(gateway: &Upstream) -> Result<Signed<Bundle>, Error> {
    let asked = gateway.send(Method::GET, path::BUNDLE, HeaderMap::new(), Body::empty(), ANSWER);
    let answer = asked.await.map_err(|error| Error::Bundle(Box::new(error)))?;
    if answer.status() != StatusCode::OK {
        return Err(Error::NoBundle(answer.status().as_u16()));
    }
    let body = body::whole(answer.into_body(), DOCUMENT_MAX, ANSWER).await;
    let body = body.map_err(|unread| Error::Bundle(unread.into()))?;
    Ok(Signed::parse(&body)?)
}

impl Serving {
    fn get(&self) -> Option<Arc<Served>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves another one, if there is another.
    fn set(&self, made: Option<Served>) {
        if let Some(made) = made {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(made));
        }
    }
}
