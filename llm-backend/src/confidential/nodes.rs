//! Nodes that proved themselves: evidence is asked for with a nonce of our own, verified, and holds for a while.
//!
//! ```text
//! model ─▶ cached and holds? ── yes ─▶ sealed to; past half of its time it is renewed in the background
//!              └── no ─▶ shortlist of the router ─▶ /attest, three at a time ─▶ verify ─▶ cached
//! ```

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use attestation::{Asked, FitToSeal, Nonce};
use confidential_api::{
    NodeId,
    evidence::EvidenceList,
    names::{model_tag, path},
    routing::{AttestRequest, ComputeManifestList, ComputeManifestRequest},
};
use futures_util::{StreamExt as _, stream};
use http::{Method, StatusCode};

use super::{CANDIDATES, Chain, head, now_ms, untrusted};
use crate::Error;

/// Nodes of a shortlist that are asked for evidence, until enough proved themselves.
const SHORTLIST: usize = 12;

/// Those that are known.
pub(crate) struct Nodes {
    name: String,
    simulated: bool,
    /// How long a verification holds.
    life: Duration,
    known: Mutex<BTreeMap<String, Vec<Arc<FitToSeal>>>>,
    /// Held while nodes are verified, so that they are verified once.
    verifying: tokio::sync::Mutex<()>,
}

impl Nodes {
    pub(crate) fn new(name: String, simulated: bool, life: Duration) -> Self {
        let (known, verifying) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { name, simulated, life, known, verifying }
    }

    /// Those that hold for `life` from their verification on.
    fn holding(&self, model: &str, life: Duration) -> Vec<Arc<FitToSeal>> {
        let now = now_ms();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let nodes = known.get(model).into_iter().flatten();
        nodes.filter(|node| node.holds(life, now)).take(CANDIDATES).cloned().collect()
    }

    fn keep(&self, model: &str, nodes: Vec<Arc<FitToSeal>>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(model.to_owned(), nodes);
    }

    /// Forgets what is known of a model's nodes: they did not answer as they should.
    pub(crate) fn forget(&self, model: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(model);
    }
}

impl Chain {
    /// Up to three nodes for a model, each of which proved itself within the time that a verification holds.
    pub(crate) async fn candidates(
        self: &Arc<Self>,
        model: &str,
    ) -> Result<Vec<Arc<FitToSeal>>, Error> {
        let nodes = &self.nodes;
        let holding = nodes.holding(model, nodes.life);
        if holding.is_empty() {
            return self.verified(model, nodes.life).await;
        }
        if nodes.holding(model, nodes.life / 2).is_empty() {
            let (chain, model) = (Arc::clone(self), model.to_owned());
            tokio::spawn(async move {
                if let Err(error) = chain.verified(&model, chain.nodes.life / 2).await {
                    // What proved itself before does so no more, or the policy has changed.
                    if matches!(error, Error::Untrusted { .. }) {
                        chain.nodes.forget(&model);
                    }
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(deployment = chain.name, error, "nodes are not verified anew");
                }
            });
        }
        Ok(holding)
    }

    /// Verifies nodes, unless somebody else just did.
    async fn verified(&self, model: &str, life: Duration) -> Result<Vec<Arc<FitToSeal>>, Error> {
        let _one = self.nodes.verifying.lock().await;
        let holding = self.nodes.holding(model, life);
        if !holding.is_empty() {
            return Ok(holding);
        }
        let fresh = self.verify(model).await?;
        self.nodes.keep(model, fresh.clone());
        Ok(fresh)
    }

    async fn verify(&self, model: &str) -> Result<Vec<Arc<FitToSeal>>, Error> {
        let shortlist = self.shortlist(model).await?;
        if shortlist.is_empty() {
            return Err(self.busy("has no node with this model now: try again in a moment"));
        }
        let mut first = None;
        let mut proved = Vec::new();
        let mut asked =
            stream::iter(shortlist).map(|node| self.prove(node, model)).buffered(CANDIDATES);
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(node) => proved.push(Arc::new(node)),
                Err(error) => {
                    tracing::warn!(deployment = self.name, %error, "a node is passed over");
                    // What it was refused for says more than that another one was not reached.
                    let refused = matches!(error, Error::Untrusted { .. });
                    if first.is_none()
                        || (refused && !matches!(first, Some(Error::Untrusted { .. })))
                    {
                        first = Some(error);
                    }
                }
            }
            if proved.len() == CANDIDATES {
                break;
            }
        }
        match first {
            Some(error) if proved.is_empty() => Err(error),
            Some(_) | None => Ok(proved),
        }
    }

    /// The nodes that are worth asking, as the router says. It chooses at random among those that it is shown, and so
    /// does the order here.
    async fn shortlist(&self, model: &str) -> Result<Vec<NodeId>, Error> {
        let request = ComputeManifestRequest { tags: vec![model_tag(model)], limit: SHORTLIST };
        let head = head(Method::POST, path::COMPUTE_MANIFESTS);
        let (answer, body) = self.small(head, request.encode()).await?;
        if !answer.status.is_success() {
            return Err(self.router(answer.status));
        }
        let list = ComputeManifestList::decode(&body).map_err(|_| self.unreachable(MALFORMED))?;
        let mut nodes: Vec<_> = list.0.into_iter().map(|manifest| manifest.id).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes.truncate(SHORTLIST);
        // Any order will do that nobody foresees.
        let mut seed = [0; 8];
        if getrandom::fill(&mut seed).is_ok() && !nodes.is_empty() {
            let at = u64::from_ne_bytes(seed) % u64::try_from(nodes.len()).unwrap_or(1);
            nodes.rotate_left(usize::try_from(at).unwrap_or_default());
        }
        Ok(nodes)
    }

    /// Has a node prove itself.
    async fn prove(&self, node: NodeId, model: &str) -> Result<FitToSeal, Error> {
        let nonce = Nonce::random()
            .map_err(|_| self.busy("cannot be asked: this machine has no random bytes"))?;
        let request = AttestRequest { node, nonce: *nonce.as_bytes() };
        let (answer, body) = self.small(head(Method::POST, path::ATTEST), request.encode()).await?;
        match answer.status {
            status if status.is_success() => {}
            // A router without it, or a node: no evidence for a nonce of ours.
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::FORBIDDEN => {
                let absent = attestation::Code::NonceAbsent;
                return Err(self.untrusted(absent.as_str(), absent.sentence()));
            }
            status => return Err(self.router(status)),
        }
        let malformed = attestation::Code::Malformed;
        let refused =
            |code: attestation::Code| untrusted(&self.nodes.name, code.as_str(), code.sentence());
        let evidence = EvidenceList::decode(&body).map_err(|_| refused(malformed))?;
        let known = self.configuration.current().await?;
        let asked = Asked { node, model, nonce, simulated: self.nodes.simulated };
        let fit = attestation::verify(&evidence, asked, &known.policy, now_ms());
        fit.map_err(|error| refused(error.code))
    }

    fn router(&self, status: StatusCode) -> Error {
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                self.busy("is busy with other requests: try again in a moment")
            }
            _ => self.unreachable("has a router that refuses what it is asked: ask its operator"),
        }
    }

    pub(crate) fn busy(&self, reason: &'static str) -> Error {
        Error::Busy { backend: self.name.clone(), reason }
    }
}

const MALFORMED: &str = "has a router that does not answer as one: ask its operator";
