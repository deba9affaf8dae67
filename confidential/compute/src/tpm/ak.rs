//! The attestation key: made once for each machine, and an anchor of policies.

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
