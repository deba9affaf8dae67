//! What became of each check.

use confidential_api::policy::EvidenceKind;
use serde::{Serialize, Serializer};

use crate::{Code, Refused};

/// A check. A [`Report`] has those of one kind of node, in the order in which the first that fails is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The pinned identity signed the policy.
    PolicySignature,
    /// No newer policy was seen.
    PolicyEpoch,
    /// The policy's time has begun, and is not over.
    PolicyTime,
    /// The pieces are the ones of one kind of node, each once.
    Set,
    /// Each piece is the strict form that its maker writes.
    Form,
    /// Signed, with the one algorithm.
    Algorithm,
    /// An enclave made it; or what a TPM signed is a quote and a creation.
    Kind,
    /// Policy and home know what it ends in.
    Anchor,
    /// The certificates lead there, and their time is now.
    Chain,
    /// The document is signed by its leaf, what a TPM made by its attestation key.
    Signature,
    /// The TPM keeps its attestation key to what attests.
    AttestationKey,
    /// Made now.
    Age,
    /// The TPM was not reset between quote and creation.
    Boot,
    /// The registers are the quoted ones.
    Registers,
    /// Something was measured, and nobody can look inside.
    Measured,
    /// What was measured is one image, whole, that policy and home name.
    Image,
    /// The image serves the model that was asked for.
    Model,
    /// It answers this question.
    Nonce,
    /// The key is well-formed, and the node's own.
    Key,
    /// The TPM keeps the key, and to decrypting.
    KeyAttributes,
    /// The TPM lets it be used under these registers alone.
    KeyPolicy,
    /// The key is of the kind that the image has.
    KeyKind,
    /// Simulated evidence is taken by policy and home.
    Consent,
}

impl Check {
    /// Those of a policy alone.
    pub(crate) const POLICY: &[Self] =
        &[Self::PolicySignature, Self::PolicyEpoch, Self::PolicyTime];

    /// Those of an enclave's evidence.
    pub(crate) const NITRO: &[Self] = &[
        Self::PolicySignature,
        Self::PolicyEpoch,
        Self::PolicyTime,
        Self::Set,
        Self::Form,
        Self::Algorithm,
        Self::Kind,
        Self::Anchor,
        Self::Chain,
        Self::Signature,
        Self::Age,
        Self::Measured,
        Self::Image,
        Self::Model,
        Self::Nonce,
        Self::Key,
        Self::KeyKind,
        Self::Consent,
    ];

    /// Those of a TPM's evidence. That it is fresh comes before what it says: a TPM has no other age.
    pub(crate) const TPM: &[Self] = &[
        Self::PolicySignature,
        Self::PolicyEpoch,
        Self::PolicyTime,
        Self::Set,
        Self::Form,
        Self::Algorithm,
        Self::Kind,
        Self::Anchor,
        Self::AttestationKey,
        Self::Signature,
        Self::Nonce,
        Self::Boot,
        Self::Registers,
        Self::Measured,
        Self::Image,
        Self::Model,
        Self::Key,
        Self::KeyAttributes,
        Self::KeyPolicy,
        Self::KeyKind,
        Self::Consent,
    ];

    /// Those of evidence of this kind.
    pub(crate) const fn of(kind: EvidenceKind) -> &'static [Self] {
        match kind {
            EvidenceKind::Nitro => Self::NITRO,
            EvidenceKind::Tpm => Self::TPM,
        }
    }

    /// One sentence for people: what holds if it passed.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::PolicySignature => "the pinned identity signed the policy",
            Self::PolicyEpoch => "no newer policy was seen",
            Self::PolicyTime => "the policy's time is now",
            Self::Set => "all pieces are there, each once",
            Self::Form => "each piece is well-formed",
            Self::Algorithm => "it is signed with the algorithm of its kind",
            Self::Kind => "it is an enclave's document, or a TPM's quote and creation",
            Self::Anchor => "policy and home know its root",
            Self::Chain => "its certificates lead to the root, and their time is now",
            Self::Signature => "the signature is right",
            Self::AttestationKey => "the TPM keeps its attestation key to attesting",
            Self::Age => "it was made now",
            Self::Boot => "the TPM was not reset between its pieces",
            Self::Registers => "the registers are the quoted ones",
            Self::Measured => {
                "the program was measured, and not in debug mode; of a TPM it is worth what the listed boot registers make it"
            }
            Self::Image => "the registers are of one image, whole",
            Self::Model => "the image serves the model",
            Self::Nonce => "it answers this question",
            Self::Key => "the node's key is bound to it",
            Self::KeyAttributes => "the TPM keeps the node's key, and to decrypting",
            Self::KeyPolicy => "the node's key works under these registers alone",
            Self::KeyKind => "the key is of the kind that the image has",
            Self::Consent => "evidence of this class is taken",
        }
    }
}

/// What became of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not.
    Failed(Code),
    /// What it needs is not known, or a check that it stands on failed.
    NotChecked,
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::NotChecked => "not checked",
        })
    }
}

/// What became of each check of one kind of evidence, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    outcomes: Vec<(Check, Outcome)>,
}

impl Report {
    /// Nothing was checked yet.
    pub(crate) fn new(checks: &[Check]) -> Self {
        Self { outcomes: checks.iter().map(|check| (*check, Outcome::NotChecked)).collect() }
    }

    /// Each check and what became of it.
    pub fn iter(&self) -> impl Iterator<Item = (Check, Outcome)> + '_ {
        self.outcomes.iter().copied()
    }

    /// What became of one; one that this kind of evidence does not have was not checked.
    #[must_use]
    pub fn outcome(&self, check: Check) -> Outcome {
        let found = self.outcomes.iter().find(|(known, _)| *known == check);
        found.map_or(Outcome::NotChecked, |(_, outcome)| *outcome)
    }

    /// Whether every check passed.
    #[must_use]
    pub fn is_fit(&self) -> bool {
        self.outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Passed)
    }

    /// The first check that failed; [`Code::Incomplete`] if none did and not all passed.
    ///
    /// # Errors
    ///
    /// [`Refused`] unless every check passed.
    pub fn verdict(&self) -> Result<(), Refused> {
        let failed = self.outcomes.iter().find_map(|(_, outcome)| match outcome {
            Outcome::Failed(code) => Some(*code),
            Outcome::Passed | Outcome::NotChecked => None,
        });
        match failed {
            Some(code) => Err(code.into()),
            None if self.is_fit() => Ok(()),
            None => Err(Code::Incomplete.into()),
        }
    }

    /// Writes down what became of one; `None` if it failed.
    pub(crate) fn note<T>(&mut self, check: Check, result: Result<T, Code>) -> Option<T> {
        let (outcome, value) = match result {
            Ok(value) => (Outcome::Passed, Some(value)),
            Err(code) => (Outcome::Failed(code), None),
        };
        for (known, place) in &mut self.outcomes {
            if *known == check {
                *place = outcome;
            }
        }
        value
    }
}
