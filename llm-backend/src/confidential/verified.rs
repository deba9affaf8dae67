//! Verifies nodes of a deployment.

use std::{sync::Arc, time::Duration};

use attestation::{Challenge, Nonce, VerifiedNode};
use common::problem::Problem;
use confidential_api::{
    NodeId,
    evidence::EvidenceList,
    names::{NODE_GONE, model_tag, path},
    routing::{AttestRequest, ComputeManifestList, ComputeManifestRequest},
};
use confidential_envelope::bhttp::ResponseHead;
use futures_util::{StreamExt as _, stream};
use http::{HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use tokio::time::{Instant, timeout_at};

use super::{
    chain::{Chain, SILENT, head},
    clock::now_ms,
    config,
    nodes::CANDIDATES,
};
use crate::error::Error;

/// Most nodes of the shortlist, which are asked until enough are verified.
const SHORTLIST: usize = 12;

/// How long to wait for further nodes once one is verified; at most a quarter of a verification's validity.
const OTHERS: Duration = Duration::from_secs(1);

/// A failed renewal is repeated after this fraction of a verification's validity.
const PAUSE: u32 = 8;

/// Nodes to seal to, and the configuration with the policy that they were verified under and the gateway's key.
pub(crate) struct Candidates {
    pub(crate) nodes: Vec<Arc<VerifiedNode>>,
    pub(crate) known: Arc<config::VerifiedConfig>,
}

/// The result of verifying nodes.
#[derive(Default)]
struct VerificationResult {
    proved: Vec<Arc<VerifiedNode>>,
    /// Nodes whose evidence was rejected: earlier verifications of them are void.
    refused: Vec<NodeId>,
    /// The first error; a rejection takes precedence over a node that was not reached.
    first: Option<Error>,
}

impl Chain {
    /// Up to three nodes for a model with a valid verification under the current policy.
    pub(crate) async fn candidates(self: &Arc<Self>, model: &str) -> Result<Candidates, Error> {
        let (of, life) = (self.nodes.of(model), self.nodes.life);
        let verify = || Arc::clone(self).verify_anew(model.to_owned());
        // A running verification may have started under the previous policy.
        for _ in 0..3 {
            let known = self.configuration.current().await?;
            let epoch = known.policy.policy().epoch;
            let nodes = of.holding(life, epoch);
            if !nodes.is_empty() {
                if of.holding(life / 2, epoch).is_empty() && of.may_renew() {
                    of.verifying.begin(verify);
                }
                return Ok(Candidates { nodes, known });
            }
            of.verifying.outcome(verify, || self.unreachable(SILENT)).await?;
        }
        Err(self.busy("changes its policy: try again in a moment"))
    }

    /// Drops the verifications of a model's nodes.
    pub(crate) fn forget(&self, model: &str) {
        self.nodes.of(model).change(|known| known.verified.clear());
        self.prepared.tidy();
    }

    /// Verifies nodes and stores the result.
    async fn verify_anew(self: Arc<Self>, model: String) -> Result<(), Error> {
        let life = self.nodes.life;
        let failed = match self.verify(&model).await {
            Ok(VerificationResult { proved, refused, first }) => {
                let failed = proved.is_empty().then_some(first).flatten();
                self.nodes.of(&model).change(|known| known.renew(proved, &refused, life));
                self.prepared.tidy();
                failed
            }
            Err(error) => Some(error),
        };
        let Some(error) = failed else { return Ok(()) };
        self.nodes.of(&model).change(|known| known.pause = Some(Instant::now() + life / PAUSE));
        let cause = &error as &dyn std::error::Error;
        tracing::warn!(deployment = self.name, error = cause, "no node could be verified");
        Err(error)
    }

    async fn verify(&self, model: &str) -> Result<VerificationResult, Error> {
        let shortlist = self.shortlist(model).await?;
        if shortlist.is_empty() {
            return Err(self.busy(NO_NODE));
        }
        let VerificationResult { mut proved, mut refused, mut first } =
            VerificationResult::default();
        let others = OTHERS.min(self.nodes.life / 4);
        // The timeout of two short exchanges.
        let mut until = Instant::now() + self.timeouts.health.saturating_mul(4);
        let asked = stream::iter(shortlist)
            .map(async |node| self.prove(node, model).await.map_err(|error| (node, error)));
        let mut asked = asked.buffer_unordered(CANDIDATES);
        while let Ok(Some(answer)) = timeout_at(until, asked.next()).await {
            match answer {
                Ok(node) => {
                    until = until.min(Instant::now() + others);
                    proved.push(Arc::new(node));
                }
                Err((node, error)) => {
                    tracing::warn!(deployment = self.name, %error, "a node is skipped");
                    // A rejection says more than that a node was not reached.
                    let is_refused = matches!(error, Error::Untrusted { .. });
                    if first.is_none() || (is_refused && refused.is_empty()) {
                        first = Some(error);
                    }
                    if is_refused {
                        refused.push(node);
                    }
                }
            }
            if proved.len() == CANDIDATES {
                break;
            }
        }
        let first = first.or_else(|| Some(self.unreachable(SILENT)));
        Ok(VerificationResult { proved, refused, first })
    }

    /// The router's shortlist of nodes, rotated at random.
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
        // The order must not be predictable.
        let mut seed = [0; 8];
        if getrandom::fill(&mut seed).is_ok() && !nodes.is_empty() {
            let at = u64::from_ne_bytes(seed) % u64::try_from(nodes.len()).unwrap_or(1);
            nodes.rotate_left(usize::try_from(at).unwrap_or_default());
        }
        Ok(nodes)
    }

    /// Requests and verifies a node's evidence.
    async fn prove(&self, node: NodeId, model: &str) -> Result<VerifiedNode, Error> {
        let nonce = Nonce::random()
            .map_err(|_| self.busy("cannot be asked: this machine has no random bytes"))?;
        let request = AttestRequest { node, nonce: *nonce.as_bytes() };
        let (answer, body) = self.small(head(Method::POST, path::ATTEST), request.encode()).await?;
        match answer.status {
            status if status.is_success() => {}
            StatusCode::NOT_FOUND if is_gone(&answer, &body) => return Err(self.busy(NO_NODE)),
            // The router or node cannot make evidence for a nonce, such as OpenPCC's.
            StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::FORBIDDEN => {
                let absent = attestation::Code::NonceAbsent;
                return Err(self.untrusted(absent.as_str(), absent.sentence()));
            }
            status => return Err(self.router(status)),
        }
        let malformed = attestation::Code::Malformed;
        let refused = |code: attestation::Code| {
            Error::untrusted(&self.nodes.name, code.as_str(), code.sentence())
        };
        let evidence = EvidenceList::decode(&body).map_err(|_| refused(malformed))?;
        let known = self.configuration.current().await?;
        let asked = Challenge { node, model, nonce, simulated: self.nodes.simulated };
        let fit = attestation::verify(&evidence, asked, &known.policy, now_ms());
        fit.map_err(|error| refused(error.code))
    }

    fn router(&self, status: StatusCode) -> Error {
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                self.busy("is busy with other requests: try again in a moment")
            }
            _ => self.unreachable("has a router that refuses valid requests: ask its operator"),
        }
    }
}

/// Whether the router reports that the node is gone.
fn is_gone(answer: &ResponseHead, body: &[u8]) -> bool {
    let kind = answer.headers.get(CONTENT_TYPE).map_or(b"".as_slice(), HeaderValue::as_bytes);
    Problem::received(kind, body).is_some_and(|problem| problem.is(NODE_GONE))
}

const NO_NODE: &str = "has no node with this model now: try again in a moment";

const MALFORMED: &str = "has a router whose answer is invalid: ask its operator";
