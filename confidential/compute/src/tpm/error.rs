//! Errors of a TPM.

use std::path::PathBuf;

use super::answer::{Code, ResponseError};

/// The TPM failed.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// It does not respond.
    #[error("the TPM {} does not respond: does it exist and work, and may this user open it?", .0.display())]
    Io(PathBuf, #[source] std::io::Error),
    /// It did not respond to the last command.
    #[error("the TPM did not respond to the last command")]
    Silent,
    /// It refused.
    #[error("the TPM refused {0}: {1}")]
    Refused(&'static str, Code),
    /// The response is malformed.
    #[error("the TPM's response to {0} is malformed")]
    Malformed(&'static str),
    /// A register has changed since the key was made.
    #[error(
        "a register of the TPM has changed since this node's key was made, so the key can no longer be used: check which \
         programs were started on this machine, then restart the machine"
    )]
    Changed,
    /// An object is lost.
    #[error("the TPM was restarted and has lost this node's key: a new key is made")]
    Lost,
    /// There is no attestation key.
    #[error(
        "the TPM has no key at ak = {0:#x}: make one with `maru-compute ak`, and add it to the policy"
    )]
    NoAk(u32),
    /// The key is not an attestation key.
    #[error(
        "the key at ak = {0:#x} is not an attestation key: it must be an RSA-2048 key of this TPM, restricted to signing"
    )]
    WrongAk(u32),
    /// The registers in the settings are invalid.
    #[error(
        "pcrs = {0:?} in confidential-compute.toml: list 1 to 24 registers, from 0 to 23, each once"
    )]
    Registers(Vec<u8>),
    /// The handle in the settings is invalid.
    #[error("ak = {0:#x} in confidential-compute.toml: set a handle from 0x81000000 to 0x817fffff")]
    Handle(u32),
    /// The command is too long.
    #[error("a command to the TPM is too long")]
    TooLong,
    /// There are no random bytes.
    #[error("this machine has no random bytes")]
    Random,
}

impl TpmError {
    pub(super) fn of(what: &'static str, bad: ResponseError) -> Self {
        match bad {
            ResponseError::Refused(code) => Self::Refused(what, code),
            ResponseError::Malformed => Self::Malformed(what),
        }
    }
}
