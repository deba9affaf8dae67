//! Drops this process's rights, while it has one thread, and checks the result.
//!
//! | process | user | capabilities |
//! |---|---|---|
//! | agent | [`AGENT_UID`] | [`KEPT`], ambient: `nft`, which it starts, has them too |
//! | resolver helper | 0 | none |
//!
//! Neither gains a right by starting another program, and neither dumps core.

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

/// The agent's capabilities: for interfaces, routes, `nft` and `/proc/sys/net`; and for the resolver's port.
pub(crate) const KEPT: CapabilitySet =
    CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_BIND_SERVICE);

/// The agent cannot run with the right privileges.
#[derive(Debug, thiserror::Error)]
pub enum RightsError {
    #[error(
        "the agent needs root's rights to start (it gives them up at once), or CAP_NET_ADMIN and CAP_NET_BIND_SERVICE: run it as `sudo maru-agent`"
    )]
    TooFew,
    #[error(
        "cannot give up root's rights ({what}): start the agent with CAP_SETUID, CAP_SETGID and CAP_SETPCAP, or as user {AGENT_UID} with CAP_NET_ADMIN and CAP_NET_BIND_SERVICE alone"
    )]
    Drop { what: &'static str, source: Errno },
    #[error("the agent has rights that it should have dropped: {0}; report this with `uname -a`")]
    Wrong(&'static str),
    #[error("the agent already has a second thread and cannot give up root's rights; report this")]
    Threads,
    #[error("the parent process of the agent has ended, so the agent ends, too")]
    Orphan,
    #[error("cannot read /proc/self/task: mount /proc")]
    Proc(#[source] io::Error),
}

/// Whether root started this process.
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

/// Drops everything but [`KEPT`]; root also becomes [`AGENT_UID`].
///
/// On an error the process must end: it may have given up some rights.
pub(crate) fn become_agent() -> Result<(), RightsError> {
    only_thread()?;
    let held = capabilities(None).map_err(failed("look at the capabilities"))?;
    if !held.permitted.contains(KEPT) {
        return Err(RightsError::TooFew);
    }
    let parent = Parent::now()?;
    limit_bounding_set(KEPT);
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
    forbid_privileges()?;
    parent.renew_signal()?;
    check(KEPT)?;
    if getuid().is_root() || regains_root() {
        return Err(RightsError::Wrong("it can become root again"));
    }
    Ok(())
}

/// Drops all capabilities but stays root, as the owner of root's files.
///
/// On an error the process must end.
pub(crate) fn become_helper() -> Result<(), RightsError> {
    only_thread()?;
    let held = capabilities(None).map_err(failed("look at the capabilities"))?;
    // A writer inherits nothing from the keeper, which dropped all capabilities before.
    if !held.permitted.is_empty() {
        change_user(0, 0)?;
    }
    limit_bounding_set(CapabilitySet::empty());
    clear_ambient_capability_set().map_err(failed("pass no capability on"))?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).map_err(failed("set the capabilities"))?;
    forbid_privileges()?;
    check(none)?;
    if geteuid().is_root() && getegid().is_root() {
        Ok(())
    } else {
        Err(RightsError::Wrong("it is not root"))
    }
}

/// Checks that this process has one thread: rights are dropped per thread.
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

/// Limits the bounding set to `kept`, if this process has CAP_SETPCAP. Without it, [`forbid_privileges`] has the same effect.
fn limit_bounding_set(kept: CapabilitySet) {
    for capability in all_capabilities().filter(|capability| !kept.contains(*capability)) {
        let _ = remove_capability_from_bounding_set(capability);
    }
}

fn forbid_privileges() -> Result<(), RightsError> {
    set_no_new_privs(true).map_err(failed("refuse new privileges"))?;
    forbid_dumps().map_err(failed("forbid core dumps"))
}

/// Checks this process's rights.
fn check(kept: CapabilitySet) -> Result<(), RightsError> {
    let held = capabilities(None).map_err(failed("look at the capabilities"))?;
    if (held.effective, held.permitted, held.inheritable) != (kept, kept, kept) {
        return Err(RightsError::Wrong("its capabilities differ"));
    }
    let is_ambient = |capability| capability_is_in_ambient_set(capability).unwrap_or(false);
    if all_capabilities().any(|capability| is_ambient(capability) != kept.contains(capability)) {
        return Err(RightsError::Wrong("its ambient capabilities differ"));
    }
    if !no_new_privs().unwrap_or(false) {
        return Err(RightsError::Wrong("it can gain new privileges"));
    }
    if getuid() != geteuid() || getgid() != getegid() {
        return Err(RightsError::Wrong("it has two users or groups"));
    }
    // Root's supplementary groups were dropped; a service manager may have given another user its own.
    let is_ours = matches!(getuid().as_raw(), 0 | AGENT_UID);
    if is_ours && getgroups().is_ok_and(|groups| groups.iter().any(|group| group.is_root())) {
        return Err(RightsError::Wrong("it is in root's group"));
    }
    Ok(())
}

/// Every possible capability.
fn all_capabilities() -> impl Iterator<Item = CapabilitySet> {
    (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit))
}

fn regains_root() -> bool {
    let root = Uid::ROOT;
    set_thread_res_uid(root, root, root).is_ok()
}

fn failed(what: &'static str) -> impl Fn(Errno) -> RightsError {
    move |source| RightsError::Drop { what, source }
}

/// The parent process, and the signal for its end.
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

    /// Sets the signal again, since a change of user cancels it; fails if the parent has ended meanwhile.
    fn renew_signal(self) -> Result<(), RightsError> {
        if self.signal.is_none() {
            return Ok(());
        }
        set_parent_process_death_signal(self.signal)
            .map_err(failed("ask for the parent's signal"))?;
        if getppid() == self.pid { Ok(()) } else { Err(RightsError::Orphan) }
    }
}
