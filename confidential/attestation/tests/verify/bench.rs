//! Valid evidence and everything that it is judged by, as values that a row of a table can change.

use std::{collections::BTreeMap, sync::LazyLock};

use attestation::{
    Challenge, Code, DocumentVersion, EffectivePolicy, Expectations, Nonce, Pin, PinnedAnchor,
    VerifiedNode, bound_nonce, report, verify,
};
use attester::{Authority, Chain, Claims, ES384, Lifetime, sign};
use ciborium::Value;
use common::wire::{Bytes, Fixed, Version};
use confidential_api::{
    NodeId,
    evidence::{EvidenceList, EvidencePiece, EvidenceType},
    policy::{Anchor, EvidenceKind, Image, Policy, Registers, RekKind},
    signed::Signed,
};
use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Unix milliseconds.
pub(crate) const NOW: u64 = 1_790_000_000_000;
pub(crate) const MODULE: &str = "i-0123456789abcdef0-enc0123456789abcdef";
pub(crate) const MODEL: &str = "smollm2";
/// What the client asked with.
pub(crate) const NONCE: [u8; 32] = [7; 32];

/// What takes long to make.
pub(crate) struct Lab {
    pub(crate) authority: Authority,
    pub(crate) stranger: Authority,
    pub(crate) chain: Chain,
    pub(crate) strangers_chain: Chain,
}

/// Signs the deployment's policies.
pub(crate) fn identity() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

pub(crate) fn lifetime() -> Lifetime {
    Lifetime::of_a_leaf(NOW / 1000)
}

pub(crate) static LAB: LazyLock<Lab> = LazyLock::new(|| {
    let (authority, stranger) = (Authority::generate().unwrap(), Authority::generate().unwrap());
    let chain = authority.chain(MODULE, lifetime()).unwrap();
    let strangers_chain = stranger.chain(MODULE, lifetime()).unwrap();
    Lab { authority, stranger, chain, strangers_chain }
});

/// The registers of an image.
pub(crate) fn registers(of: u8) -> BTreeMap<u8, Vec<u8>> {
    [0, 1, 2, 16].map(|index| (index, vec![of + index; 48])).into()
}

pub(crate) fn image(name: &str, of: u8) -> Image {
    Image {
        name: name.to_owned(),
        kind: EvidenceKind::Nitro,
        models: vec![MODEL.to_owned()],
        pcrs: Registers(registers(of)),
        rek: RekKind::XWing,
    }
}

pub(crate) fn anchor(authority: &Authority) -> Anchor {
    Anchor {
        name: "lab".to_owned(),
        kind: EvidenceKind::Nitro,
        certificate: Some(Bytes(authority.certificate().to_vec())),
        key: None,
    }
}

/// A key configuration of X-Wing.
pub(crate) fn key_config(of: u8) -> Vec<u8> {
    [&[0x64, 0x7a, 0, 1, 0, 1][..], &[of; 1216]].concat()
}

pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

pub(crate) fn piece(kind: EvidenceType, data: Vec<u8>) -> EvidencePiece {
    EvidencePiece { kind, data, signature: Vec::new() }
}

pub(crate) type Edit<T> = Box<dyn FnOnce(&mut T)>;

/// One judgement: all that goes into it.
pub(crate) struct Case {
    pub(crate) claims: Claims,
    pub(crate) protected: Vec<u8>,
    /// Whose key signs the document.
    pub(crate) key: &'static attester::Signer,
    pub(crate) nonces: Vec<u8>,
    pub(crate) key_config: Vec<u8>,
    /// Changes fields before they are signed.
    pub(crate) fields: Option<Edit<Vec<(Value, Value)>>>,
    /// Changes the payload's bytes before they are signed.
    pub(crate) payload: Option<Edit<Vec<u8>>>,
    /// Changes the set at last.
    pub(crate) set: Option<Edit<EvidenceList>>,

    pub(crate) policy: Policy,
    pub(crate) signer: SigningKey,
    pub(crate) pin: Pin,
    pub(crate) seen: Option<DocumentVersion>,

    pub(crate) asked: [u8; 32],
    pub(crate) model: &'static str,
    pub(crate) simulated: bool,
    pub(crate) now: u64,
}

impl Case {
    /// All of it valid.
    pub(crate) fn valid() -> Self {
        let chain = &LAB.chain;
        let key_config = key_config(1);
        let pcrs = registers(10).into_iter().map(|(index, value)| (u16::from(index), value));
        let claims = Claims {
            module_id: MODULE.to_owned(),
            timestamp: NOW,
            pcrs: pcrs.collect(),
            certificate: chain.certificate.clone(),
            cabundle: chain.bundle.clone(),
            public_key: None,
            user_data: Some(sha256(&key_config)),
            nonce: Some(bound_nonce(&NONCE).to_vec()),
        };
        let policy = Policy {
            version: Version,
            policy_id: "2026-09".to_owned(),
            epoch: 3,
            not_after: NOW + 1000,
            simulated: true,
            anchors: vec![anchor(&LAB.authority)],
            images: vec![image("first", 10), image("second", 40)],
        };
        let pinned = PinnedAnchor { anchor: anchor(&LAB.authority), vendor: false };
        let identity = Fixed(identity().verifying_key().to_bytes());
        Self {
            claims,
            protected: ES384.to_vec(),
            key: &chain.key,
            nonces: NONCE.to_vec(),
            key_config,
            fields: None,
            payload: None,
            set: None,
            policy,
            signer: self::identity(),
            pin: Pin { identity, anchors: vec![pinned], images: None, min_epoch: 0 },
            seen: None,
            asked: NONCE,
            model: MODEL,
            simulated: true,
            now: NOW,
        }
    }

    /// The document that these claims are signed as.
    pub(crate) fn document(&mut self) -> Vec<u8> {
        let mut fields = self.claims.fields();
        if let Some(edit) = self.fields.take() {
            edit(&mut fields);
        }
        let mut payload = Vec::new();
        ciborium::ser::into_writer(&Value::Map(fields), &mut payload).unwrap();
        if let Some(edit) = self.payload.take() {
            edit(&mut payload);
        }
        sign(&self.protected, &payload, self.key).unwrap()
    }

    pub(crate) fn evidence(&mut self) -> EvidenceList {
        let mut evidence = EvidenceList(vec![
            piece(EvidenceType::NITRO_DOCUMENT, self.document()),
            piece(EvidenceType::NONCE_SET, self.nonces.clone()),
            piece(EvidenceType::KEY_CONFIG, self.key_config.clone()),
        ]);
        if let Some(edit) = self.set.take() {
            edit(&mut evidence);
        }
        evidence
    }

    pub(crate) fn signed(&self) -> Signed<Policy> {
        Signed::sign(&self.policy, &self.signer, None).unwrap()
    }

    pub(crate) fn effective(&self) -> Result<EffectivePolicy, Code> {
        let effective =
            EffectivePolicy::new(self.pin.clone(), self.signed(), self.seen.as_ref(), self.now);
        effective.map_err(|refused| refused.code)
    }

    pub(crate) fn judge(&self, evidence: &EvidenceList) -> Result<VerifiedNode, Code> {
        let effective = self.effective()?;
        let nonce = Nonce::from_bytes(self.asked);
        let (node, model, simulated) = (node(), self.model, self.simulated);
        verify(evidence, Challenge { node, model, nonce, simulated }, &effective, self.now)
            .map_err(|refused| refused.code)
    }

    /// The verdict on this evidence; the report on it says the same, where there is a policy to judge by.
    pub(crate) fn verdict_on(&self, evidence: &EvidenceList) -> Result<VerifiedNode, Code> {
        let verdict = self.judge(evidence);
        if self.effective().is_ok() {
            let known = Expectations {
                model: Some(self.model),
                nonce: Some(Nonce::from_bytes(self.asked)),
                simulated: Some(self.simulated),
            };
            let report =
                report(evidence, &known, &self.signed(), Some(&self.pin), self.now).unwrap();
            let code = report.verdict().map_err(|refused| refused.code);
            assert_eq!(code, verdict.clone().map(drop), "{report:?}");
            assert_eq!(report.is_fit(), verdict.is_ok());
        }
        verdict
    }

    pub(crate) fn verdict(mut self) -> Result<VerifiedNode, Code> {
        let evidence = self.evidence();
        self.verdict_on(&evidence)
    }
}

pub(crate) fn node() -> NodeId {
    NodeId::new(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001)).unwrap()
}

/// One change, and the code that it must lead to.
pub(crate) type Row = (&'static str, Code, fn(&mut Case));

/// Tries every row; the unchanged case is the control.
pub(crate) fn try_all(rows: &[Row]) {
    Case::valid().verdict().unwrap();
    for (what, code, change) in rows {
        let mut case = Case::valid();
        change(&mut case);
        assert_eq!(case.verdict().map(|fit| fit.summary().clone()), Err(*code), "{what}");
    }
}
