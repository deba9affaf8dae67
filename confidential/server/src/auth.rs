//! Auth: serves the signed configuration, the same bytes to every client.
//!
//! Its signing key is certified by the deployment's identity. The configuration has the gateway's keys: the bundle that the
//! gateway signed (option C), or keys derived from shared seeds (option A).

mod document;

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::{
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

use self::document::{Documents, SignedConfig};
use crate::{
    Error, Server, clock,
    http::{
        self, kind,
        listen::{Listeners, listen_options},
        upstream::Upstream,
    },
    seeds,
};

/// Longest time until the gateway answers with its bundle.
const ANSWER: Duration = Duration::from_secs(5);
/// Longest time for sending the configuration, in seconds.
const SENT_S: u64 = 60;

/// The configuration that is served; `None` until there is one.
#[derive(Default)]
struct CurrentConfig(RwLock<Option<Arc<SignedConfig>>>);

/// Starts listening; paths are below the root.
///
/// # Errors
///
/// A setting, file or port cannot be used, or the deployment's identity did not sign a document.
pub fn start<'a>(root: &'a Path, settings: &'a Settings) -> BoxFuture<'a, Result<Server, Error>> {
    Box::pin(listen(root, settings))
}

async fn listen(root: &Path, settings: &Settings) -> Result<Server, Error> {
    let options = listen_options!("auth's connections", root, settings, [SENT_S, SENT_S]);
    let listeners = Listeners::open(options);
    let gateway = Upstream::new(root, &settings.gateway, None)?;
    let mut documents = Documents::open(root, settings)?;
    let current = Arc::new(CurrentConfig::default());
    let gateway = match settings.key_source {
        KeySource::Gateway => Some(gateway),
        KeySource::Seeds => {
            let file = settings.seeds_file.as_ref();
            documents.derive_from(seeds::load(root, file, "seeds_file", seeds::variable())?);
            current.set(documents.make(None, clock::now_ms())?);
            None
        }
    };
    let router = endpoint::router(endpoints()).fallback(http::not_found);
    let router = router.with_state(Arc::clone(&current));
    let every = Duration::from_secs(settings.refresh_s.max(1));
    let background = Box::pin(refresh(current, documents, gateway, every));
    Ok(Server { listeners: listeners.await?, router, background })
}

fn endpoints() -> [endpoint::Served<Arc<CurrentConfig>>; 2] {
    [endpoint::serve(&declared::CONFIG, config), endpoint::serve(&declared::HEALTHZ, async || "ok")]
}

/// Every endpoint.
#[must_use]
pub fn list() -> Vec<Declaration> {
    endpoint::list(&endpoints())
}

/// The configuration, independent of client and headers.
async fn config(State(current): State<Arc<CurrentConfig>>) -> Result<Response, ErrorResponse> {
    let Some(served) = current.get() else {
        let refused = ErrorResponse::new(
            StatusCode::SERVICE_UNAVAILABLE,
            kind::UNREACHABLE,
            "the gateway's keys have not been received yet",
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

/// Renews the configuration periodically; until that succeeds, the previous one is served.
async fn refresh(
    current: Arc<CurrentConfig>,
    mut documents: Documents,
    gateway: Option<Upstream>,
    every: Duration,
) {
    let mut failing = false;
    loop {
        let made = match &gateway {
            None => documents.make(None, clock::now_ms()),
            Some(gateway) => match bundle(gateway).await {
                Ok(bundle) => documents.make(Some(bundle), clock::now_ms()),
                Err(error) => Err(error),
            },
        };
        match made {
            Ok(made) => {
                failing = false;
                current.set(made);
            }
            Err(error) => {
                if !failing {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(
                        error,
                        "the configuration was not renewed: the previous one is still served"
                    );
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

impl CurrentConfig {
    fn get(&self) -> Option<Arc<SignedConfig>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the configuration, if there is a new one.
    fn set(&self, made: Option<SignedConfig>) {
        if let Some(made) = made {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(made));
        }
    }
}
