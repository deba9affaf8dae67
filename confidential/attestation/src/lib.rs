//! Judges evidence of confidential nodes: the *verifier* of RFC 9334's roles.
//!
//! `docs/protocols/confidential.md` is the specification. Nothing here reads a clock, opens a socket or stores a file:
//! `now` is an argument, in Unix milliseconds.
//!
//! ```text
//! node ── EvidenceList ─┐
//! client's own Nonce ───┤
//! Effective policy ─────┼──▶ verify ──▶ FitToSeal, or Refused with a code
//! now ──────────────────┘    report ──▶ each check: passed, failed or not checked
//! ```
//!
//! Both take one way through the same checks. [`FitToSeal`] is what sealing takes, and nothing else makes one.
#![forbid(unsafe_code)]

mod age;
mod anchor;
mod cbor;
mod code;
mod evidence;
mod nitro;
mod nonce;
mod policy;
mod rek;
mod report;
mod tpm;
mod verify;

pub(crate) use age::ms;
pub use age::{MAX_AGE, SKEW};
pub use anchor::{AWS_NITRO_ROOT, Class, Fingerprint};
pub use code::{Code, Refused};
pub use evidence::{MAX_DOCUMENT, MAX_EVIDENCE, MAX_TPM_PIECE};
pub use nonce::{MAX_NONCES, Nonce, bound_nonce};
pub use policy::{Effective, Pin, PinnedAnchor, Seen};
pub use report::{Check, Outcome, Report};
pub use verify::{Asked, FitToSeal, Known, Summary, report, verify};
