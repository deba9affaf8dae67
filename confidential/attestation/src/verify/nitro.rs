//! The checks of an enclave's evidence.

use std::time::Duration;

use confidential_api::{evidence::EvidenceList, policy::EvidenceKind};
use confidential_envelope::{Kem, inner::Rek};
use sha2::{Digest as _, Sha256};

use super::found::{Expectations, Findings, note_consent, note_nonce, note_served, ok_or};
use crate::{
    Check, Code, Report,
    evidence::{self, NitroSet},
    nitro,
    policy::Rules,
};

/// How old a document may be. The nonce proves that it is fresh; this limits the clock skew. A TPM has no wall clock.
pub const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// How far in the future a document may be, because of clock skew.
pub const SKEW: Duration = Duration::from_secs(5 * 60);

/// A duration in milliseconds.
const fn ms(duration: Duration) -> u64 {
    duration.as_secs() * 1000
}

/// HKDF-SHA256 and AES-128-GCM, which every node uses (RFC 9180, sections 7.2 and 7.3).
const KDF_AND_AEAD: [u8; 4] = [0, 1, 0, 1];

/// Makes every check that is possible; `None` if there is no document.
pub(super) fn judge<'a>(
    evidence: &EvidenceList,
    known: &Expectations<'_>,
    rules: Rules<'a>,
    now: u64,
    report: &mut Report,
) -> Option<Findings<'a>> {
    let set = report.note(Check::Set, evidence::nitro_set(evidence))?;
    report.note(Check::Set, set.key_config.ok_or(Code::PieceMissing));
    let (signed, document) = report.note(Check::Form, read(&set))?;
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
    let image = rules.image(EvidenceKind::Nitro, class, &document.pcrs, known.model);
    let image = report.note(Check::Image, image);
    note_nonce(&[document.nonce.as_deref().unwrap_or_default()], set.nonces, known, report);
    let rek = set.key_config.and_then(|key| report.note(Check::Key, read_key(key, &document)));
    note_served(image, rek.as_ref(), known, report);
    let class = class.map(|class| (class, root));
    let attested_at = Some(document.timestamp);
    Some(Findings { class, image, rek, module: Some(document.module_id), attested_at })
}

/// Reads the signed document.
fn read(set: &NitroSet<'_>) -> Result<(nitro::Signed, nitro::Document), Code> {
    let signed = nitro::Signed::read(set.document)?;
    let document = signed.document()?;
    Ok((signed, document))
}

/// The node's key, if the document has its hash.
fn read_key(config: &[u8], document: &nitro::Document) -> Result<Rek, Code> {
    let is_bound = document.user_data.as_deref() == Some(&Sha256::digest(config)[..]);
    ok_or(is_bound, Code::KeyNotBound)?;
    read_rek(config)
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

/// Reads and checks a key: `kem u16 || kdf u16 || aead u16 || public key`.
fn read_rek(config: &[u8]) -> Result<Rek, Code> {
    let (kem, rest) = config.split_first_chunk().ok_or(Code::Malformed)?;
    let kem = Kem::from_id(u16::from_be_bytes(*kem)).ok_or(Code::Malformed)?;
    let key = rest.strip_prefix(&KDF_AND_AEAD).ok_or(Code::Malformed)?;
    Rek::from_bytes(kem, key).map_err(|_| Code::Malformed)
}
