//! The *client* of the confidential chain (`docs/protocols/confidential.md`): models on machines that do not learn who
//! asks, and whose evidence this home verifies before it seals anything to them.
//!
//! ```text
//! configuration ─▶ nodes: shortlist, evidence for a nonce of our own, verified ─▶ seal to up to three ─▶ reply
//!      auth              └──────────────── through a relay, under the gateway's key ────────────────┘
//! ```
//!
//! No prompt is sealed to a node before [`attestation::verify`] accepted its evidence; there is no other way to make an
//! [`attestation::VerifiedNode`]. A failed check is [`Error::Untrusted`] with the code of the check.

mod chain;
mod clock;
mod config;
mod layer;
mod memory;
mod nodes;
mod once;
mod outer;
mod prepared;
mod question;
mod verified;

use std::{fmt, sync::Arc, time::Duration};

use attestation::Pin;
use chat_vocabulary::{ChatRequest, ModelInfo};
use confidential_api::names::path;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Method, StatusCode};

use crate::{
    Backend, DeltaStream, EmbedRequest, Embeddings, Error, Health, Timeouts, link::Client,
};

use chain::{Chain, head};
use config::{Configuration, RefreshTimes};
use nodes::Nodes;
use outer::Outer;
use prepared::PreparedSecrets;

pub use memory::{InMemoryStore, SeenDocuments, SeenStore};

/// Settings of a deployment.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in logs and errors.
    pub name: String,
    /// Connection to its configuration.
    pub auth: crate::Settings,
    /// Connections to its relays, at least one. They are tried in turn.
    pub relays: Vec<crate::Settings>,
    /// This home's pin.
    pub pin: Pin,
    /// Whether simulated evidence is accepted.
    pub simulated: bool,
    /// Whether keys are accepted that auth could have made (option A).
    pub shared_seeds: bool,
    /// How long a verification is valid.
    pub verified_for: Duration,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// Record of the newest documents seen.
    pub memory: Arc<dyn SeenStore>,
}

/// A deployment of the confidential chain.
#[derive(Clone)]
pub struct Confidential {
    chain: Arc<Chain>,
}

impl fmt::Debug for Confidential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confidential").field("name", &self.chain.name).finish_non_exhaustive()
    }
}

impl Confidential {
    /// Creates the client. Nothing is fetched yet.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if a URL cannot be used, or there is no relay.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Self::refreshed_after(config::FRESH, settings)
    }

    /// The same, with another refresh interval than ten minutes, for tests.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn refreshed_after(fresh: Duration, settings: Settings) -> Result<Self, Error> {
        let Settings { name, auth, relays, timeouts, verified_for, simulated, .. } = settings;
        if relays.is_empty() {
            let reason = "name at least one relay: without it the deployment would learn who asks";
            return Err(Error::Address { url: auth.base_url, reason });
        }
        let relays = relays.into_iter().map(Client::new).collect::<Result<_, _>>()?;
        let configuration = Configuration::new(
            name.clone(),
            Client::new(auth)?,
            settings.pin,
            settings.shared_seeds,
            settings.memory,
            RefreshTimes { fresh, patience: timeouts.health.saturating_mul(2) },
        );
        let configuration = Arc::new(configuration);
        let prepared = Arc::new(PreparedSecrets::default());
        let outer = Outer::new(name.clone(), relays, Arc::clone(&prepared));
        let nodes = Nodes::new(name.clone(), simulated, verified_for);
        let chain = Chain { name, timeouts, configuration, outer, nodes, prepared };
        Ok(Self { chain: Arc::new(chain) })
    }

    /// Pings the router through the whole chain.
    async fn ping(&self) -> Result<Health, Error> {
        let head = head(Method::GET, path::PING);
        let (answer, _) = self.chain.small(head, Vec::new()).await?;
        match answer.status {
            StatusCode::OK => Ok(Health::Ready),
            _ => Err(self.chain.unreachable("has no working router: ask its operator")),
        }
    }
}

impl Backend for Confidential {
    fn chat(&self, request: ChatRequest) -> BoxFuture<'_, Result<DeltaStream, Error>> {
        question::ask(Arc::clone(&self.chain), request).boxed()
    }

    fn embed(&self, request: EmbedRequest) -> BoxFuture<'_, Result<Embeddings, Error>> {
        let message = format!("{} does not support embedding", request.model);
        std::future::ready(Err(self.chain.refused(StatusCode::BAD_REQUEST, message))).boxed()
    }

    /// The settings list the models.
    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelInfo>, Error>> {
        std::future::ready(Ok(Vec::new())).boxed()
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, Error>> {
        self.ping().boxed()
    }
}
