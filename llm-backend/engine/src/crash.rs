//! Prints an error message when llama.cpp crashes the process.
//!
//! llama.cpp aborts if a model has an unexpected content, an uncaught C++ exception aborts, and a bad address or a
//! division by zero raises a signal. The process cannot continue after any of them. The message is prepared at the
//! start; the handler only writes it and ends the process, which a signal handler may do (signal-safety(7)).
#![allow(unsafe_code, reason = "signal handlers are set by a system call")]

use std::{
    env, mem, ptr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use chassis::failure::{Failure, FailureOutput};

use crate::Error;

/// The signals of a crash, sent by the kernel or by `abort`.
const SIGNALS: [libc::c_int; 5] =
    [libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGSEGV];

static MESSAGE: OnceLock<FailureOutput> = OnceLock::new();
static IS_WRITTEN: AtomicBool = AtomicBool::new(false);

/// Installs the handler, which writes this error. Call it before other threads are started.
pub(crate) fn install(error: &Error) {
    // If llama.cpp finds a debugger, it prints a backtrace, which may contain text of people.
    // SAFETY: there is no other thread that could read or change the environment.
    #[allow(clippy::disallowed_methods, reason = "the process has only one thread yet")]
    unsafe {
        env::set_var("GGML_NO_BACKTRACE", "1");
    }
    let _ = MESSAGE.set(Failure::of(error).output("maru-llm"));
    // SAFETY: all zeros are a valid `sigaction`; `handler` has the signature of a handler without SA_SIGINFO, and lives
    // as long as the process. SA_ONSTACK uses the stack that Rust gives each of its threads, in case theirs overflowed.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler as extern "C" fn(libc::c_int) as libc::sighandler_t;
        action.sa_flags = libc::SA_ONSTACK;
        for signal in SIGNALS {
            // It does not fail for any of these signals.
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
    }
}

/// Writes the message and ends the process. It allocates nothing and takes no lock.
extern "C" fn handler(_: libc::c_int) {
    while IS_WRITTEN.swap(true, Ordering::SeqCst) {
        // Another thread is writing the message and will end the process.
        // SAFETY: it takes no argument.
        unsafe { libc::pause() };
    }
    if let Some(message) = MESSAGE.get() {
        write(libc::STDERR_FILENO, &message.error);
        write(libc::STDOUT_FILENO, &message.output);
    }
    // SAFETY: it takes no pointer and does not return.
    unsafe { libc::_exit(libc::EXIT_FAILURE) }
}

fn write(to: libc::c_int, text: &str) {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        // SAFETY: `rest` is valid for its length.
        let written = unsafe { libc::write(to, rest.as_ptr().cast(), rest.len()) };
        let Some(next) = usize::try_from(written).ok().and_then(|written| rest.get(written..))
        else {
            return;
        };
        rest = next;
    }
}
