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
    PolicyExpired "policy-expired" "the policy's time is over: is this machine's clock right? Else its deployment must publish a new one",
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
    /// A piece that is not the strict form that its maker writes.
    Malformed "malformed" "the evidence is not well-formed",
    /// A TPM's key under another key's name.
    KeyName "key-name" "a key of the TPM does not have the name that stands beside it",
    /// What is signed does not begin with TPM_GENERATED_VALUE, which a TPM signs under no other structure.
    NotGenerated "not-generated" "what is signed was not made inside a TPM",
    /// Nobody signed the evidence.
    Unsigned "unsigned" "nobody signed the evidence",
    /// A signature algorithm other than ES384, or of a TPM RSASSA of 2,048 bits with SHA-256.
    Algorithm "algorithm" "the evidence is signed with another algorithm than its kind has",
    /// A document of something that is no enclave.
    WrongKind "wrong-kind" "the document is not one of an enclave",
    /// What a TPM signed is no quote, or no creation, where there must be one.
    AttestType "attest-type" "what the TPM signed is not a quote and a creation of a key",
    /// The chain begins at no known root, or the TPM's attestation key is unknown.
    UnknownRoot "unknown-root" "neither AWS nor an anchor that policy and home name stands behind the evidence",
    /// A certificate of the chain's time is over.
    LeafExpired "leaf-expired" "a certificate of the document has expired; is this machine's clock right?",
    /// A certificate of the chain's time has not begun.
    NotYetValid "not-yet-valid" "a certificate of the document is not valid yet; is this machine's clock right?",
    /// A certificate that is no authority signed another one.
    IntermediateNotCa "intermediate-not-ca" "a certificate that may not do so signed another one",
    /// The certificates are no chain to the root.
    Chain "chain" "the document's certificates do not lead to their root",
    /// A signature is not the leaf's, or not the attestation key's.
    Signature "signature" "a signature of the evidence is wrong",
    /// The attestation key may leave its TPM, or sign what the TPM did not make.
    AkAttributes "ak-attributes" "the TPM's attestation key may sign other things than its TPM's own, or may leave it",
    /// The document is older than [`crate::MAX_AGE`].
    TooOld "too-old" "the document is too old; is this machine's clock right?",
    /// The document is further in the future than [`crate::SKEW`].
    FromTheFuture "from-the-future" "the document is from the future; is this machine's clock right?",
    /// Quote and creation are of different times between two resets.
    CountsDiffer "counts-differ" "the TPM was reset between the pieces of its evidence",
    /// The registers beside a quote are not the ones that were quoted: others, more, fewer, or of another bank.
    RegistersOther "registers-other" "the registers beside the quote are not the ones that it is of",
    /// Registers 0 to 2 are zero.
    DebugEnclave "debug-enclave" "the enclave runs in debug mode, or nothing was measured",
    /// Register 8 or 12 of a TPM is as it was before anything was measured.
    NotMeasured "not-measured" "the program or its model was not measured",
    /// Register 4 or 7 of a vendor's TPM is as it was before the machine booted, or the image does not list it.
    BootNotMeasured "boot-not-measured" "what the machine booted was not measured, or the image does not list it: registers 4 and 7",
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
    /// The node's key is not the one that the evidence names.
    KeyNotBound "key-not-bound" "the node's key is not the one that its evidence names",
    /// The TPM would let the node's key be used otherwise, or leave.
    RekAttributes "rek-attributes" "the TPM does not keep the node's key to itself and to decrypting",
    /// The TPM lets the node's key be used under other registers.
    RekPolicy "rek-policy" "the node's key can be used while other programs run",
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
    /// The first check that failed, in the order of the [`crate::Report`].
    pub code: Code,
}

impl From<Code> for Refused {
    fn from(code: Code) -> Self {
        Self { code }
    }
}
