//! Stands in for the Nitro Security Module where there is none: documents like its own, under a test root; and in tests for a
//! TPM ([`tpm`]).
//!
//! `maru-attester` answers NSM's calls on a UNIX socket, in place of `/dev/nsm`; tests make documents of their own. Who
//! trusts its root trusts its operator: the evidence is SIMULATED.
//!
//! ```text
//! connection  = { request }                      one after the other
//! request     = length u32 (big-endian) || CBOR  at most 4 KiB
//! response    = length u32 (big-endian) || CBOR  at most 12 KiB
//! ```
//!
//! The CBOR is that of `aws-nitro-enclaves-nsm-api` 0.5, the bounds are those of the device.
#![forbid(unsafe_code)]

mod authority;
mod document;
pub mod nsm;
pub mod serve;
pub mod tpm;

pub use authority::{Authority, Chain, Fault, Lifetime};
pub use document::{Claims, ES384, Signer, sign};
