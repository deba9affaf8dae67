//! Why evidence or a policy is refused: one stable word for each check that can fail.

use std::fmt;

/// Names, words and sentences in one place each.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident $word:literal $sentence:literal,)+) => {
        /// What is wrong. The words are stable: programs and people compare them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The stable word: kebab-case.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }

            /// One sentence for people.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$name => $sentence,)+
                }
            }
        }
    };
}

codes! {
    /// The policy is no document of the kind that is expected.
    PolicyMalformed "policy-malformed" "the policy is not one that this program can read",
    /// The deployment's pinned identity did not sign the policy.
    PolicySignature "policy-signature" "the policy is not signed by the identity that this home pinned",
    /// The policy's time is over.
    PolicyExpired "policy-expired" "the policy's time is over: its deployment must publish a new one",
    /// An older policy than was seen, or than the pin names, or another one of the same epoch.
    PolicyRolledBack "policy-rolled-back" "an older policy than the one that was seen already is published again",
    /// The image or the anchor is in the published policy and not in the home's own pin.
    PolicyWiderThanPin "policy-wider-than-pin" "the published policy takes this node, the home's own pin does not",
    /// More bytes than evidence may have.
    Oversize "oversize" "the evidence is larger than it may be",
    /// A piece of the set is not there.
    PieceMissing "piece-missing" "a piece of the evidence is missing",
    /// A piece of the set is there twice.
    PieceDoubled "piece-doubled" "a piece of the evidence is there twice",
    /// A piece that is of no set, or of another one.
    PieceForeign "piece-foreign" "a piece of the evidence does not belong into this set",
    /// A document that is not the strict form that its maker writes.
    Malformed "malformed" "the evidence is not well-formed",
    /// Nobody signed the document.
    Unsigned "unsigned" "nobody signed the document",
    /// A signature algorithm other than ES384.
    Algorithm "algorithm" "the document is signed with another algorithm than ES384",
    /// A document of something that is no enclave.
    WrongKind "wrong-kind" "the document is not one of an enclave",
    /// The chain begins at no known root.
    UnknownRoot "unknown-root" "neither AWS nor an anchor that policy and home name stands behind the document",
    /// A certificate of the chain's time is over.
    LeafExpired "leaf-expired" "a certificate of the document has expired; is this machine's clock right?",
    /// A certificate of the chain's time has not begun.
    NotYetValid "not-yet-valid" "a certificate of the document is not valid yet; is this machine's clock right?",
    /// A certificate that is no authority signed another one.
    IntermediateNotCa "intermediate-not-ca" "a certificate that may not do so signed another one",
    /// The certificates are no chain to the root.
    Chain "chain" "the document's certificates do not lead to their root",
    /// The document's signature is not its leaf's.
    Signature "signature" "the document's signature is wrong",
    /// The document is older than [`crate::MAX_AGE`].
    TooOld "too-old" "the document is too old; is this machine's clock right?",
    /// The document is further in the future than [`crate::SKEW`].
    FromTheFuture "from-the-future" "the document is from the future; is this machine's clock right?",
    /// Registers 0 to 2 are zero.
    DebugEnclave "debug-enclave" "the enclave runs in debug mode, or nothing was measured",
    /// The registers are of no image.
    ImageUnknown "image-unknown" "what runs there is no image that policy and home name",
    /// Each register is of some image, and they are of no one image.
    ImageMixed "image-mixed" "the registers are of several images, and whole of none",
    /// The image does not serve the model that was asked for.
    ModelNotServed "model-not-served" "the image does not serve this model",
    /// Nobody's nonce is in the evidence.
    NonceAbsent "nonce-absent" "the evidence was not made for anybody's question: it has no nonce",
    /// The nonce is not the one that was asked with.
    NonceOther "nonce-other" "the evidence was made for another question: its nonce is not ours",
    /// The node's key is not the one that the document names.
    KeyNotBound "key-not-bound" "the node's key is not the one that its evidence names",
    /// The node's key is not of the kind that its image has.
    RekKind "rek-kind" "the node's key is not of the kind that its image has",
    /// The published policy takes no simulated evidence.
    SimulatedByPolicy "simulated-not-in-policy" "the evidence is simulated, and the policy does not take such",
    /// This home takes no simulated evidence.
    SimulatedByHome "simulated-not-allowed" "the evidence is simulated, and this home does not take such",
    /// Not every check could be made.
    Incomplete "incomplete" "not every check could be made",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Evidence or a policy is refused. Nothing may be sealed to that node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .code.sentence())]
pub struct Refused {
    /// The first check that failed, in the order of [`crate::Check`].
    pub code: Code,
}

impl From<Code> for Refused {
    fn from(code: Code) -> Self {
        Self { code }
    }
}
