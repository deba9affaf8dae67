//! A TPM 2.0 (TCG, *TPM 2.0 Library*): it holds the request encryption key, which is bound to the values of registers, and
//! signs evidence of both.
//!
//! ```text
//! generate   PCR_Read, CreatePrimary
//! attest     PCR_Read, Quote, CertifyCreation
//! open       StartAuthSession, PolicyPCR, ECDH_ZGen
//! ```
//!
//! A TPM executes one command at a time, so these operations wait for each other. At most as many wait as there are workers,
//! and one for evidence. If the TPM does not respond to one, the next ones fail at once.

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

use common::wire::Bytes;
use confidential_api::policy::{Anchor, EvidenceKind, Registers};
use tpm2_protocol::data::TpmRh;

use command::{Commands, TpmStatus};
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
    condition: Arc<TpmStatus>,
    commands: Mutex<Commands>,
}

impl Tpm {
    /// The TPM at a path (a device or an emulator's socket) with an attestation key at this handle, for quotes of these
    /// registers. It is not accessed yet.
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
        // The handles for the owner's persistent keys (*Registry of Reserved TPM 2.0 Handles*).
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

    /// Waits for exclusive access.
    fn commands(&self) -> MutexGuard<'_, Commands> {
        self.0.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The values of its registers.
    fn registers(&self, commands: &mut Commands) -> Result<Registers, TpmError> {
        commands.registers(&self.0.registers)
    }

    /// The attestation key's public area.
    fn ak(&self, commands: &mut Commands) -> Result<Vec<u8>, TpmError> {
        self.find_ak(commands)?.ok_or(TpmError::NoAk(self.0.ak))
    }

    fn find_ak(&self, commands: &mut Commands) -> Result<Option<Vec<u8>>, TpmError> {
        match commands.read_public(self.0.ak)? {
            Some((public, bytes)) if public::is_ak(&public) => Ok(Some(bytes)),
            Some(_) => Err(TpmError::WrongAk(self.0.ak)),
            None => Ok(None),
        }
    }

    /// Makes the persistent attestation key if there is none, and returns it as an anchor of this name.
    ///
    /// It is derived from the endorsement hierarchy's seed, so a lost key can be made again. The endorsement and owner
    /// hierarchies must not have passwords.
    ///
    /// # Errors
    ///
    /// [`TpmError::WrongAk`] if there is another key at its handle, which is not changed; or an error of the TPM.
    pub fn provision(&self, name: &str) -> Result<Anchor, TpmError> {
        let mut commands = self.commands();
        let ak = match self.find_ak(&mut commands)? {
            Some(ak) => ak,
            None => {
                let made = commands.create(TpmRh::Endorsement, public::ak())?;
                let kept = commands.keep(made.key, self.0.ak);
                commands.flush(made.key);
                kept?;
                self.ak(&mut commands)?
            }
        };
        Ok(Anchor {
            name: name.to_owned(),
            kind: EvidenceKind::Tpm,
            certificate: None,
            key: Some(Bytes(ak)),
        })
    }
}

#[cfg(test)]
mod tests;
