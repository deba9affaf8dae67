//! A TPM 2.0 (TCG, *TPM 2.0 Library*): it holds the key that requests are sealed to, bound to what its registers held when
//! the key was made, and signs evidence of both.
//!
//! ```text
//! generate   PCR_Read, CreatePrimary
//! attest     PCR_Read, Quote, CertifyCreation
//! open       StartAuthSession, PolicyPCR, ECDH_ZGen
//! ```
//!
//! A TPM works at one command at a time, so each of these waits for the one before. At most as many wait as there are workers,
//! and one for evidence. When one finds the TPM silent, those behind it fail at once.

mod ak;
pub mod answer;
mod command;
mod public;
mod rek;
mod stream;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use confidential_api::policy::Registers;

use crate::holder::{Holder, HolderError, Rek};
use answer::{Bad, Code};
use command::{Commands, Condition};
use stream::Stream;

/// Registers of a TPM on a PC (*PC Client Platform TPM Profile*, section 4.6).
const REGISTERS: u8 = 24;
/// Bytes of a register of the bank of SHA-256.
const REGISTER_LEN: usize = 32;

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

/// A TPM, as a node uses it.
#[derive(Clone, Debug)]
pub struct Tpm(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ak: u32,
    registers: Vec<u8>,
    condition: Arc<Condition>,
    commands: Mutex<Commands>,
}

impl Tpm {
    /// The TPM at a path, a device or a stand-in's socket, with an attestation key at this handle; `registers` are those
    /// that it quotes. Nothing is asked of it yet.
    ///
    /// # Errors
    ///
    /// [`TpmError::Registers`] or [`TpmError::Handle`].
    pub fn new(at: &Path, ak: u32, registers: &[u8]) -> Result<Self, TpmError> {
        let mut sorted = registers.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let fit = !sorted.is_empty() && sorted.iter().all(|register| *register < REGISTERS);
        if !fit || sorted.len() != registers.len() {
            return Err(TpmError::Registers(registers.to_vec()));
        }
        // Handles that the owner of a machine keeps keys at (*Registry of Reserved TPM 2.0 Handles*).
        if !(0x8100_0000..=0x817f_ffff).contains(&ak) {
            return Err(TpmError::Handle(ak));
        }
        Ok(Self::over(Stream::new(at.to_owned()), ak, sorted))
    }

    fn over(stream: Stream, ak: u32, registers: Vec<u8>) -> Self {
        let commands = Commands::new(stream);
        let condition = commands.condition();
        Self(Arc::new(Shared { ak, registers, condition, commands: Mutex::new(commands) }))
    }

    /// Waits until it is this caller's.
    fn commands(&self) -> MutexGuard<'_, Commands> {
        self.0.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its registers hold.
    fn registers(&self, commands: &mut Commands) -> Result<Registers, TpmError> {
        commands.registers(&self.0.registers)
    }
}

impl Holder for Tpm {
    fn generate(&self) -> Result<Arc<dyn Rek>, HolderError> {
        Ok(Arc::new(rek::TpmRek::generate(self.clone())?))
    }

    fn is_silent(&self) -> bool {
        self.0.condition.is_silent()
    }
}

impl TpmError {
    fn of(what: &'static str, bad: Bad) -> Self {
        match bad {
            Bad::Refused(code) => Self::Refused { what, code },
            Bad::Malformed => Self::Malformed(what),
        }
    }
}

#[cfg(test)]
mod tests;
