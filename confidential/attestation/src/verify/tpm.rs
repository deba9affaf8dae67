//! The checks of a TPM's evidence.

use confidential_api::{evidence::EvidenceList, policy::EvidenceKind};

use super::found::{Expectations, Findings, note_consent, note_nonce, note_served};
use crate::{Check, Report, evidence, policy::Rules, tpm::Evidence};

/// Makes every check that is possible; `None` if a piece is missing or malformed.
pub(super) fn judge<'a>(
    evidence: &EvidenceList,
    known: &Expectations<'_>,
    rules: Rules<'a>,
    report: &mut Report,
) -> Option<Findings<'a>> {
    let set = report.note(Check::Set, evidence::tpm_set(evidence))?;
    let evidence = report.note(Check::Form, Evidence::read(&set))?;
    if report.note(Check::Algorithm, evidence.check_algorithm()).is_some() {
        report.note(Check::Signature, evidence.check_signatures());
    }
    let anchor = evidence.ak.fingerprint();
    let class = report.note(Check::Anchor, rules.class(EvidenceKind::Tpm, anchor));
    if let Some(class) = class {
        note_consent(class, known, rules, report);
    }
    report.note(Check::AttestationKey, evidence.ak.check_attributes());
    note_nonce(&evidence.nonces(), set.nonces, known, report);
    report.note(Check::Boot, evidence.check_counts());
    let registers = &evidence.registers;
    report.note(Check::Measured, registers.check_measured(class));
    let image = rules.image(EvidenceKind::Tpm, class, &registers.0, known.model);
    let image = report.note(Check::Image, image);
    let rek = report.note(Check::Kind, evidence.attested()).and_then(|(quote, creation)| {
        report.note(Check::Registers, registers.check_quoted(quote));
        report.note(Check::Key, evidence.rek.named(&creation.object_name))
    });
    report.note(Check::KeyAttributes, evidence.rek.check_attributes());
    report.note(Check::KeyPolicy, evidence.rek.check_policy(registers));
    note_served(image, rek.as_ref(), known, report);
    let class = class.map(|class| (class, anchor));
    Some(Findings { class, image, rek, module: Some(evidence.ak.name()), attested_at: None })
}
