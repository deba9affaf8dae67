//! The *client* of the confidential chain (`docs/protocols/confidential.md`): models on machines that cannot tell who asks,
//! and that proved to this home what they run before anything was sealed to them.
//!
//! ```text
//! configuration ─▶ nodes: shortlist, evidence for a nonce of our own, verified ─▶ seal to up to three ─▶ reply
//!      auth              └──────────────── through a relay, under the gateway's key ────────────────┘
//! ```
//!
//! No prompt is sealed to a node before [`attestation::verify`] took its evidence; there is no other way to make an
//! [`attestation::FitToSeal`]. Whatever does not hold is [`Error::Untrusted`] with the code of the check.

mod config;
mod layer;
mod memory;
mod nodes;
mod once;
mod outer;
mod prepared;
mod question;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use attestation::Pin;
use chat_vocabulary::{ChatRequest, ModelInfo};
use confidential_api::names::{host, path};
use confidential_envelope::bhttp::{RequestHead, Scheme};
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE, uri::PathAndQuery};

use crate::{
    Backend, DeltaStream, Detail, EmbedRequest, Embeddings, Error, Health, Timeouts, link::Link,
};

use config::{Configuration, Known, Times};
use nodes::Nodes;
use outer::Outer;
use prepared::Prepared;

pub use memory::{Memory, Seen, Volatile};

/// Nodes that one request is sealed to.
pub(crate) const CANDIDATES: usize = 3;

/// Everything that a deployment needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the log and errors call it.
    pub name: String,
    /// The way to its configuration.
    pub auth: crate::Settings,
    /// The ways to its relays, which are tried in turn; one at least.
    pub relays: Vec<crate::Settings>,
    /// What of it this home pinned.
    pub pin: Pin,
    /// Whether this home takes simulated evidence.
    pub simulated: bool,
    /// Whether this home takes keys that auth could have made (option A).
    pub shared_seeds: bool,
    /// How long a verification holds.
    pub verified_for: Duration,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// What was seen of it before, and will be.
    pub memory: Arc<dyn Memory>,
}

/// A deployment of the confidential chain.
#[derive(Clone)]
pub struct Confidential {
    chain: Arc<Chain>,
}

/// What the parts share.
pub(crate) struct Chain {
    name: String,
    timeouts: Timeouts,
    configuration: Arc<Configuration>,
    outer: Outer,
    nodes: Nodes,
    prepared: Arc<Prepared>,
}

impl fmt::Debug for Confidential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confidential").field("name", &self.chain.name).finish_non_exhaustive()
    }
}

impl Confidential {
    /// Reads the settings. Nothing is fetched yet.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if a URL cannot be used, or there is no relay.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Self::refreshed_after(config::FRESH, settings)
    }

    /// The same, whose configuration is fetched again after so long: ten minutes, but in tests.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn refreshed_after(fresh: Duration, settings: Settings) -> Result<Self, Error> {
        let Settings { name, auth, relays, timeouts, verified_for, simulated, .. } = settings;
        if relays.is_empty() {
            let reason = "name one relay at least: without it the deployment would know who asks";
            return Err(Error::Address { url: auth.base_url, reason });
        }
        let relays = relays.into_iter().map(Link::new).collect::<Result<_, _>>()?;
        let configuration = Configuration::new(
            name.clone(),
            Link::new(auth)?,
            settings.pin,
            settings.shared_seeds,
            settings.memory,
            Times { fresh, patience: timeouts.health.saturating_mul(2) },
        );
        let configuration = Arc::new(configuration);
        let prepared = Arc::new(Prepared::default());
        let outer = Outer::new(name.clone(), relays, Arc::clone(&prepared));
        let nodes = Nodes::new(name.clone(), simulated, verified_for);
        let chain = Chain { name, timeouts, configuration, outer, nodes, prepared };
        Ok(Self { chain: Arc::new(chain) })
    }

    /// Asks the router, through the whole chain, whether it lives.
    async fn ping(&self) -> Result<Health, Error> {
        let head = head(Method::GET, path::PING);
        let (answer, _) = self.chain.small(head, Vec::new()).await?;
        match answer.status {
            StatusCode::OK => Ok(Health::Ready),
            _ => Err(self.chain.unreachable("has no router that answers: ask its operator")),
        }
    }
}

impl Backend for Confidential {
    fn chat(&self, request: ChatRequest) -> BoxFuture<'_, Result<DeltaStream, Error>> {
        question::ask(Arc::clone(&self.chain), request).boxed()
    }

    fn embed(&self, request: EmbedRequest) -> BoxFuture<'_, Result<Embeddings, Error>> {
        let words = format!("{} does not support embedding", request.model);
        std::future::ready(Err(self.chain.refused(StatusCode::BAD_REQUEST, words))).boxed()
    }

    /// Which ones there are, the settings say.
    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelInfo>, Error>> {
        std::future::ready(Ok(Vec::new())).boxed()
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, Error>> {
        self.ping().boxed()
    }
}

impl Chain {
    /// A small exchange with the router: the whole answer, of at most 16 MiB. After a problem with the gateway's key the
    /// configuration is fetched once more, and it is asked once more.
    pub(crate) async fn small(
        &self,
        head: RequestHead,
        content: Vec<u8>,
    ) -> Result<(confidential_envelope::bhttp::ResponseHead, Vec<u8>), Error> {
        let limit = self.timeouts.health.saturating_mul(2);
        let answer = tokio::time::timeout(limit, async {
            let answer = self.exchange(&head, &content).await?;
            answer.whole(MANIFESTS_MAX).await.map_err(|()| {
                self.untrusted(
                    "reply-unsealed",
                    "an answer of the chain is not whole under its seal",
                )
            })
        });
        answer.await.unwrap_or_else(|_| Err(self.unreachable(SILENT)))
    }

    async fn exchange(&self, head: &RequestHead, content: &[u8]) -> Result<layer::Answer, Error> {
        let limit = self.timeouts.health;
        let mut known = self.configuration.current().await?;
        for again in [false, true] {
            let key = known.key(now_ms()).ok_or_else(|| self.no_key())?;
            match self.outer.exchange(key, head, content, false, limit).await {
                Err(outer::Failed::Key) if !again => known = self.other_key(&known).await?,
                Err(outer::Failed::Key) => break,
                Err(outer::Failed::Error(error)) => return Err(error),
                Ok(answer) => return Ok(answer),
            }
        }
        Err(self.unreachable(OTHER_KEYS))
    }

    /// The configuration of a gateway that does not take the key of `known`.
    pub(crate) async fn other_key(&self, known: &Known) -> Result<Arc<Known>, Error> {
        tracing::info!(
            deployment = self.name,
            "the gateway has other keys: its configuration is fetched"
        );
        self.configuration.fetch_after(known).await
    }

    pub(crate) fn no_key(&self) -> Error {
        self.untrusted(
            "no-active-key",
            "no key of the gateway is active by this machine's clock; is it right?",
        )
    }

    pub(crate) fn untrusted(&self, code: &'static str, reason: &'static str) -> Error {
        untrusted(&self.name, code, reason)
    }

    pub(crate) fn unreachable(&self, reason: &'static str) -> Error {
        let backend = self.name.clone();
        Error::Unreachable { backend, reason, arrived: true, source: None }
    }

    pub(crate) fn refused(&self, status: StatusCode, message: impl Into<String>) -> Error {
        let (backend, status) = (self.name.clone(), status.as_u16());
        Error::Refused { backend, status, message: message.into(), detail: Detail::default() }
    }
}

/// Longest answer that is no reply: 500 manifests.
const MANIFESTS_MAX: usize = confidential_api::routing::ComputeManifestList::LEN_MAX;

pub(crate) const SILENT: &str = "did not begin to answer in time: its machines may be overloaded";
pub(crate) const OTHER_KEYS: &str =
    "does not take the key that it publishes: its operator must look at it";

/// A check failed before anything that people wrote was sent.
fn untrusted(backend: &str, code: &'static str, reason: &'static str) -> Error {
    Error::Untrusted { backend: backend.to_owned(), code, reason, sent: false }
}

/// A request to the router.
fn head(method: Method, path: &'static str) -> RequestHead {
    let mut headers = HeaderMap::new();
    if method == Method::POST {
        let binary = HeaderValue::from_static(confidential_api::names::media::BINARY);
        headers.insert(CONTENT_TYPE, binary);
    }
    RequestHead {
        method,
        scheme: Scheme::Https,
        authority: host::ROUTER.to_owned(),
        path: PathAndQuery::from_static(path),
        headers,
    }
}

/// The time, in Unix milliseconds.
#[allow(clippy::disallowed_methods, reason = "certificates and evidence hold for a time")]
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
