//! What a node's registers hold: the files that it runs, measured.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use sha2::{Digest, Sha256, Sha384};

/// The hashes of a file.
#[derive(Clone, Debug)]
pub(super) struct Hashes {
    /// The hash that extends a TPM.
    pub(super) sha256: [u8; 32],
    /// As an enclave's registers hold it.
    pub(super) sha384: [u8; 48],
}

impl Hashes {
    /// Reads a file once.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub(super) fn of(file: &Path) -> Result<Self> {
        let (mut sha256, mut sha384) = (Sha256::new(), Sha384::new());
        let mut reader =
            File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
        let mut piece = vec![0; 1 << 20];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(len) => {
                    sha256.update(&piece[..len]);
                    sha384.update(&piece[..len]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).with_context(|| file.display().to_string()),
            }
        }
        Ok(Self { sha256: sha256.finalize().into(), sha384: sha384.finalize().into() })
    }
}

/// A register that held zeros before these hashes were measured into it, one after the other, each
/// `H(register || hash)`: `ExtendPCR` of the Nitro Security Module (SHA-384), `PCR_Extend` of a TPM (SHA-256); lower-case
/// hexadecimal.
pub(super) fn register<D: Digest>(hashes: &[&[u8]]) -> String {
    let mut register = vec![0; <D as Digest>::output_size()];
    for hash in hashes {
        register = D::new().chain_update(&register).chain_update(hash).finalize().to_vec();
    }
    hex::encode(register)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

    use super::*;

    /// By `printf abc | sha384sum`, and `sha384sum` of 48 zeros and that; with `sha256sum` and 32 zeros likewise.
    #[test]
    fn a_register_is_extended_with_the_hash_of_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let hashes = Hashes::of(file.path()).unwrap();
        let known = "93732e3733514a841c982cfa75ea76ab55fe011acb9cd980ef4523913c65be1b0998e04d77f8c174f81a82151619ca40";
        assert_eq!(register::<Sha384>(&[&hashes.sha384]), known);
        let known = "589f9ffed4c477966bfb8d41f37895b08c69047df8f911d6f3b57fbe08faee8d";
        assert_eq!(register::<Sha256>(&[&hashes.sha256]), known);
        let twice = register::<Sha256>(&[&hashes.sha256, &hashes.sha256]);
        assert_ne!(twice, known);
        std::fs::write(file.path(), "abd").unwrap();
        assert_ne!(register::<Sha256>(&[&Hashes::of(file.path()).unwrap().sha256]), known);
    }
}
