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
mod error;
mod public;
mod rek;
mod stream;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use confidential_api::policy::Registers;

use command::{Commands, Condition};
pub use error::TpmError;
use stream::Stream;

/// Registers of a TPM on a PC (*PC Client Platform TPM Profile*, section 4.6).
const REGISTERS: u8 = 24;

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

#[cfg(test)]
mod tests;
