//! What this process may do: taken away by itself, before it has a second thread, and looked at afterwards.
//!
//! | process | user | capabilities |
//! |---|---|---|
//! | agent | [`AGENT_UID`] | [`KEPT`], ambient: `nft`, which it starts, has them too |
//! | resolver helper | 0 | none |
//!
//! Neither gets a right by starting another program, and neither leaves its memory in a core dump.

use std::io;

use chassis::process::forbid_dumps;
use mesh_identity::{AGENT_GID, AGENT_UID};
use rustix::{
    io::Errno,
    process::{
        Gid, Uid, getegid, geteuid, getgid, getgroups, getppid, getuid,
        parent_process_death_signal, set_parent_process_death_signal,
    },
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_ambient_set,
        clear_ambient_capability_set, configure_capability_in_ambient_set, no_new_privs,
        remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities,
        set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    },
};

/// What the agent keeps of root's rights: interfaces, routes, `nft` and `/proc/sys/net`; and the resolver's port.
pub const KEPT: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_BIND_SERVICE);

/// The agent does not run with these rights.
#[derive(Debug, thiserror::Error)]
pub enum RightsError {
    /// Neither root nor a user with the capabilities started it.
    #[error(
        "the agent needs root's rights to start (it gives them up at once), or CAP_NET_ADMIN and CAP_NET_BIND_SERVICE: run it as `sudo maru-agent`"
    )]
    TooFew,
    /// A right cannot be given up.
    #[error(
        "cannot give up root's rights ({what}): start the agent with CAP_SETUID, CAP_SETGID and CAP_SETPCAP, or as user {AGENT_UID} with CAP_NET_ADMIN and CAP_NET_BIND_SERVICE alone"
    )]
    Drop {
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        source: Errno,
    },
    /// It gave rights up and has others than it should.
    #[error("the agent does not run with rights that it gave up: {0}; report this with `uname -a`")]
    Wrong(&'static str),
    /// It gave rights up in one thread of several.
    #[error(
        "the agent has a second thread already, so that it cannot give up root's rights; report this"
    )]
    Threads,
    /// Whoever started it, and would end it, has ended.
    #[error("the program that started the agent has ended, so that the agent ends too")]
    Orphan,
    /// `/proc` cannot be read.
    #[error("cannot read /proc/self/task: mount /proc")]
    Proc(#[source] io::Error),
}

/// Whether root started this process.
#[must_use]
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Makes this process the agent's: root becomes [`AGENT_UID`], another user stays who it is; either keeps [`KEPT`] and
/// nothing else.
///
/// # Errors
///
/// See [`RightsError`]; the process must end then, since it may have given up a part.
pub fn become_agent() -> Result<(), RightsError> {
    only_thread()?;
    let held = capabilities(None).map_err(failed("look at the capabilities"))?;
    if !held.permitted.contains(KEPT) {
        return Err(RightsError::TooFew);
    }
    let parent = Parent::now()?;
    bound(KEPT);
    if is_root() {
        set_keep_capabilities(true).map_err(failed("keep capabilities"))?;
        change_user(AGENT_UID, AGENT_GID)?;
        set_keep_capabilities(false).map_err(failed("keep no more capabilities"))?;
    }
    let sets = CapabilitySets { effective: KEPT, permitted: KEPT, inheritable: KEPT };
    set_capabilities(None, sets).map_err(failed("set the capabilities"))?;
    for capability in KEPT.iter() {
        configure_capability_in_ambient_set(capability, true)
            .map_err(failed("pass the capabilities on"))?;
    }
    shut()?;
    parent.again()?;
    check(KEPT)?;
    if getuid().is_root() || regains_root() {
        return Err(RightsError::Wrong("it can become root again"));
    }
    Ok(())
}

/// Makes this process root without a capability: it owns root's files and may do nothing else that others may not.
///
/// # Errors
///
/// See [`RightsError`]; the process must end then.
pub fn become_helper() -> Result<(), RightsError> {
    only_thread()?;
    let held = capabilities(None).map_err(failed("look at the capabilities"))?;
    // The keeper has given up all of it before it starts a writer.
    if !held.permitted.is_empty() {
        change_user(0, 0)?;
    }
    bound(CapabilitySet::empty());
    clear_ambient_capability_set().map_err(failed("pass no capability on"))?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).map_err(failed("set the capabilities"))?;
    shut()?;
    check(none)?;
    if geteuid().is_root() && getegid().is_root() {
        Ok(())
    } else {
        Err(RightsError::Wrong("it is not root"))
    }
}

/// Checks that this process has one thread: rights are given up for one thread only.
fn only_thread() -> Result<(), RightsError> {
    match std::fs::read_dir("/proc/self/task").map_err(RightsError::Proc)?.count() {
        1 => Ok(()),
        _ => Err(RightsError::Threads),
    }
}

fn change_user(uid: u32, gid: u32) -> Result<(), RightsError> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    set_thread_groups(&[]).map_err(failed("leave every group"))?;
    set_thread_res_gid(gid, gid, gid).map_err(failed("change the group"))?;
    set_thread_res_uid(uid, uid, uid).map_err(failed("change the user"))
}

/// Lets no program that this process starts have more than `kept`, where the kernel allows to say so (it takes
/// CAP_SETPCAP). Without it, [`shut`] says the same.
fn bound(kept: CapabilitySet) {
    for capability in every().filter(|capability| !kept.contains(*capability)) {
        let _ = remove_capability_from_bounding_set(capability);
    }
}

fn shut() -> Result<(), RightsError> {
    set_no_new_privs(true).map_err(failed("refuse new privileges"))?;
    forbid_dumps().map_err(failed("forbid core dumps"))
}

/// Looks at what this process really has.
fn check(kept: CapabilitySet) -> Result<(), RightsError> {
    let held = capabilities(None).map_err(failed("look at the capabilities"))?;
    if (held.effective, held.permitted, held.inheritable) != (kept, kept, kept) {
        return Err(RightsError::Wrong("its capabilities are others"));
    }
    let is_ambient = |capability| capability_is_in_ambient_set(capability).unwrap_or(false);
    if every().any(|capability| is_ambient(capability) != kept.contains(capability)) {
        return Err(RightsError::Wrong("the capabilities that it passes on are others"));
    }
    if !no_new_privs().unwrap_or(false) {
        return Err(RightsError::Wrong("it can get new privileges"));
    }
    if getuid() != geteuid() || getgid() != getegid() {
        return Err(RightsError::Wrong("it has two users or groups"));
    }
    // Root's own groups went with its rights; a user that a service manager chose keeps what it gave.
    let is_ours = matches!(getuid().as_raw(), 0 | AGENT_UID);
    if is_ours && getgroups().is_ok_and(|groups| groups.iter().any(|group| group.is_root())) {
        return Err(RightsError::Wrong("it is in root's group"));
    }
    Ok(())
}

/// Every capability that a kernel may know.
fn every() -> impl Iterator<Item = CapabilitySet> {
    (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit))
}

fn regains_root() -> bool {
    let root = Uid::ROOT;
    set_thread_res_uid(root, root, root).is_ok()
}

fn failed(what: &'static str) -> impl Fn(Errno) -> RightsError {
    move |source| RightsError::Drop { what, source }
}

/// Who started this process, and the signal with which the kernel tells of its end.
struct Parent {
    pid: Option<rustix::process::Pid>,
    signal: Option<rustix::process::Signal>,
}

impl Parent {
    fn now() -> Result<Self, RightsError> {
        let signal =
            parent_process_death_signal().map_err(failed("look at the parent's signal"))?;
        Ok(Self { pid: getppid(), signal })
    }

    /// Asks for the signal again, since a change of user cancels it; fails if the parent has ended meanwhile.
    fn again(self) -> Result<(), RightsError> {
        if self.signal.is_none() {
            return Ok(());
        }
        set_parent_process_death_signal(self.signal)
            .map_err(failed("ask for the parent's signal"))?;
        if getppid() == self.pid { Ok(()) } else { Err(RightsError::Orphan) }
    }
}
