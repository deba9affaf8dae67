//! The system calls of a container (seccomp profile, `containers-seccomp.json(5)`).
//!
//! A list of what is allowed: what the programs use and what every program may need, for amd64 and arm64. It has no more than
//! Podman's own profile, and of that neither namespaces, which would give a user every capability in a namespace of its own,
//! nor sockets of other families than `AF_UNIX`: `AF_VSOCK` leads out of a container without a network. What is not listed
//! fails as in a kernel that does not have it, so that the C library takes an older call.

/// Where the package installs the profile, below the root.
pub const INSTALLED: &str = "usr/share/maru/seccomp.json";
/// Name of its file.
pub const FILE: &str = "seccomp.json";

/// Flags of `clone` that make a namespace (`clone(2)`): `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID`,
/// `NEWNET`.
const NAMESPACES: u32 = 0x7e02_0000;
/// The family of local sockets (`socket(2)`).
const AF_UNIX: u32 = 1;
/// `errno(3)`.
const ENOSYS: u32 = 38;
/// `errno(3)`.
const EPERM: u32 = 1;

/// What is allowed, whatever its arguments are.
const ALLOWED: &str = "
accept accept4 access alarm arch_prctl bind brk chdir chmod chown clock_getres clock_gettime clock_nanosleep close close_range
connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd
eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchown fchownat fcntl
fdatasync fgetxattr flistxattr flock fork fstat fstatfs fsync ftruncate futex futimesat get_mempolicy get_robust_list getcpu
getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority
getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl kill landlock_add_rule landlock_create_ruleset
landlock_restrict_self lchown lgetxattr link linkat listen listxattr llistxattr lseek lstat madvise mbind membarrier
memfd_create mkdir mkdirat mlock mlock2 mlockall mmap mprotect mremap msync munlock munlockall munmap nanosleep newfstatat open
openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 poll ppoll prctl pread64 preadv preadv2 prlimit64 pselect6 pwrite64
pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg rename renameat renameat2 restart_syscall
rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield select
sendfile sendmmsg sendmsg sendto set_mempolicy set_robust_list set_tid_address setitimer setpgid setpriority setrlimit setsid
setsockopt shutdown sigaltstack signalfd signalfd4 splice stat statfs statx symlink symlinkat sync sync_file_range syncfs
sysinfo tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime
timerfd_settime times tkill truncate umask uname unlink unlinkat utime utimensat utimes vfork wait4 waitid write writev";

/// What is refused as forbidden: a program that tries it shall say so.
const FORBIDDEN: &str = "
add_key bpf chroot delete_module finit_module fsopen init_module io_uring_setup keyctl mknod mknodat mount move_mount open_tree
perf_event_open personality pivot_root process_vm_readv process_vm_writev ptrace request_key setdomainname setgid setgroups
sethostname setns setregid setresgid setresuid setreuid setuid swapon umount2 unshare userfaultfd";

/// The profile.
#[must_use]
pub fn profile() -> String {
    let rules = [
        allowed(ALLOWED, ""),
        allowed("clone", &argument(NAMESPACES, 0, "SCMP_CMP_MASKED_EQ")),
        allowed("socket socketpair", &argument(AF_UNIX, 0, "SCMP_CMP_EQ")),
        format!(
            r#"{{"names": {}, "action": "SCMP_ACT_ERRNO", "errnoRet": {EPERM}}}"#,
            names(FORBIDDEN)
        ),
    ];
    format!(
        "{{\n\"defaultAction\": \"SCMP_ACT_ERRNO\",\n\"defaultErrnoRet\": {ENOSYS},\n\
         \"syscalls\": [\n{}\n]\n}}\n",
        rules.join(",\n")
    )
}

/// A rule that allows calls with such arguments.
fn allowed(calls: &str, arguments: &str) -> String {
    format!(r#"{{"names": {}, "action": "SCMP_ACT_ALLOW"{arguments}}}"#, names(calls))
}

/// Compares the first argument of a call.
fn argument(value: u32, other: u32, how: &str) -> String {
    format!(r#", "args": [{{"index": 0, "value": {value}, "valueTwo": {other}, "op": "{how}"}}]"#)
}

fn names(calls: &str) -> String {
    let names: Vec<_> = calls.split_whitespace().map(|name| format!("\"{name}\"")).collect();
    let lines: Vec<_> = names.chunks(10).map(|names| names.join(", ")).collect();
    format!("[{}]", lines.join(",\n"))
}
