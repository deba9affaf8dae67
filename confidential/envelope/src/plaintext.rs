//! Opened messages.

use std::{fmt, ops::Deref};

use zeroize::Zeroizing;

/// An opened message: zeroized on drop and on reallocation, and never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    /// Appends bytes. If it must reallocate, the old memory is zeroized.
    pub fn append(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            self.reserve(needed.next_power_of_two());
        }
        self.0.extend_from_slice(bytes);
    }

    /// Reserves capacity for so many bytes in all.
    pub fn reserve(&mut self, all: usize) {
        if all > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(all));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
    }
}

impl From<Vec<u8>> for Plaintext {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl From<Zeroizing<Vec<u8>>> for Plaintext {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl From<Plaintext> for Zeroizing<Vec<u8>> {
    fn from(plaintext: Plaintext) -> Self {
        plaintext.0
    }
}

impl Deref for Plaintext {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
