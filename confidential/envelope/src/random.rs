//! The system's random bytes.

use std::convert::Infallible;

use hpke::rand_core::{TryCryptoRng, TryRng};
use zeroize::Zeroizing;

/// Random bytes for a key or a nonce.
///
/// # Errors
///
/// The system has none.
pub fn bytes<const N: usize>() -> Result<Zeroizing<[u8; N]>, getrandom::Error> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes)?;
    Ok(bytes)
}

/// The random generator for HPKE, whose interface has no errors: the caller must check [`Self::failed`] afterwards.
#[derive(Debug, Default)]
pub struct SystemRandom {
    failed: bool,
}

impl SystemRandom {
    /// Whether some of the returned bytes were not random.
    #[must_use]
    pub const fn failed(&self) -> bool {
        self.failed
    }
}

impl TryRng for SystemRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        self.failed |= getrandom::fill(into).is_err();
        Ok(())
    }
}

impl TryCryptoRng for SystemRandom {}
