//! Has nodes of a deployment prove themselves.

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

/// Nodes of a shortlist that are asked for evidence, until enough proved themselves.
const SHORTLIST: usize = 12;

/// For how long others are waited for once a node proved itself; at most a quarter of the time that a verification holds.
const OTHERS: Duration = Duration::from_secs(1);

/// After a renewal that failed the next one waits for this part of the time that a verification holds.
const PAUSE: u32 = 8;

/// Nodes to seal to, and the configuration under whose policy they proved themselves: the gateway's key is of the same.
pub(crate) struct Candidates {
    pub(crate) nodes: Vec<Arc<VerifiedNode>>,
    pub(crate) known: Arc<config::VerifiedConfig>,
}

/// What came of asking nodes for evidence.
#[derive(Default)]
struct VerificationResult {
    proved: Vec<Arc<VerifiedNode>>,
    /// Those whose evidence was refused: what they proved before does not count any more.
    refused: Vec<NodeId>,
    /// The first error; of a refusal rather than of a node that was not reached.
    first: Option<Error>,
}

impl Chain {
    /// Up to three nodes for a model, each of which proved itself within the time that a verification holds, under the
    /// policy that holds now.
    pub(crate) async fn candidates(self: &Arc<Self>, model: &str) -> Result<Candidates, Error> {
        let (of, life) = (self.nodes.of(model), self.nodes.life);
        let verify = || Arc::clone(self).verify_anew(model.to_owned());
        // A verification that was under way may have begun under the policy before.
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

    /// Forgets what is known of a model's nodes: they did not answer as they should.
    pub(crate) fn forget(&self, model: &str) {
        self.nodes.of(model).change(|known| known.verified.clear());
        self.prepared.tidy();
    }

    /// Verifies nodes, and remembers those that proved themselves.
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
        tracing::warn!(deployment = self.name, error = cause, "no node is verified");
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
        // As long as each of two small exchanges may take: nodes that do not answer hold up nothing for longer.
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
                    tracing::warn!(deployment = self.name, %error, "a node is passed over");
                    // What it was refused for says more than that another one was not reached.
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
    async fn prove(&self, node: NodeId, model: &str) -> Result<VerifiedNode, Error> {
        let nonce = Nonce::random()
            .map_err(|_| self.busy("cannot be asked: this machine has no random bytes"))?;
        let request = AttestRequest { node, nonce: *nonce.as_bytes() };
        let (answer, body) = self.small(head(Method::POST, path::ATTEST), request.encode()).await?;
        match answer.status {
            status if status.is_success() => {}
            StatusCode::NOT_FOUND if is_gone(&answer, &body) => return Err(self.busy(NO_NODE)),
            // A router without it, or a node: no evidence for a nonce of ours. OpenPCC's node takes every path for that of
            // a sealed request, and finds none.
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
            _ => self.unreachable("has a router that refuses what it is asked: ask its operator"),
        }
    }
}

/// Whether a router says that the node which it is asked about is gone: that node was not refused, it left meanwhile.
fn is_gone(answer: &ResponseHead, body: &[u8]) -> bool {
    let kind = answer.headers.get(CONTENT_TYPE).map_or(b"".as_slice(), HeaderValue::as_bytes);
    Problem::received(kind, body).is_some_and(|problem| problem.is(NODE_GONE))
}

const NO_NODE: &str = "has no node with this model now: try again in a moment";

const MALFORMED: &str = "has a router that does not answer as one: ask its operator";
