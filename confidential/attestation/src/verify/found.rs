//! What the verifier expects, what the checks find, and the checks that both kinds of evidence share.

use confidential_api::{
    evidence::bound_nonce,
    policy::{Image, RekKind},
};
use confidential_envelope::{Kem, inner::Rek};

use crate::{Check, Class, Code, Fingerprint, MAX_NONCES, Nonce, Report, policy::Rules};

/// What is expected of the evidence; `None` is not checked.
#[derive(Debug, Default)]
pub struct Expectations<'a> {
    /// The model that must be served.
    pub model: Option<&'a str>,
    /// The nonce of the request.
    pub nonce: Option<Nonce>,
    /// Whether simulated evidence is accepted.
    pub simulated: Option<bool>,
}

/// What the checks found; complete if every check passed.
#[derive(Debug, Default)]
pub(super) struct Findings<'a> {
    pub(super) class: Option<(Class, Fingerprint)>,
    pub(super) image: Option<&'a Image>,
    pub(super) rek: Option<Rek>,
    pub(super) module: Option<String>,
    /// When the document was made, if its issuer has a clock.
    pub(super) attested_at: Option<u64>,
}

/// Checks that every nonce in the evidence is the hash of its nonce set, and that the set has our nonce.
pub(super) fn note_nonce(
    bound: &[&[u8]],
    set: Option<&[u8]>,
    known: &Expectations<'_>,
    report: &mut Report,
) {
    let set = set.filter(|_| bound.iter().all(|bound| !bound.is_empty())).ok_or(Code::NonceAbsent);
    let bound = set.and_then(|set| check_nonce_set(set, bound).map(|()| set));
    match (bound, &known.nonce) {
        (Err(code), _) => drop(report.note(Check::Nonce, Err::<(), _>(code))),
        (Ok(set), Some(nonce)) => {
            let is_ours = set.chunks(Nonce::LEN).any(|known| known == nonce.as_bytes());
            report.note(Check::Nonce, ok_or(is_ours, Code::NonceOther));
        }
        (Ok(_), None) => {}
    }
}

fn check_nonce_set(set: &[u8], bound: &[&[u8]]) -> Result<(), Code> {
    if set.is_empty() {
        return Err(Code::NonceAbsent);
    }
    let is_set = set.len().is_multiple_of(Nonce::LEN) && set.len() <= MAX_NONCES * Nonce::LEN;
    let expected = bound_nonce(set);
    ok_or(is_set && bound.iter().all(|bound| *bound == expected), Code::NonceOther)
}

/// Checks that the image serves the model, and that the key is of its kind.
pub(super) fn note_served(
    image: Option<&Image>,
    rek: Option<&Rek>,
    known: &Expectations<'_>,
    report: &mut Report,
) {
    if let (Some(image), Some(rek)) = (image, rek) {
        report.note(Check::KeyKind, ok_or(is_of(rek, image.rek), Code::RekKind));
    }
    if let (Some(image), Some(model)) = (image, known.model) {
        let serves = image.models.iter().any(|known| known == model);
        report.note(Check::Model, ok_or(serves, Code::ModelNotServed));
    }
}

/// Checks that both the policy and the home accept simulated evidence.
pub(super) fn note_consent(
    class: Class,
    known: &Expectations<'_>,
    rules: Rules<'_>,
    report: &mut Report,
) {
    let consent = match (class, known.simulated) {
        (Class::Nitro | Class::Tpm, _) => Ok(()),
        (Class::Simulated, _) if !rules.policy.simulated => Err(Code::SimulatedByPolicy),
        (Class::Simulated, Some(true)) => Ok(()),
        (Class::Simulated, Some(false)) => Err(Code::SimulatedByHome),
        (Class::Simulated, None) => return,
    };
    report.note(Check::Consent, consent);
}

pub(super) fn ok_or(holds: bool, code: Code) -> Result<(), Code> {
    if holds { Ok(()) } else { Err(code) }
}

/// Whether the key is of this kind.
fn is_of(rek: &Rek, kind: RekKind) -> bool {
    let kem = match kind {
        RekKind::XWing => Kem::XWing,
        RekKind::P256 => Kem::P256,
    };
    rek.public().kem() == kem
}
