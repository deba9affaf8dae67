//! The outcome of each check.

use confidential_api::policy::EvidenceKind;
use serde::{Serialize, Serializer};

use crate::{Code, Refused};

/// Declares each check with the sentence that says what holds if it passed.
macro_rules! checks {
    ($($name:ident $sentence:literal,)+) => {
        /// A check. A [`Report`] has those of one kind of evidence, in the order in which failures are reported.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Check {
            $(#[doc = $sentence] $name,)+
        }

        impl Check {
            /// One sentence for people: what holds if the check passed.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$name => $sentence,)+
                }
            }
        }
    };
}

checks! {
    PolicySignature "the policy is signed by the pinned identity",
    PolicyEpoch "no newer policy was seen",
    PolicyTime "the policy has not expired",
    Set "all pieces are present, each once",
    Form "each piece is well-formed",
    Algorithm "the signature algorithm is the one of this kind of evidence",
    Kind "it is an enclave's document, or a TPM's quote and creation",
    Anchor "policy and home name the root",
    Chain "the certificates form a chain to the root and are valid now",
    Signature "the signatures are right",
    AttestationKey "the TPM's attestation key only signs attestations",
    Age "the document was made within the last minutes",
    Boot "the TPM was not reset between quote and creation",
    Registers "the registers are the quoted ones",
    Measured "the program was measured, and is not in debug mode; with a TPM this depends on the boot registers that the image lists",
    Image "the registers match one image completely",
    Model "the image serves the model",
    Nonce "the evidence has our nonce",
    Key "the evidence names the node's key",
    KeyAttributes "the TPM keeps the node's key, and lets it decrypt only",
    KeyPolicy "the node's key is usable only with these register values",
    KeyKind "the key is of the kind that the image has",
    Consent "evidence of this class is allowed",
}

impl Check {
    /// The checks of a policy.
    pub(crate) const POLICY: &[Self] =
        &[Self::PolicySignature, Self::PolicyEpoch, Self::PolicyTime];

    /// The checks of an enclave's evidence.
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

    /// The checks of a TPM's evidence. The nonce comes before the content: a TPM has no clock to check instead.
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

    /// The checks of this kind of evidence.
    pub(crate) const fn of(kind: EvidenceKind) -> &'static [Self] {
        match kind {
            EvidenceKind::Nitro => Self::NITRO,
            EvidenceKind::Tpm => Self::TPM,
        }
    }
}

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The check passed.
    Passed,
    /// The check failed.
    Failed(Code),
    /// The check needs something that is not known, or depends on a check that failed.
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

/// The outcomes of the checks of one kind of evidence, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    outcomes: Vec<(Check, Outcome)>,
}

impl Report {
    /// A report in which nothing is checked yet.
    pub(crate) fn new(checks: &[Check]) -> Self {
        Self { outcomes: checks.iter().map(|check| (*check, Outcome::NotChecked)).collect() }
    }

    /// Each check with its outcome.
    pub fn iter(&self) -> impl Iterator<Item = (Check, Outcome)> + '_ {
        self.outcomes.iter().copied()
    }

    /// The outcome of a check; [`Outcome::NotChecked`] if this kind of evidence does not have it.
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

    /// Records the outcome of a check; `None` if it failed.
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
