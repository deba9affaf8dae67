//! System calls with their results as `io::Result`; locks.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Turns -1 into the error that the kernel left.
pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Like [`check`] for calls that return a length.
pub(crate) fn check_len(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Tells all threads to stop.
pub(crate) struct Stop {
    event: OwnedFd,
    /// The same, readable without a system call.
    is_signalled: AtomicBool,
}

impl Stop {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: `fd` is open and nobody else owns it.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { event, is_signalled: AtomicBool::new(false) })
    }

    /// Signals the stop. The counter is never read, so it stays readable.
    pub(crate) fn signal(&self) {
        self.is_signalled.store(true, Ordering::Relaxed);
        let one = 1_u64.to_ne_bytes();
        // SAFETY: `one` is valid for its length.
        unsafe { libc::write(self.event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Whether it is time to stop, without a system call.
    pub(crate) fn is_signalled(&self) -> bool {
        self.is_signalled.load(Ordering::Relaxed)
    }

    /// Waits until one of `fds` is readable or the timeout is over. Returns which are readable; `None` after a stop.
    pub(crate) fn wait<const N: usize>(
        &self,
        fds: [Option<BorrowedFd<'_>>; N],
        timeout: Option<Duration>,
    ) -> Option<[bool; N]> {
        let raw = |fd: Option<BorrowedFd<'_>>| fd.map_or(-1, |fd| fd.as_raw_fd());
        let entry = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut entries = [const { libc::pollfd { fd: -1, events: 0, revents: 0 } }; 4];
        entries[0] = entry(self.event.as_raw_fd());
        for (slot, fd) in entries[1..].iter_mut().zip(fds) {
            *slot = entry(raw(fd));
        }
        let timeout =
            timeout.map_or(-1, |timeout| timeout.as_millis().try_into().unwrap_or(i32::MAX));
        // SAFETY: `entries` is valid for its length; a negative descriptor is skipped.
        unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, timeout) };
        if entries[0].revents != 0 {
            return None;
        }
        Some(std::array::from_fn(|at| entries.get(at + 1).is_some_and(|entry| entry.revents != 0)))
    }
}

/// A random number, not for secrets.
pub(crate) fn random_u32() -> u32 {
    let mut bytes = [0; 4];
    // SAFETY: `bytes` is valid for its length. A failure leaves zeros, which will do.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    u32::from_ne_bytes(bytes)
}

/// Random bytes, fit for secrets; `None` if the kernel has none.
pub(crate) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    // SAFETY: `bytes` is valid for its length.
    let len = check_len(unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) });
    (len.ok() == Some(N)).then_some(bytes)
}

/// Locks a mutex, poisoned or not: what the mutexes here guard is valid between statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
