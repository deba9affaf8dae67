//! Why a TPM did not do what it was asked.

use std::path::PathBuf;

use super::answer::{Bad, Code};

/// A TPM did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// It is not there, broke off, or took too long.
    #[error("the TPM {} does not answer: is it there, may this user open it, and is it one that works?", .at.display())]
    Io {
        /// Where.
        at: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It did not answer a moment ago.
    #[error("the TPM did not answer a moment ago, and is left alone")]
    Silent,
    /// It refused.
    #[error("the TPM refused {what}: {code}")]
    Refused {
        /// What it was asked, in the specification's words.
        what: &'static str,
        /// Why.
        code: Code,
    },
    /// What it said is no answer.
    #[error("what the TPM said to {0} is no answer of its kind")]
    Malformed(&'static str),
    /// A register is another than when the key was made.
    #[error(
        "a register of the TPM changed after this node's key was made, so the key opens nothing more: look at what was \
         started on this machine since, then restart the machine"
    )]
    Changed,
    /// What was made in the TPM is there no more.
    #[error("the TPM was started anew, and this node's key is gone: a new one is made")]
    Lost,
    /// There is no attestation key.
    #[error(
        "the TPM has no key at ak = {0:#x}: make one with `maru-compute ak`, and put it into the policy"
    )]
    NoAk(u32),
    /// The attestation key is none.
    #[error(
        "the key at ak = {0:#x} is no attestation key: it must be of RSA-2048, restricted to sign, and of this TPM alone"
    )]
    WrongAk(u32),
    /// The registers in the settings cannot be quoted.
    #[error(
        "pcrs = {0:?} in confidential-compute.toml: name 1 to 24 registers, from 0 to 23, each once"
    )]
    Registers(Vec<u8>),
    /// The handle in the settings is none where a key can be.
    #[error(
        "ak = {0:#x} in confidential-compute.toml: name a handle from 0x81000000 to 0x817fffff"
    )]
    Handle(u32),
    /// More than a command can hold.
    #[error("a command to the TPM would be too long")]
    TooLong,
    /// There are no random bytes.
    #[error("this machine has no random bytes")]
    Random,
}

impl TpmError {
    pub(super) fn of(what: &'static str, bad: Bad) -> Self {
        match bad {
            Bad::Refused(code) => Self::Refused { what, code },
            Bad::Malformed => Self::Malformed(what),
        }
    }
}
