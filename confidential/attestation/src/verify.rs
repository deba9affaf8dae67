//! One way through all checks, and what only it makes: [`FitToSeal`].

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

use self::found::Found;
use crate::{
    Check, Class, Code, Effective, Nonce, Pin, Refused, Report, evidence,
    policy::{self, Rules},
};

pub use self::found::Known;

/// A question to a node.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Which node was asked.
    pub node: NodeId,
    /// Which model it shall serve.
    pub model: &'a str,
    /// What it was asked with; it is used up.
    pub nonce: Nonce,
    /// Whether this home takes simulated evidence.
    pub simulated: bool,
}

/// A node that proved itself, to this client, now. What sealing takes; only [`verify`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FitToSeal {
    node: NodeId,
    rek: Rek,
    models: Vec<String>,
    summary: Summary,
    /// When the policy's time is over, in Unix milliseconds.
    policy_ends: u64,
}

/// What stood behind a node, for people. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// What the evidence ends in.
    pub class: Class,
    /// The image's name in the home's pin, or in the policy where the home pins no images.
    pub image: String,
    /// How the node's module calls itself; of a TPM, the name of its attestation key.
    pub module: String,
    /// The trust anchor: SHA-256, hexadecimal.
    pub anchor: String,
    /// The policy's name.
    pub policy_id: String,
    /// The policy's epoch.
    pub policy_epoch: u64,
    /// When the evidence was made, by its maker's clock, in Unix milliseconds. A TPM has no such clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attested_at: Option<u64>,
    /// When it was verified, in Unix milliseconds.
    pub verified_at: u64,
}

impl FitToSeal {
    /// What stood behind the node.
    #[must_use]
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Whether the node's image serves this model.
    #[must_use]
    pub fn serves(&self, model: &str) -> bool {
        self.models.iter().any(|known| known == model)
    }

    /// Whether the verification still holds at `now`, for as long as `life`; not past the policy's own time.
    #[must_use]
    pub fn holds(&self, life: Duration, now: u64) -> bool {
        let verified = self.summary.verified_at;
        let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        // A clock that was set back makes nothing fresh.
        now >= verified && now - verified < life && now < self.policy_ends
    }
}

/// The one implementation outside of tests: nobody seals to a key that did not come this way.
impl Candidate for FitToSeal {
    type Id = NodeId;

    fn id(&self) -> NodeId {
        self.node
    }

    fn rek(&self) -> &Rek {
        &self.rek
    }
}

/// Judges what a node shows; `now` is in Unix milliseconds.
///
/// # Errors
///
/// [`Refused`] with the first check that failed. Nothing may be sealed to that node then.
pub fn verify(
    evidence: &EvidenceList,
    asked: Asked<'_>,
    policy: &Effective,
    now: u64,
) -> Result<FitToSeal, Refused> {
    let Asked { node, model, nonce, simulated } = asked;
    let known = Known { model: Some(model), nonce: Some(nonce), simulated: Some(simulated) };
    let rules = policy.rules();
    let (report, found) = judge(evidence, &known, rules, now);
    report.verdict()?;
    found.fit(node, &rules, now).ok_or_else(|| Code::Incomplete.into())
}

/// Says what becomes of each check, the same ones as in [`verify`]; `now` is in Unix milliseconds.
///
/// # Errors
///
/// [`Code::PolicyMalformed`] if there is no policy to judge by.
pub fn report(
    evidence: &EvidenceList,
    known: &Known<'_>,
    signed: &Signed<Policy>,
    pin: Option<&Pin>,
    now: u64,
) -> Result<Report, Refused> {
    let policy = policy::read(signed)?;
    let rules = Rules { signed, policy: &policy, pin, seen: None };
    Ok(judge(evidence, known, rules, now).0)
}

impl<'a> Found<'a> {
    fn fit(self, node: NodeId, rules: &Rules<'a>, now: u64) -> Option<FitToSeal> {
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
        Some(FitToSeal { node, rek, models, summary, policy_ends: policy.not_after })
    }
}

/// Makes every check that can be made.
fn judge<'a>(
    evidence: &EvidenceList,
    known: &Known<'_>,
    rules: Rules<'a>,
    now: u64,
) -> (Report, Found<'a>) {
    let kind = evidence::kind(evidence);
    let mut report = Report::new(Check::of(kind));
    rules.check(&mut report, now);
    let found = match kind {
        EvidenceKind::Nitro => nitro::judge(evidence, known, rules, now, &mut report),
        EvidenceKind::Tpm => tpm::judge(evidence, known, rules, &mut report),
    };
    // Without its pieces, or with a piece that cannot be read, nothing else can be said.
    (report, found.unwrap_or_default())
}
