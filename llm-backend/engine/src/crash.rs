//! What ends the process inside llama.cpp ends it with a sentence.
//!
//! llama.cpp aborts where a model is not as it expects, a C++ exception that nobody catches aborts, and a bad address or a
//! division by zero is a signal. None of that can be undone; the sentence was put together before, and the handler does
//! nothing but write it and end the process, as a signal handler may (signal-safety(7)).
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

/// What the kernel or `abort` sends to a program that is at its end.
const SIGNALS: [libc::c_int; 5] =
    [libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGSEGV];

static WORDS: OnceLock<FailureOutput> = OnceLock::new();
static IS_TOLD: AtomicBool = AtomicBool::new(false);

/// From now on the process says this when it is ended from within. No other thread may run yet.
pub(crate) fn tell(error: &Error) {
    // A debugger that llama.cpp finds would be asked to show the stack, and what people wrote with it.
    // SAFETY: nobody else reads or changes the environment: there is no other thread.
    #[allow(clippy::disallowed_methods, reason = "the process has one thread yet")]
    unsafe {
        env::set_var("GGML_NO_BACKTRACE", "1");
    }
    let _ = WORDS.set(Failure::of(error).output("maru-llm"));
    // SAFETY: all zeros are a valid `sigaction`; `handler` takes what a handler without SA_SIGINFO gets, and lives as long
    // as the process. SA_ONSTACK takes the stack that Rust gives each of its threads, should theirs be full.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler as extern "C" fn(libc::c_int) as libc::sighandler_t;
        action.sa_flags = libc::SA_ONSTACK;
        for signal in SIGNALS {
            // It fails for no signal of these.
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
    }
}

/// Writes what was put together, and ends the process. It allocates nothing and takes no lock.
extern "C" fn handler(_: libc::c_int) {
    while IS_TOLD.swap(true, Ordering::SeqCst) {
        // Another thread is at it, and ends this one, too.
        // SAFETY: it takes nothing.
        unsafe { libc::pause() };
    }
    if let Some(words) = WORDS.get() {
        write(libc::STDERR_FILENO, &words.error);
        write(libc::STDOUT_FILENO, &words.output);
    }
    // SAFETY: it takes no pointer and does not return.
    unsafe { libc::_exit(libc::EXIT_FAILURE) }
}

fn write(to: libc::c_int, words: &str) {
    let mut left = words.as_bytes();
    while !left.is_empty() {
        // SAFETY: `left` is valid for its length.
        let written = unsafe { libc::write(to, left.as_ptr().cast(), left.len()) };
        let Some(rest) = usize::try_from(written).ok().and_then(|written| left.get(written..))
        else {
            return;
        };
        left = rest;
    }
}
