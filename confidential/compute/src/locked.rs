//! Memory for the private key: never swapped, in no core dump, wiped before it is given back.
#![allow(unsafe_code, reason = "a memory map of one page, which nobody else has")]

use std::{fmt, io, ptr::NonNull};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous, munmap};
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of a page, of which the secret takes the first.
const PAGE: usize = 4096;
/// Bytes of a secret.
const LEN: usize = 32;

/// 32 secret bytes in a page of their own.
pub(crate) struct Locked(NonNull<[u8; LEN]>);

// SAFETY: the page belongs to this value alone, and is not changed through a shared reference.
unsafe impl Send for Locked {}
// SAFETY: as above.
unsafe impl Sync for Locked {}

impl Locked {
    /// Puts a secret into a page. Where this user may lock no memory, the log says so.
    ///
    /// # Errors
    ///
    /// There is no memory.
    pub(crate) fn new(secret: &Zeroizing<[u8; LEN]>) -> io::Result<Self> {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: a new map at an address of the kernel's choice touches nothing that exists.
        let page = unsafe { mmap_anonymous(std::ptr::null_mut(), PAGE, access, flags) }?;
        let Some(place) = NonNull::new(page.cast::<[u8; LEN]>()) else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        let locked = Self(place);
        // SAFETY: the page is mapped, has this length and is used through `locked` alone.
        let kept = unsafe {
            mlock(page, PAGE)
                .and_then(|()| madvise(page, PAGE, Advice::LinuxDontDump))
                .and_then(|()| madvise(page, PAGE, Advice::LinuxWipeOnFork))
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "the key's memory is not locked: raise the memlock limit");
        }
        // SAFETY: the page is mapped, writable, aligned for bytes and longer than the secret.
        unsafe { place.as_ptr().write(**secret) };
        Ok(locked)
    }

    /// The secret.
    pub(crate) fn get(&self) -> &[u8; LEN] {
        // SAFETY: it was written when this value was made, and lives as long as it.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: nobody else refers to the page, and nobody does afterwards.
        unsafe {
            self.0.as_mut().zeroize();
            let _ = munmap(self.0.as_ptr().cast(), PAGE);
        }
    }
}

impl fmt::Debug for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_kept_and_not_shown() {
        let locked = Locked::new(&Zeroizing::new([7; LEN])).unwrap();
        assert_eq!((locked.get(), format!("{locked:?}").as_str()), (&[7; LEN], "[redacted]"));
    }
}
