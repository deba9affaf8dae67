//! Valid evidence of a TPM, as values that a row of a table can change; what it is judged by is [`Case`]'s.

use std::{collections::BTreeMap, sync::LazyLock};

use attestation::{Code, PinnedAnchor, VerifiedNode, bound_nonce};
use attester::tpm::{self, Attest, AttestationKey, Claims, Public};
use common::wire::Bytes;
use confidential_api::{
    evidence::EvidenceList,
    policy::{Anchor, EvidenceKind, Image, Registers, RekKind},
};

use crate::bench::{Case, Edit, MODEL, NONCE};

/// Where the pieces of a set stand.
pub(crate) const AK: usize = 0;
pub(crate) const CREATION: usize = 1;
pub(crate) const QUOTE: usize = 2;
pub(crate) const REK: usize = 3;
pub(crate) const NONCES: usize = 4;

/// P-256's base point, and twice that: `x || y`.
const POINTS: [&str; 2] = [
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    "7cf27b188d034f7e8a52380304b51ac3c08969e277f21b35a60b48fc4766997807775510db8ed040293d9ac69f7430dbba7dade63ce982299e04b79d227873d1",
];

/// The node's attestation key, and another node's.
pub(crate) static KEYS: LazyLock<[AttestationKey; 2]> =
    LazyLock::new(|| [(); 2].map(|()| AttestationKey::generate().unwrap()));

pub(crate) fn point(at: usize) -> [u8; 64] {
    hex::decode(POINTS[at]).unwrap().try_into().unwrap()
}

/// The registers of an image: two of its code, and one more.
pub(crate) fn registers(of: u8) -> BTreeMap<u8, Vec<u8>> {
    [4, 8, 12].map(|index| (index, vec![of + index; 32])).into()
}

pub(crate) fn image(name: &str, of: u8) -> Image {
    Image {
        name: name.to_owned(),
        kind: EvidenceKind::Tpm,
        models: vec![MODEL.to_owned()],
        pcrs: Registers(registers(of)),
        rek: RekKind::P256,
    }
}

pub(crate) fn anchor(ak: &Public) -> Anchor {
    let key = Some(Bytes(ak.write()));
    Anchor { name: "lab's TPM".to_owned(), kind: EvidenceKind::Tpm, certificate: None, key }
}

/// One judgement: all that goes into it.
pub(crate) struct TpmCase {
    pub(crate) claims: Claims,
    /// Signs quote and creation.
    pub(crate) key: &'static AttestationKey,
    /// Changes the set at last.
    pub(crate) set: Option<Edit<EvidenceList>>,
    /// What it is judged by.
    pub(crate) by: Case,
}

impl TpmCase {
    /// All of it valid.
    pub(crate) fn valid() -> Self {
        let mut by = Case::valid();
        by.policy.images = vec![image("first", 10), image("second", 40)];
        let mut case = Self { claims: claims(0, &NONCE), key: &KEYS[0], set: None, by };
        case.anchor_ak();
        case
    }

    /// Policy and home know the attestation key as it is now.
    pub(crate) fn anchor_ak(&mut self) {
        let anchor = anchor(&self.claims.ak);
        self.by.policy.anchors = vec![anchor.clone()];
        self.by.pin.anchors = vec![PinnedAnchor { anchor, vendor: false }];
    }

    /// The first image lists what boots, and the node booted it.
    pub(crate) fn boots(&mut self) {
        self.claims.registers.insert(7, vec![17; 32]);
        self.by.policy.images[0].pcrs = Registers(self.claims.registers.clone());
        self.quote_again();
    }

    /// The home's pin says that a vendor stands behind the TPM, so that nothing needs a consent.
    pub(crate) fn of_a_vendor(&mut self) {
        self.by.pin.anchors[0].vendor = true;
        self.by.policy.simulated = false;
        self.by.simulated = false;
    }

    /// The quote is of the registers as they are now, and the node's key bound to them.
    pub(crate) fn quote_again(&mut self) {
        let (registers, quote) = (&self.claims.registers, &self.claims.quote);
        let banks = [(tpm::SHA256, tpm::select(registers))];
        self.claims.quote = Attest::quote(&quote.extra_data, &banks, &tpm::digest(registers));
        self.claims.rek.policy = tpm::pcr_policy(registers);
        self.certify_again();
    }

    /// The creation is that of the node's key as it is now.
    pub(crate) fn certify_again(&mut self) {
        let extra_data = &self.claims.creation.extra_data;
        self.claims.creation = Attest::creation(extra_data, &self.claims.rek.name());
    }

    pub(crate) fn evidence(&mut self) -> EvidenceList {
        let mut evidence = self.claims.sign(self.key).unwrap();
        if let Some(edit) = self.set.take() {
            edit(&mut evidence);
        }
        evidence
    }

    pub(crate) fn verdict(mut self) -> Result<VerifiedNode, Code> {
        let evidence = self.evidence();
        self.by.verdict_on(&evidence)
    }
}

/// What a node says: the one of the case, or another one with its own keys.
pub(crate) fn claims(node: usize, nonces: &[u8]) -> Claims {
    let bound = bound_nonce(nonces);
    Claims::new(KEYS[node].public(), &point(node), registers(10), nonces, &bound)
}

/// One change, and the code that it must lead to.
pub(crate) type Row = (&'static str, Code, fn(&mut TpmCase));

/// Tries every row; the unchanged case is the control.
pub(crate) fn try_all(rows: &[Row]) {
    TpmCase::valid().verdict().unwrap();
    for (what, code, change) in rows {
        let mut case = TpmCase::valid();
        change(&mut case);
        assert_eq!(case.verdict().map(|fit| fit.summary().clone()), Err(*code), "{what}");
    }
}

/// Changes the set after it was signed.
pub(crate) fn set(case: &mut TpmCase, edit: impl FnOnce(&mut EvidenceList) + 'static) {
    case.set = Some(Box::new(edit));
}
