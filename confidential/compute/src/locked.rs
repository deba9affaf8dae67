//! Memory for the private key: not swapped, not in core dumps, zeroized when freed.
#![allow(unsafe_code, reason = "a private memory map of one page")]

use std::{fmt, io, ptr::NonNull};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous, munmap};
use zeroize::{Zeroize as _, Zeroizing};

/// Length of a page, which begins with the secret.
const PAGE: usize = 4096;
/// Length of a secret in bytes.
const LEN: usize = 32;

/// 32 secret bytes in a page of their own.
pub(crate) struct Locked(NonNull<[u8; LEN]>);

// SAFETY: this value owns the page, which is not changed through a shared reference.
unsafe impl Send for Locked {}
// SAFETY: as above.
unsafe impl Sync for Locked {}

impl Locked {
    /// Copies a secret into a page. If the page cannot be locked, that is logged.
    pub(crate) fn new(secret: &Zeroizing<[u8; LEN]>) -> io::Result<Self> {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: a new map at an address that the kernel chooses affects no existing memory.
        let page = unsafe { mmap_anonymous(std::ptr::null_mut(), PAGE, access, flags) }?;
        let Some(place) = NonNull::new(page.cast::<[u8; LEN]>()) else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        let locked = Self(place);
        // Each of them is useful without the others.
        // SAFETY: the page is mapped, has this length and is used through `locked` alone.
        let kept = unsafe {
            [
                ("not locked: raise the memlock limit", mlock(page, PAGE)),
                ("in core dumps", madvise(page, PAGE, Advice::LinuxDontDump)),
                ("seen by child processes", madvise(page, PAGE, Advice::LinuxWipeOnFork)),
            ]
        };
        for (what, kept) in kept {
            if let Err(error) = kept {
                tracing::warn!(%error, "the key's memory is {what}");
            }
        }
        // SAFETY: the page is mapped, writable, aligned for bytes and longer than the secret.
        unsafe { place.as_ptr().write(**secret) };
        Ok(locked)
    }

    /// The secret.
    pub(crate) fn get(&self) -> &[u8; LEN] {
        // SAFETY: it was written when this value was made, and lives as long as this value.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: nothing else refers to the page, now or later.
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
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    /// The kernel's flags of the page (proc_pid_smaps(5)).
    fn flags(locked: &Locked) -> String {
        let start = format!("{:x}-", locked.0.as_ptr().addr());
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let (_, of_it) = maps.split_once(&start).unwrap();
        of_it.lines().find(|line| line.starts_with("VmFlags")).unwrap().to_owned()
    }

    #[test]
    fn a_page_that_cannot_be_locked_is_in_no_dump_all_the_same() {
        let secret = Zeroizing::new([7; LEN]);
        let has = |locked: &Locked, flag: &str| flags(locked).split(' ').any(|it| it == flag);
        let locked = Locked::new(&secret).unwrap();
        assert!(has(&locked, "dd") && has(&locked, "wf"), "{}", flags(&locked));

        // Whoever has CAP_IPC_LOCK may lock all the same.
        let before = getrlimit(Resource::Memlock);
        setrlimit(Resource::Memlock, Rlimit { current: Some(0), ..before }).unwrap();
        let not_locked = Locked::new(&secret).unwrap();
        setrlimit(Resource::Memlock, before).unwrap();
        assert!(has(&not_locked, "dd") && has(&not_locked, "wf"), "{}", flags(&not_locked));
    }

    #[test]
    fn a_secret_is_kept_and_not_shown() {
        let locked = Locked::new(&Zeroizing::new([7; LEN])).unwrap();
        assert_eq!((locked.get(), format!("{locked:?}").as_str()), (&[7; LEN], "[redacted]"));
    }
}
