//! One way through all checks, and what only it makes: [`FitToSeal`].

use std::time::Duration;

use confidential_api::{
    NodeId,
    evidence::EvidenceList,
    policy::{EvidenceKind, Image, Policy},
    signed::Signed,
};
use confidential_envelope::inner::{Candidate, Rek};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{
    Check, Class, Code, Effective, Fingerprint, MAX_AGE, MAX_NONCES, Nonce, Pin, Refused, Report,
    SKEW, bound_nonce, evidence, ms, nitro,
    policy::{self, Rules},
    rek,
};

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

/// What is known where somebody else asked; what is not known is not checked.
#[derive(Debug, Default)]
pub struct Known<'a> {
    /// Which model shall be served.
    pub model: Option<&'a str>,
    /// What the node was asked with.
    pub nonce: Option<Nonce>,
    /// Whether simulated evidence is taken.
    pub simulated: Option<bool>,
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
    /// The image's name in the policy.
    pub image: String,
    /// How the node's module calls itself.
    pub module: String,
    /// The trust anchor: SHA-256, hexadecimal.
    pub anchor: String,
    /// The policy's name.
    pub policy_id: String,
    /// The policy's epoch.
    pub policy_epoch: u64,
    /// When the evidence was made, by its maker's clock, in Unix milliseconds.
    pub attested_at: u64,
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
    let (report, found) = judge(evidence, &known, policy.rules(), now);
    report.verdict()?;
    found.fit(node, policy.policy(), now).ok_or_else(|| Code::Incomplete.into())
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

/// What was found on the way; all of it is there if every check passed.
#[derive(Debug, Default)]
struct Found<'a> {
    class: Option<(Class, Fingerprint)>,
    image: Option<&'a Image>,
    rek: Option<Rek>,
    /// Name of the module, and when it made the document.
    made: Option<(String, u64)>,
}

impl Found<'_> {
    fn fit(self, node: NodeId, policy: &Policy, now: u64) -> Option<FitToSeal> {
        let ((class, anchor), image) = (self.class?, self.image?);
        let (module, attested_at) = self.made?;
        let summary = Summary {
            class,
            image: image.name.clone(),
            module,
            anchor: anchor.to_string(),
            policy_id: policy.policy_id.clone(),
            policy_epoch: policy.epoch,
            attested_at,
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
    let mut report = Report::new(Check::NITRO);
    let mut found = Found::default();
    rules.check(&mut report, now);
    // Without its pieces, or with a piece that cannot be read, nothing else can be said.
    if let Ok(set) = evidence::nitro_set(evidence).inspect_err(|code| {
        report.note(Check::Set, Err::<(), _>(*code));
    }) {
        judge_nitro(&set, known, rules, now, &mut report, &mut found);
    }
    (report, found)
}

fn judge_nitro<'a>(
    set: &evidence::NitroSet<'_>,
    known: &Known<'_>,
    rules: Rules<'a>,
    now: u64,
    report: &mut Report,
    found: &mut Found<'a>,
) {
    report.note(Check::Set, set.key_config.map(drop).ok_or(Code::PieceMissing));
    let Some((signed, document)) = report.note(Check::Form, read(set)) else { return };
    report.note(Check::Kind, document.check_kind());
    if report.note(Check::Algorithm, signed.check_algorithm()).is_some() {
        report.note(Check::Signature, nitro::check_signature(&document, &signed));
    }
    let root = document.root();
    let class = report.note(Check::Anchor, rules.class(EvidenceKind::Nitro, root));
    if let Some(class) = class {
        report.note(Check::Chain, nitro::check_chain(&document, now));
        note_consent(class, known, rules, report);
    }
    report.note(Check::Age, check_age(document.timestamp, now));
    report.note(Check::Measured, document.check_measured());
    let image = rules.image(EvidenceKind::Nitro, &document.pcrs, known.model);
    let image = report.note(Check::Image, image);
    note_nonce(&document, set, known, report);
    let rek = set.key_config.and_then(|key| report.note(Check::Key, read_key(key, &document)));
    if let (Some(image), Some(rek)) = (image, &rek) {
        report.note(Check::KeyKind, ok_or(rek::is_of(rek, image.rek), Code::RekKind));
    }
    if let (Some(image), Some(model)) = (image, known.model) {
        let serves = image.models.iter().any(|known| known == model);
        report.note(Check::Model, ok_or(serves, Code::ModelNotServed));
    }
    let made = Some((document.module_id, document.timestamp));
    *found = Found { class: class.map(|class| (class, root)), image, rek, made };
}

/// The document: what is signed, and what it says.
fn read(set: &evidence::NitroSet<'_>) -> Result<(nitro::Signed, nitro::Document), Code> {
    let signed = nitro::Signed::read(set.document)?;
    let document = signed.document()?;
    Ok((signed, document))
}

/// The node's key, if the document names its configuration.
fn read_key(config: &[u8], document: &nitro::Document) -> Result<Rek, Code> {
    let is_bound = document.user_data.as_deref() == Some(&Sha256::digest(config)[..]);
    ok_or(is_bound, Code::KeyNotBound)?;
    rek::read(config)
}

fn check_age(timestamp: u64, now: u64) -> Result<(), Code> {
    if timestamp > now.saturating_add(ms(SKEW)) {
        return Err(Code::FromTheFuture);
    }
    if now > timestamp.saturating_add(ms(MAX_AGE)) {
        return Err(Code::TooOld);
    }
    Ok(())
}

/// The document names a set of nonces, and ours is in it.
fn note_nonce(
    document: &nitro::Document,
    set: &evidence::NitroSet<'_>,
    known: &Known<'_>,
    report: &mut Report,
) {
    let bound = match (&document.nonce, set.nonces) {
        (None, _) | (_, None) => Err(Code::NonceAbsent),
        (Some(bound), Some(set)) => check_nonce_set(set, bound).map(|()| set),
    };
    match (bound, &known.nonce) {
        (Err(code), _) => drop(report.note(Check::Nonce, Err::<(), _>(code))),
        (Ok(set), Some(nonce)) => {
            let is_ours = set.chunks(Nonce::LEN).any(|known| known == nonce.as_bytes());
            report.note(Check::Nonce, ok_or(is_ours, Code::NonceOther));
        }
        (Ok(_), None) => {}
    }
}

fn check_nonce_set(set: &[u8], bound: &[u8]) -> Result<(), Code> {
    if set.is_empty() {
        return Err(Code::NonceAbsent);
    }
    let is_set = set.len().is_multiple_of(Nonce::LEN) && set.len() <= MAX_NONCES * Nonce::LEN;
    ok_or(is_set && bound_nonce(set) == bound, Code::NonceOther)
}

/// Simulated evidence needs the policy's and the home's consent.
fn note_consent(class: Class, known: &Known<'_>, rules: Rules<'_>, report: &mut Report) {
    let consent = match (class, known.simulated) {
        (Class::Nitro | Class::Tpm, _) => Ok(()),
        (Class::Simulated, _) if !rules.policy.simulated => Err(Code::SimulatedByPolicy),
        (Class::Simulated, Some(true)) => Ok(()),
        (Class::Simulated, Some(false)) => Err(Code::SimulatedByHome),
        (Class::Simulated, None) => return,
    };
    report.note(Check::Consent, consent);
}

fn ok_or(holds: bool, code: Code) -> Result<(), Code> {
    if holds { Ok(()) } else { Err(code) }
}
