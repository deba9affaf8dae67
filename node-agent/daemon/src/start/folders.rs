//! The agent's own folders: made, or handed over from root to the agent's user.
//!
//! A process in such a folder may be hostile: each file is opened and checked before its owner changes, so that no planted
//! link is followed.

use std::{
    ffi::CStr,
    fs::DirBuilder,
    io,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt as _},
    path::{Path, PathBuf},
};

use mesh_identity::{AGENT_GID, AGENT_UID};
use node_agent_api::settings::Dial;
use rustix::{
    fs::{
        AtFlags, Dir, FileType, Mode, OFlags, Stat, chownat, fchmod, fchown, fstat, mkdirat, open,
        openat,
    },
    io::Errno,
    process::{Gid, Uid, getegid},
};

use crate::config::Paths;

/// Keys and the map: for the agent only.
const STATE: u32 = 0o700;
/// The local API: everyone may enter.
const API: u32 = 0o755;
/// A dial: its caller's group may enter, and sockets inherit that group.
const DIAL: u32 = 0o2750;

/// A folder cannot be made or handed over.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("cannot make {} a folder of the agent", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is not a folder of root or of the agent (user {AGENT_UID}): move it elsewhere", .0.display())]
    Foreign(PathBuf),
    #[error("{} must belong to root and be writable only by root, since the agent's keys are below it: correct its owner and mode", .0.display())]
    Open(PathBuf),
}

/// Hands the folders of state and local API over to the agent. Call it as root.
///
/// Repeating it is safe.
pub(crate) fn take_over(paths: &Paths) -> Result<(), FolderError> {
    for (path, mode) in [(paths.state_dir(), STATE), (paths.api_dir(), API)] {
        give(&open_below(&path, mode)?, &path, mode)?;
    }
    Ok(())
}

/// Hands the folder of each dial over to the agent and its caller's group. Call it as root.
///
/// Repeating it is safe.
pub(crate) fn take_over_dials(paths: &Paths, dials: &[Dial]) -> Result<(), FolderError> {
    for (path, gid) in dial_folders(paths, dials) {
        let folder = open_below(&path, DIAL)?;
        let failed = |errno: Errno| FolderError::Io { path: path.clone(), source: errno.into() };
        let found = fstat(&folder).map_err(failed)?;
        if !matches!(found.st_uid, 0 | AGENT_UID) {
            return Err(FolderError::Foreign(path));
        }
        // Without CAP_FOWNER and CAP_FSETID, root changes the mode only of its own and its group's files.
        fchown(&folder, Some(Uid::ROOT), Some(getegid())).map_err(failed)?;
        fchmod(&folder, Mode::from_raw_mode(DIAL)).map_err(failed)?;
        fchown(&folder, Some(Uid::from_raw(AGENT_UID)), Some(gid)).map_err(failed)?;
    }
    Ok(())
}

/// Makes missing folders of dials, as a user other than root, and warns if the caller cannot enter.
pub(crate) fn make_dials(paths: &Paths, dials: &[Dial]) -> Result<(), FolderError> {
    for (path, gid) in dial_folders(paths, dials) {
        let failed = |source: io::Error| FolderError::Io { path: path.clone(), source };
        parent(&path).map_err(failed)?;
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made.map_err(failed)?,
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = open(&path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        if fchown(&folder, None, Some(gid)).is_err() {
            tracing::warn!(
                "uid {gid} cannot enter {}: give the folder that group, or start the agent as root",
                path.display()
            );
        }
        fchmod(&folder, Mode::from_raw_mode(DIAL)).map_err(|errno| failed(errno.into()))?;
    }
    Ok(())
}

/// The folder of each dial, and its caller's group.
pub(crate) fn dial_folders(paths: &Paths, dials: &[Dial]) -> Vec<(PathBuf, Gid)> {
    let folder = |dial: &Dial| {
        let socket = paths.resolve(&dial.socket);
        (socket.parent().unwrap_or(&socket).to_owned(), Gid::from_raw(dial.uid))
    };
    dials.iter().map(folder).collect()
}

/// Makes missing folders, as a user other than root.
pub(crate) fn make(paths: &Paths) -> Result<(), FolderError> {
    for (path, mode) in [(paths.state_dir(), STATE), (paths.api_dir(), API)] {
        let made = parent(&path).and_then(|_| DirBuilder::new().mode(mode).create(&path));
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(FolderError::Io { path, source: error });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Opens a folder inside one of root's, and makes it if it is missing.
fn open_below(path: &Path, mode: u32) -> Result<OwnedFd, FolderError> {
    let failed = |source: io::Error| FolderError::Io { path: path.to_owned(), source };
    let above = parent(path).map_err(failed)?;
    let found = fstat(&above).map_err(|errno| failed(errno.into()))?;
    if found.st_uid != 0 || found.st_mode & 0o022 != 0 {
        let above = path.parent().unwrap_or(path);
        return Err(FolderError::Open(above.to_owned()));
    }
    let name = path.file_name().unwrap_or_default();
    match mkdirat(&above, name, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(failed(errno.into())),
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&above, name, flags, Mode::empty()) {
        Ok(folder) => Ok(folder),
        Err(Errno::LOOP | Errno::NOTDIR) => Err(FolderError::Foreign(path.to_owned())),
        Err(errno) => Err(failed(errno.into())),
    }
}

/// Hands an open folder, and root's files in it, over to the agent.
fn give(folder: &OwnedFd, path: &Path, mode: u32) -> Result<(), FolderError> {
    let failed = |errno: Errno| FolderError::Io { path: path.to_owned(), source: errno.into() };
    let found = fstat(folder).map_err(failed)?;
    if !matches!(found.st_uid, 0 | AGENT_UID) {
        return Err(FolderError::Foreign(path.to_owned()));
    }
    for entry in Dir::read_from(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            give_file(folder, &name).map_err(failed)?;
        }
    }
    if found.st_uid == 0 {
        fchmod(folder, Mode::from_raw_mode(mode)).map_err(failed)?;
        let (uid, gid) = (Uid::from_raw(AGENT_UID), Gid::from_raw(AGENT_GID));
        fchown(folder, Some(uid), Some(gid)).map_err(failed)?;
    }
    Ok(())
}

/// Hands one file over to the agent if it is root's plain file with one name.
fn give_file(folder: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match openat(folder, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    let found = fstat(&file)?;
    if found.st_uid != 0 {
        return Ok(());
    }
    if !is_plain(&found) {
        tracing::warn!(
            ?name,
            "not handed over to the agent: it is not a plain file, or has another hard link"
        );
        return Ok(());
    }
    // The open file, even if its name was replaced.
    let (uid, gid) = (Uid::from_raw(AGENT_UID), Gid::from_raw(AGENT_GID));
    chownat(&file, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
}

/// Whether it is a regular file with one name: another hard link could be a system file.
pub(crate) fn is_plain(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::RegularFile && found.st_nlink == 1
}

/// Opens the folder above, which is made if it is missing.
fn parent(path: &Path) -> io::Result<OwnedFd> {
    let above = path.parent().unwrap_or(path);
    DirBuilder::new().recursive(true).mode(0o755).create(above)?;
    Ok(open(above, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    };

    use node_agent_api::settings::DIALS;

    use super::*;

    struct TestRoot {
        root: tempfile::TempDir,
        paths: Paths,
    }

    fn place() -> TestRoot {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::new(root.path());
        TestRoot { root, paths }
    }

    fn owner(path: &Path) -> (u32, u32) {
        let meta = fs::symlink_metadata(path).unwrap();
        (meta.uid(), meta.gid())
    }

    const AGENT: (u32, u32) = (AGENT_UID, AGENT_GID);
    const ROOT: (u32, u32) = (0, 0);

    #[test]
    #[ignore = "needs: root"]
    fn the_folders_are_the_agents_and_what_is_above_is_roots() {
        let place = place();
        take_over(&place.paths).unwrap();
        take_over(&place.paths).unwrap();
        for (path, mode) in [(place.paths.state_dir(), 0o700), (place.paths.api_dir(), 0o755)] {
            assert_eq!(owner(&path), AGENT, "{path:?}");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
            assert_eq!(owner(path.parent().unwrap()), ROOT, "{path:?}");
        }
    }

    fn dial(name: &str, uid: u32) -> Dial {
        let socket = Path::new(DIALS).join(name).join("http.sock");
        let to = "127.0.0.1:11434".parse().unwrap();
        Dial { name: name.to_owned(), socket, uid, to, outside: false }
    }

    #[test]
    #[ignore = "needs: root"]
    fn a_dials_folder_is_the_agents_and_of_its_callers_group_also_after_a_change() {
        let place = place();
        let folder = place.paths.resolve(Path::new(DIALS)).join("ollama");
        for uid in [61_002, 61_003] {
            take_over_dials(&place.paths, &[dial("ollama", uid)]).unwrap();
            assert_eq!(owner(&folder), (AGENT_UID, uid));
            assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o7777, DIAL);
        }
        assert_eq!(owner(&place.paths.resolve(Path::new(DIALS))), ROOT);

        fs::remove_dir(&folder).unwrap();
        symlink(place.root.path(), &folder).unwrap();
        let error = take_over_dials(&place.paths, &[dial("ollama", 61_002)]).unwrap_err();
        assert!(matches!(error, FolderError::Foreign(_)), "{error}");
        assert_eq!(owner(place.root.path()), ROOT, "a planted link was followed");
        let strangers = place.paths.resolve(Path::new(DIALS)).join("stranger");
        fs::create_dir(&strangers).unwrap();
        chown(&strangers, Some(12345), None).unwrap();
        assert!(take_over_dials(&place.paths, &[dial("stranger", 61_002)]).is_err());
    }

    #[test]
    #[ignore = "needs: root"]
    fn what_root_owned_is_taken_over_and_no_link_that_was_planted_is_followed() {
        for folder_is_the_agents in [false, true] {
            let place = place();
            let folder = place.paths.state_dir();
            fs::create_dir_all(&folder).unwrap();
            let secret = place.root.path().join("shadow");
            let own = [folder.join("state.json"), folder.join("netmap.json")];
            for file in own.iter().chain([&secret]) {
                fs::write(file, "{}").unwrap();
            }
            symlink(&secret, folder.join("soft")).unwrap();
            fs::hard_link(&secret, folder.join("hard")).unwrap();
            if folder_is_the_agents {
                chown(&folder, Some(AGENT_UID), Some(AGENT_GID)).unwrap();
            }

            take_over(&place.paths).unwrap();

            for file in &own {
                assert_eq!(owner(file), AGENT, "{file:?}");
            }
            for name in ["soft", "hard"] {
                assert_eq!(owner(&folder.join(name)), ROOT, "{name}");
            }
            assert_eq!(owner(&secret), ROOT, "a planted link was followed");
        }
    }

    #[test]
    #[ignore = "needs: root"]
    fn a_link_in_the_folders_place_and_a_strangers_folder_are_refused() {
        let place = place();
        let (folder, elsewhere) = (place.paths.state_dir(), place.root.path().join("elsewhere"));
        fs::create_dir_all(folder.parent().unwrap()).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("state.json"), "").unwrap();
        symlink(&elsewhere, &folder).unwrap();
        assert!(matches!(take_over(&place.paths), Err(FolderError::Foreign(_))));
        assert_eq!(owner(&elsewhere), ROOT);
        assert_eq!(owner(&elsewhere.join("state.json")), ROOT);

        fs::remove_file(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        chown(&folder, Some(12345), None).unwrap();
        assert!(matches!(take_over(&place.paths), Err(FolderError::Foreign(_))));

        fs::remove_dir(&folder).unwrap();
        let above = folder.parent().unwrap();
        fs::set_permissions(above, fs::Permissions::from_mode(0o777)).unwrap();
        let error = take_over(&place.paths).unwrap_err();
        assert!(matches!(error, FolderError::Open(_)), "{error}");
        assert!(!folder.exists(), "nothing half-done");
    }
}
