//! What is known beforehand, and what is found on the way through the checks.

use confidential_api::policy::Image;
use confidential_envelope::inner::Rek;

use crate::{
    Check, Class, Code, Fingerprint, MAX_NONCES, Nonce, Report, bound_nonce, policy::Rules, rek,
};

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

/// What was found on the way; all of it is there if every check passed.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) class: Option<(Class, Fingerprint)>,
    pub(super) image: Option<&'a Image>,
    pub(super) rek: Option<Rek>,
    pub(super) module: Option<String>,
    /// When the document was made, where its maker has a clock.
    pub(super) attested_at: Option<u64>,
}

/// The evidence names a set of nonces, everywhere where it names one, and ours is in it.
pub(super) fn note_nonce(
    bound: &[&[u8]],
    set: Option<&[u8]>,
    known: &Known<'_>,
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

/// The image serves the model, and its key is of this kind.
pub(super) fn note_served(
    image: Option<&Image>,
    rek: Option<&Rek>,
    known: &Known<'_>,
    report: &mut Report,
) {
    if let (Some(image), Some(rek)) = (image, rek) {
        report.note(Check::KeyKind, ok_or(rek::is_of(rek, image.rek), Code::RekKind));
    }
    if let (Some(image), Some(model)) = (image, known.model) {
        let serves = image.models.iter().any(|known| known == model);
        report.note(Check::Model, ok_or(serves, Code::ModelNotServed));
    }
}

/// Simulated evidence needs the policy's and the home's consent.
pub(super) fn note_consent(class: Class, known: &Known<'_>, rules: Rules<'_>, report: &mut Report) {
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
