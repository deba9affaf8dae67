//! The directories of an instance, with their owners.

use std::{
    fs::DirBuilder,
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use anyhow::{Context as _, bail};
use chassis::process::as_user;
use messages::message;
use rustix::{
    fs::{Mode, OFlags, fchmod, fchown, open},
    process::{Gid, Uid},
};
use services::{SERVICES, directories, links};

/// Checks that the services' users can enter the existing part of the root's path.
pub fn passable(root: &Path) -> anyhow::Result<()> {
    for service in SERVICES {
        // Without root's rights this check is skipped; no service starts then either.
        let seen = as_user(service.uid, service.gid, || chassis::root::check(root));
        seen.transpose().with_context(|| message!("root-not-reached", service = service.name))?;
    }
    Ok(())
}

/// Makes the root if it is missing, and the folder of the lock.
pub fn root(root: &Path) -> anyhow::Result<()> {
    folders(root, 0o755).with_context(|| message!("directory-not-made", path = root.display()))?;
    // Another user may have made a part of it meanwhile.
    chassis::root::check(root)?;
    make(&root.join("run/maru"), 0, 0, 0o755)
}

/// Makes every directory of the service table, or corrects its owner and mode.
pub fn all(root: &Path) -> anyhow::Result<()> {
    state(root)?;
    for link in links() {
        make(&root.join(link.directory()), link.owner, link.group, link.mode)?;
    }
    make(&root.join("var/log/maru"), 0, 0, 0o750)
}

/// Makes every directory of the service table but those of links and logs, or corrects its owner and mode.
pub fn state(root: &Path) -> anyhow::Result<()> {
    directories().into_iter().try_for_each(|directory| {
        make(&root.join(directory.path), directory.uid, directory.gid, directory.mode)
    })
}

fn make(path: &Path, uid: u32, gid: u32, mode: u32) -> anyhow::Result<()> {
    let shown = path.display();
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => bail!(message!("not-a-directory", path = shown)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            folders(path, 0o755).with_context(|| message!("directory-not-made", path = shown))?;
        }
        Err(error) => {
            return Err(error).with_context(|| message!("not-looked-at", name = shown));
        }
    }
    // Opened without following links: the owner of the parent may have replaced it meanwhile.
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened =
        open(path, flags, Mode::empty()).with_context(|| message!("not-opened", path = shown))?;
    // Owner first: changing it clears the set-group-id bit.
    fchown(&opened, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .and_then(|()| fchmod(&opened, Mode::from_raw_mode(mode)))
        .with_context(|| message!("owner-not-set", path = shown))
}

/// Makes a folder, and those above it that are missing, each with this mode regardless of the umask. One that is there stays as
/// it is.
///
/// # Errors
///
/// One cannot be made, or is a link or no folder right after it was made.
pub fn folders(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        folders(above, mode)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        // Somebody else made it meanwhile.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        made => made?,
    }
    // Without following links: the owner of the folder above may have replaced it meanwhile.
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = open(path, flags, Mode::empty())?;
    Ok(fchmod(folder, Mode::from_raw_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    #[ignore = "needs: root"]
    fn a_link_belongs_to_its_listener_and_its_callers_group() {
        let folder = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .unwrap();

        root(folder.path()).unwrap();
        all(folder.path()).unwrap();
        all(folder.path()).unwrap();

        for link in links() {
            let meta = std::fs::metadata(folder.path().join(link.directory())).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (link.owner, link.group), "{}", link.name);
            assert_eq!(meta.mode() & 0o7777, link.mode, "{}", link.name);
        }
    }

    /// A service owns the folder around two of root's, and what was taken over there may replace them.
    #[test]
    #[ignore = "needs: root"]
    fn a_link_in_place_of_a_folder_is_refused_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        root(folder.path()).unwrap();
        all(folder.path()).unwrap();
        std::fs::create_dir(at("ann")).unwrap();
        for planted in ["var/lib/maru/gateway/workspace", "var/lib/maru/gateway/config"] {
            std::fs::remove_dir(at(planted)).unwrap();
            std::os::unix::fs::symlink(at("ann"), at(planted)).unwrap();

            let error = all(folder.path()).unwrap_err().to_string();

            assert!(error.contains(planted), "{error}");
            let meta = std::fs::metadata(at("ann")).unwrap();
            assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (0, 0, 0o755));
            std::fs::remove_file(at(planted)).unwrap();
        }
        // What somebody else owned is taken back.
        std::os::unix::fs::chown(at("var/lib/maru/models"), Some(1000), Some(1000)).unwrap();
        all(folder.path()).unwrap();
        assert_eq!(std::fs::metadata(at("var/lib/maru/models")).unwrap().uid(), 0);
    }

    #[test]
    #[ignore = "needs: root"]
    fn a_private_root_is_refused_with_what_to_do() {
        let folder = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .tempdir()
            .unwrap();

        let error = passable(&folder.path().join("not there yet")).unwrap_err();

        let said = format!("{error:#}");
        let words = format!(
            "uid 61001, as which this program runs, cannot enter {};",
            folder.path().display()
        );
        assert!(said.contains(&words) && said.contains("chmod o+x"), "{said}");
    }

    #[test]
    fn folders_have_their_mode_whatever_the_umask_and_those_that_are_there_keep_theirs() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
        let before = mode(top.path());
        let umask = rustix::process::umask(Mode::from_raw_mode(0o077));
        folders(&at("a/b/c"), 0o755).unwrap();
        rustix::process::umask(umask);
        for name in ["a", "a/b", "a/b/c"] {
            assert_eq!(mode(&at(name)), 0o755, "{name}");
        }
        assert_eq!(mode(top.path()), before);

        folders(&at("a/b/d"), 0o711).unwrap();
        folders(&at("a"), 0o711).unwrap();
        assert_eq!(["a", "a/b", "a/b/d"].map(|name| mode(&at(name))), [0o755, 0o755, 0o711]);

        std::os::unix::fs::symlink(at("away"), at("link")).unwrap();
        std::fs::write(at("file"), "").unwrap();
        assert!(folders(&at("link/b"), 0o755).is_err() && folders(&at("file/b"), 0o755).is_err());
        assert!(!at("away").exists());
    }
}
