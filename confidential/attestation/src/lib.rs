//! Verifies the evidence of confidential nodes: the *verifier* of RFC 9334.
//!
//! `docs/protocols/confidential.md` is the specification. Nothing here reads a clock, opens a socket or stores a file:
//! `now` is an argument, in Unix milliseconds.
//!
//! ```text
//! node ── EvidenceList ─┐
//! Challenge (nonce) ────┤
//! EffectivePolicy ──────┼──▶ verify ──▶ VerifiedNode, or Refused with a code
//! now ──────────────────┘    report ──▶ each check: passed, failed or not checked
//! ```
//!
//! Both make the same checks. Requests are sealed only to a [`VerifiedNode`], which only [`verify()`] makes.
#![forbid(unsafe_code)]

mod anchor;
mod cbor;
mod code;
mod evidence;
mod nitro;
mod nonce;
mod policy;
mod report;
mod tpm;
mod verify;

pub use anchor::{AWS_NITRO_ROOT, Class, Fingerprint};
pub use code::{Code, Refused};
pub use confidential_api::evidence::bound_nonce;
pub use evidence::{MAX_DOCUMENT, MAX_EVIDENCE, MAX_TPM_PIECE};
pub use nonce::{MAX_NONCES, Nonce};
pub use policy::{DocumentVersion, EffectivePolicy, Pin, PinnedAnchor};
pub use report::{Check, Outcome, Report};
pub use verify::{Challenge, Expectations, MAX_AGE, SKEW, Summary, VerifiedNode, report, verify};
