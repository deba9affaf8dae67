//! Resource limits and privileges of this process.

use std::thread;

use rustix::{
    process::{
        DumpableBehavior, Gid, Resource, Rlimit, Uid, getrlimit, set_dumpable_behavior, setrlimit,
    },
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

/// Raises the limit of open files to its maximum. The default is low for programs that use `select`.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// Lowers the soft and hard limit of a resource to `most`, for this process and its children.
///
/// # Errors
///
/// The system refuses.
pub fn limit(resource: Resource, most: u64) -> rustix::io::Result<()> {
    let known = getrlimit(resource).maximum;
    let most = Some(known.map_or(most, |known| known.min(most)));
    setrlimit(resource, Rlimit { current: most, maximum: most })
}

/// Runs `work` as another user, in a thread of its own; `None` if this process may not change its user.
pub fn as_user<T: Send>(uid: u32, gid: u32, work: impl FnOnce() -> T + Send) -> Option<T> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let become_user = || {
        set_thread_groups(&[])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)
    };
    let work = || become_user().ok().map(|()| work());
    thread::scope(|scope| scope.spawn(work).join().ok()?)
}

/// Disables core files, for this process and its children.
///
/// # Errors
///
/// The system refuses.
pub fn forbid_core_files() -> rustix::io::Result<()> {
    limit(Resource::Core, 0)
}

/// Disables core dumps, also to a pipe, and debuggers of the same user.
///
/// # Errors
///
/// The system refuses.
pub fn forbid_dumps() -> rustix::io::Result<()> {
    forbid_core_files()?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

#[cfg(test)]
mod tests {
    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn as_many_files_as_may_be_are_opened() {
        let before = getrlimit(Resource::Nofile);
        let low = before.current.map(|files| files - 1);
        setrlimit(Resource::Nofile, Rlimit { current: low, ..before }).unwrap();
        raise_file_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
    }

    #[test]
    fn nothing_is_dumped() {
        forbid_dumps().unwrap();
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
