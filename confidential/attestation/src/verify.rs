//! Verification of evidence; its result is a [`VerifiedNode`].

mod found;
mod nitro;
mod tpm;

use std::time::Duration;

use confidential_api::{
    NodeId,
    evidence::EvidenceList,
    policy::{EvidenceKind, Policy},
    signed::Signed,
};
use confidential_envelope::inner::{Candidate, Rek};
use serde::Serialize;

use self::found::Findings;
use crate::{
    Check, Class, Code, EffectivePolicy, Nonce, Pin, Refused, Report, evidence,
    policy::{self, Rules},
};

pub use self::{
    found::Expectations,
    nitro::{MAX_AGE, SKEW},
};

/// What a client asked a node, and what it accepts.
#[derive(Debug)]
pub struct Challenge<'a> {
    /// The node.
    pub node: NodeId,
    /// The model that it must serve.
    pub model: &'a str,
    /// The nonce of the request; it is used up.
    pub nonce: Nonce,
    /// Whether this home accepts simulated evidence.
    pub simulated: bool,
}

/// A node whose evidence was verified. Requests are sealed to this type, and only [`verify`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedNode {
    node: NodeId,
    rek: Rek,
    models: Vec<String>,
    summary: Summary,
    /// When the policy expires, in Unix milliseconds.
    policy_ends: u64,
}

/// A summary of the evidence for people, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The class of the evidence.
    pub class: Class,
    /// The image's name in the home's pin, or in the policy where the home pins no images.
    pub image: String,
    /// The ID of the node's security module, or the name of a TPM's attestation key.
    pub module: String,
    /// The trust anchor: SHA-256, hexadecimal.
    pub anchor: String,
    /// The policy's name.
    pub policy_id: String,
    /// The policy's epoch.
    pub policy_epoch: u64,
    /// When the evidence was made, by the node's clock, in Unix milliseconds. A TPM has no such clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attested_at: Option<u64>,
    /// When it was verified, in Unix milliseconds.
    pub verified_at: u64,
}

impl VerifiedNode {
    /// The summary of its evidence.
    #[must_use]
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Whether the node's image serves this model.
    #[must_use]
    pub fn serves(&self, model: &str) -> bool {
        self.models.iter().any(|known| known == model)
    }

    /// Whether the verification is valid at `now`: it is younger than `life`, and the policy has not expired.
    #[must_use]
    pub fn holds(&self, life: Duration, now: u64) -> bool {
        let verified = self.summary.verified_at;
        let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        // Setting the clock back does not make it valid again.
        now >= verified && now - verified < life && now < self.policy_ends
    }
}

/// The only implementation outside of tests, so that requests are sealed to verified keys only.
impl Candidate for VerifiedNode {
    type Id = NodeId;

    fn id(&self) -> NodeId {
        self.node
    }

    fn rek(&self) -> &Rek {
        &self.rek
    }
}

/// Verifies the evidence of a node; `now` is in Unix milliseconds.
///
/// # Errors
///
/// [`Refused`] with the first check that failed.
pub fn verify(
    evidence: &EvidenceList,
    asked: Challenge<'_>,
    policy: &EffectivePolicy,
    now: u64,
) -> Result<VerifiedNode, Refused> {
    let Challenge { node, model, nonce, simulated } = asked;
    let known = Expectations { model: Some(model), nonce: Some(nonce), simulated: Some(simulated) };
    let rules = policy.rules();
    let (report, found) = judge(evidence, &known, rules, now);
    report.verdict()?;
    found.fit(node, &rules, now).ok_or_else(|| Code::Incomplete.into())
}

/// Reports the outcome of each check that [`verify`] makes; `now` is in Unix milliseconds.
///
/// # Errors
///
/// [`Code::PolicyMalformed`] if the policy cannot be read.
pub fn report(
    evidence: &EvidenceList,
    known: &Expectations<'_>,
    signed: &Signed<Policy>,
    pin: Option<&Pin>,
    now: u64,
) -> Result<Report, Refused> {
    let policy = policy::read(signed)?;
    let rules = Rules { signed, policy: &policy, pin, seen: None };
    Ok(judge(evidence, known, rules, now).0)
}

impl<'a> Findings<'a> {
    fn fit(self, node: NodeId, rules: &Rules<'a>, now: u64) -> Option<VerifiedNode> {
        let ((class, anchor), image, policy) = (self.class?, self.image?, rules.policy);
        let summary = Summary {
            class,
            image: rules.name_of(image)?.to_owned(),
            module: self.module?,
            anchor: anchor.to_string(),
            policy_id: policy.policy_id.clone(),
            policy_epoch: policy.epoch,
            attested_at: self.attested_at,
            verified_at: now,
        };
        let (rek, models) = (self.rek?, image.models.clone());
        Some(VerifiedNode { node, rek, models, summary, policy_ends: policy.not_after })
    }
}

/// Makes every check that is possible.
fn judge<'a>(
    evidence: &EvidenceList,
    known: &Expectations<'_>,
    rules: Rules<'a>,
    now: u64,
) -> (Report, Findings<'a>) {
    let kind = evidence::kind(evidence);
    let mut report = Report::new(Check::of(kind));
    rules.check(&mut report, now);
    let found = match kind {
        EvidenceKind::Nitro => nitro::judge(evidence, known, rules, now, &mut report),
        EvidenceKind::Tpm => tpm::judge(evidence, known, rules, &mut report),
    };
    // If a piece is missing or malformed, no other check is possible.
    (report, found.unwrap_or_default())
}
