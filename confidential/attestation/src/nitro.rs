//! Documents of the Nitro Security Module: a COSE_Sign1 (RFC 9052) by a certificate below AWS's root.
//!
//! Their content is described in `docs/attestation_process.md` of `aws-nitro-enclaves-nsm-api`.

mod chain;
mod document;

pub(crate) use chain::{check_chain, check_signature};
pub(crate) use document::{Document, REGISTERS_OF_CODE, Signed};
