//! Programs that get no socket of an address family, as where the kernel has none.
#![allow(unsafe_code, reason = "a filter of system calls is installed between fork and exec")]

use std::{io, mem::offset_of, os::unix::process::CommandExt as _, process::Command};

use nix::libc::{self, c_long, sock_filter, sock_fprog};

/// The command, and what it starts, gets no socket of IPv6: `EAFNOSUPPORT`, as the kernel says that was started with
/// `ipv6.disable=1`.
pub(crate) fn refuse_ipv6(command: &mut Command) {
    let filter = [
        load(offset_of!(libc::seccomp_data, nr)),
        skip_unless(libc::SYS_socket, 3),
        // The lower half of the first argument, where the lower byte comes first.
        load(offset_of!(libc::seccomp_data, args)),
        skip_unless(c_long::from(libc::AF_INET6), 1),
        result(libc::SECCOMP_RET_ERRNO | libc::EAFNOSUPPORT as u32),
        result(libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let mut filter = filter;
        let program = sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: `program` and the filter that it points to live until the call returns, which copies them.
        let done = unsafe {
            libc::prctl(
                libc::PR_SET_SECCOMP,
                c_long::from(libc::SECCOMP_MODE_FILTER),
                &raw const program,
            )
        };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: prctl(2) is one system call; nothing here allocates or takes a lock.
    unsafe { command.pre_exec(install) };
}

fn statement(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}

/// Loads the word at this offset of the call's description.
fn load(offset: usize) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset as u32)
}

/// Skips so many statements unless the loaded word is this.
fn skip_unless(word: c_long, statements: u8) -> sock_filter {
    statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, statements, word as u32)
}

fn result(result: u32) -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, 0, 0, result)
}
