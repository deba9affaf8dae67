//! `lab-clock SECONDS PROGRAM [ARGUMENT…]`: runs a program on a clock that is so many seconds ahead, or behind if the
//! number is negative. At each SIGUSR1 the program's machine has slept for an hour: `CLOCK_BOOTTIME` says so, and its monotonic
//! clock does not. At each SIGUSR2 its clock is set: what was ahead is as much behind, and the other way round.
//!
//! The program, its threads and what it starts read the wrong time; nothing else on the machine does, and their
//! monotonic clock stays right. It ends as the program ends, and ends it when it is ended.
//!
//! A process reads the time of day from a page that the kernel shares with it (vdso(7)), without a system call. Where that page
//! lies it learns from the auxiliary vector at its start (getauxval(3)); the entry is blanked there, so that its C library,
//! linked statically or not, makes the system call, whose result is changed on the way back (ptrace(2)).
#![allow(unsafe_code, reason = "the child asks to be traced between fork and exec")]

use std::{
    collections::HashMap,
    env,
    ffi::c_long,
    io,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
    sync::atomic::{AtomicI64, Ordering},
};

use anyhow::{Context as _, Result};
use nix::{
    libc,
    sys::{
        ptrace::{self, AddressType, Options},
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// Bytes of a word of the traced process, as of our own.
const WORD: u64 = size_of::<c_long>() as u64;
/// How long a sleep is, in seconds.
const SLEEP_S: c_long = 3600;

/// How long all sleeps were, in seconds.
static SLEPT_S: AtomicI64 = AtomicI64::new(0);

/// How many seconds the clock is ahead.
static AHEAD_S: AtomicI64 = AtomicI64::new(0);

extern "C" fn sleep(_: libc::c_int) {
    SLEPT_S.fetch_add(SLEEP_S, Ordering::Relaxed);
}

extern "C" fn set_clock(_: libc::c_int) {
    AHEAD_S.store(-AHEAD_S.load(Ordering::Relaxed), Ordering::Relaxed);
}

fn main() -> Result<ExitCode> {
    let usage = "usage: lab-clock SECONDS PROGRAM [ARGUMENT…]";
    let mut words = env::args_os().skip(1);
    let ahead = words.next().and_then(|word| word.to_str()?.parse().ok()).context(usage)?;
    AHEAD_S.store(ahead, Ordering::Relaxed);
    let mut command = Command::new(words.next().context(usage)?);
    command.args(words);
    for (signal, handler) in
        [(Signal::SIGUSR1, sleep as extern "C" fn(libc::c_int)), (Signal::SIGUSR2, set_clock)]
    {
        let action =
            SigAction::new(SigHandler::Handler(handler), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handlers change a number, which a signal may interrupt.
        unsafe { sigaction(signal, &action) }?;
    }
    // SAFETY: ptrace(2) is one system call; it neither allocates nor takes a lock.
    unsafe { command.pre_exec(|| ptrace::traceme().map_err(io::Error::from)) };
    let child =
        command.spawn().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    let first = Pid::from_raw(i32::try_from(child.id())?);
    waitpid(first, None)?;
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(first, options)?;
    hide_vdso(first)?;
    ptrace::syscall(first, None)?;
    Ok(ExitCode::from(trace(first)?))
}

/// Changes the results of the traced threads until the first process has ended; returns its exit status, as a shell does.
fn trace(first: Pid) -> Result<u8> {
    // Where each thread that asks for the time wants it.
    let mut asked = HashMap::new();
    loop {
        let (stopped, signal) = match waitpid(None, Some(WaitPidFlag::__WALL))? {
            WaitStatus::Exited(pid, status) if pid == first => return Ok(u8::try_from(status)?),
            WaitStatus::Signaled(pid, signal, _) if pid == first => {
                return Ok(128 + u8::try_from(signal as i32)?);
            }
            WaitStatus::PtraceSyscall(pid) => {
                // A thread may be killed at any time; the next wait tells.
                let _ = answer(pid, &mut asked);
                (pid, None)
            }
            WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_EXEC) => {
                let _ = hide_vdso(pid);
                (pid, None)
            }
            // How the kernel announces a new thread; nothing here is stopped otherwise.
            WaitStatus::PtraceEvent(pid, ..) | WaitStatus::Stopped(pid, Signal::SIGSTOP) => {
                (pid, None)
            }
            WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
            WaitStatus::Exited(..)
            | WaitStatus::Signaled(..)
            | WaitStatus::Continued(_)
            | WaitStatus::StillAlive => continue,
        };
        let _ = ptrace::syscall(stopped, signal);
    }
}

/// Which clock a call asks for, and where the kernel will write its seconds.
#[derive(Clone, Copy, Debug)]
enum Question {
    TimeOfDay(u64),
    SinceBoot(u64),
}

/// Notes who asks for a time, and changes what the kernel answered.
fn answer(pid: Pid, asked: &mut HashMap<Pid, Question>) -> nix::Result<()> {
    let info = ptrace::syscall_info(pid)?;
    match info.op {
        libc::PTRACE_SYSCALL_INFO_ENTRY => {
            // SAFETY: `op` says that this is the field that the kernel filled.
            let call = unsafe { info.u.entry };
            if let Some(question) = Question::of(call.nr, call.args) {
                asked.insert(pid, question);
            }
        }
        libc::PTRACE_SYSCALL_INFO_EXIT => {
            // SAFETY: as above.
            let failed = unsafe { info.u.exit }.is_error != 0;
            if let Some(question) = asked.remove(&pid).filter(|_| !failed) {
                let (place, more) = match question {
                    Question::TimeOfDay(place) => (place, AHEAD_S.load(Ordering::Relaxed)),
                    Question::SinceBoot(place) => (place, SLEPT_S.load(Ordering::Relaxed)),
                };
                let seconds = ptrace::read(pid, at(place))?;
                ptrace::write(pid, at(place), seconds + more)?;
            }
        }
        _ => {}
    }
    Ok(())
}

impl Question {
    /// What a call asks, if it asks for the time.
    fn of(call: u64, args: [u64; 6]) -> Option<Self> {
        match c_long::try_from(call).ok()? {
            libc::SYS_clock_gettime => match libc::clockid_t::try_from(args[0]).ok()? {
                libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => {
                    Some(Self::TimeOfDay(args[1]))
                }
                libc::CLOCK_BOOTTIME => Some(Self::SinceBoot(args[1])),
                _ => None,
            },
            libc::SYS_gettimeofday => (args[0] != 0).then_some(Self::TimeOfDay(args[0])),
            _ => None,
        }
    }
}

/// Blanks the entry of the auxiliary vector that says where the shared page lies, and what the page begins with, for programs that
/// find it by `/proc/self/auxv`. A program that was just started has,
/// from its stack pointer on: the number of its arguments, them, a zero, its environment, a zero, and the vector.
fn hide_vdso(pid: Pid) -> nix::Result<()> {
    let mut place = ptrace::syscall_info(pid)?.stack_pointer + WORD;
    for _ in ["arguments", "environment"] {
        while ptrace::read(pid, at(place))? != 0 {
            place += WORD;
        }
        place += WORD;
    }
    loop {
        match u64::try_from(ptrace::read(pid, at(place))?).unwrap_or_default() {
            libc::AT_NULL => return Ok(()),
            libc::AT_SYSINFO_EHDR => {
                let page = ptrace::read(pid, at(place + WORD))?;
                ptrace::write(pid, at(u64::try_from(page).unwrap_or_default()), 0)?;
                return ptrace::write(pid, at(place), libc::AT_IGNORE as c_long);
            }
            _ => place += 2 * WORD,
        }
    }
}

fn at(place: u64) -> AddressType {
    place as AddressType
}
