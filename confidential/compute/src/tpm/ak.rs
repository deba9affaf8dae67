//! The attestation key: made once for each machine, and named by the policies of whoever is responsible for it.

use common::wire::Bytes;
use confidential_api::policy::{Anchor, EvidenceKind};
use tpm2_protocol::data::TpmRh;

use super::{Tpm, command::Commands, error::TpmError, public};

impl Tpm {
    /// The attestation key's public area.
    pub(super) fn ak(&self, commands: &mut Commands) -> Result<Vec<u8>, TpmError> {
        self.find_ak(commands)?.ok_or(TpmError::NoAk(self.0.ak))
    }

    fn find_ak(&self, commands: &mut Commands) -> Result<Option<Vec<u8>>, TpmError> {
        match commands.read_public(self.0.ak)? {
            Some((public, bytes)) if public::is_ak(&public) => Ok(Some(bytes)),
            Some(_) => Err(TpmError::WrongAk(self.0.ak)),
            None => Ok(None),
        }
    }

    /// Makes the attestation key where there is none, and keeps it over restarts: a policy's anchor of this name.
    ///
    /// It is made of the endorsement hierarchy's seed, so it is the same one again after it was lost. Whoever owns the
    /// machine must not have set a password for that hierarchy or their own.
    ///
    /// # Errors
    ///
    /// [`TpmError::WrongAk`] if there is another key at its handle, which is left as it is; else what the TPM says.
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
