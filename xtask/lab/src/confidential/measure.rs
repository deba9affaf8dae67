//! What a node's registers hold: the files that it runs, measured.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha384};

/// Length of a register, in bytes.
const LEN: usize = 48;

/// The register that held zeros before a file was measured into it: `SHA-384(0^48 || SHA-384(file))`, as
/// `ExtendPCR` of the Nitro Security Module extends one; lower-case hexadecimal.
///
/// # Errors
///
/// The file cannot be read.
pub(super) fn register(file: &Path) -> Result<String> {
    let mut digest = Sha384::new();
    let mut reader = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    let mut piece = vec![0; 1 << 20];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(len) => digest.update(&piece[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).with_context(|| file.display().to_string()),
        }
    }
    Ok(hex::encode(Sha384::new().chain_update([0; LEN]).chain_update(digest.finalize()).finalize()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

    use super::*;

    /// By `printf abc | sha384sum`, and `sha384sum` of 48 zeros and that.
    #[test]
    fn a_register_is_extended_with_the_hash_of_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let known = "93732e3733514a841c982cfa75ea76ab55fe011acb9cd980ef4523913c65be1b0998e04d77f8c174f81a82151619ca40";
        assert_eq!(register(file.path()).unwrap(), known);
        std::fs::write(file.path(), "abd").unwrap();
        assert_ne!(register(file.path()).unwrap(), known);
    }
}
