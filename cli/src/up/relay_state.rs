//! Takes over what earlier versions kept of the relay below the coordinator's state, where the coordinator could read
//! the relay's keys.

use std::{
    fs::File,
    io::{ErrorKind, Read as _},
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::Path,
};

use anyhow::{Context as _, ensure};
use chassis::durable::{self, Access};
use rustix::{
    fs::{AtFlags, Dir, Mode, OFlags, open, openat, unlinkat},
    io::Errno,
};

use crate::service::{RELAY, RELAY_STATE};

/// Where they kept it, below the root.
const BEFORE: &str = "var/lib/maru/coordinator/relay";
/// More than a file of it holds, in bytes.
const MAX: u64 = 64 * 1024;

/// Moves the files to the relay's own directory, which is there, and gives them to its user. What devices were told of
/// the certificate stays true. A move that was cut short goes on with the next.
pub(super) fn take_over(root: &Path) -> anyhow::Result<()> {
    let before = root.join(BEFORE);
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = match open(&before, OFlags::RDONLY | flags, Mode::empty()) {
        Ok(folder) => folder,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot look into {}", before.display()));
        }
    };
    for name in files(&folder).with_context(|| format!("cannot list {}", before.display()))? {
        take(&folder, &name, &root.join(RELAY_STATE)).with_context(|| {
            format!(
                "cannot move {name} from {} to {RELAY_STATE}; move it by hand, or remove it",
                before.display()
            )
        })?;
    }
    // Something else in it is the coordinator's, and stays.
    match std::fs::remove_dir(&before) {
        Err(error) if error.kind() != ErrorKind::DirectoryNotEmpty => {
            Err(error).with_context(|| format!("cannot remove {}", before.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The relay's files in the folder: certificates with their keys, and its DERP key.
fn files(folder: &OwnedFd) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name == "derp.key" || (name.starts_with("cert-") && name.ends_with(".pem")) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Copies one file, then removes the original. The folder is the coordinator's: whatever else it put there, a link to
/// another file of the host say, is not followed.
fn take(folder: &OwnedFd, name: &str, into: &Path) -> anyhow::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(folder, name, flags, Mode::empty())?);
    let meta = file.metadata()?;
    ensure!(meta.is_file() && meta.nlink() == 1, "it is no regular file of its own");
    let mut content = Vec::new();
    file.take(MAX).read_to_end(&mut content)?;
    write(into, name, &content)?;
    unlinkat(folder, name, AtFlags::empty())?;
    Ok(())
}

/// Writes a file that appears whole, and that the relay alone reads.
fn write(into: &Path, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let access = Access { owner: Some((RELAY, RELAY)), ..Access::SECRET };
    Ok(durable::replace(&into.join(name), access, content)?)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt as _, symlink},
    };

    use super::{BEFORE, take_over};
    use crate::{
        service::{RELAY, RELAY_STATE},
        up::directories,
    };

    fn laid_out() -> (tempfile::TempDir, [std::path::PathBuf; 2]) {
        let root = tempfile::tempdir().unwrap();
        directories::root(root.path()).unwrap();
        directories::all(root.path()).unwrap();
        let folders = [BEFORE, RELAY_STATE].map(|folder| root.path().join(folder));
        (root, folders)
    }

    #[test]
    #[ignore = "needs: root"]
    fn what_an_earlier_version_kept_becomes_the_relays_own() {
        let (root, [before, now]) = laid_out();
        take_over(root.path()).unwrap();
        fs::create_dir(&before).unwrap();
        fs::write(before.join("cert-10.0.0.1.pem"), "both").unwrap();
        fs::write(before.join("derp.key"), "privkey:01").unwrap();
        // The relay ran once before anyone thought of it, or the move was cut short.
        fs::write(now.join("derp.key"), "privkey:02").unwrap();

        take_over(root.path()).unwrap();

        assert!(!before.exists());
        for (name, text) in [("cert-10.0.0.1.pem", "both"), ("derp.key", "privkey:01")] {
            let meta = fs::metadata(now.join(name)).unwrap();
            assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (RELAY, RELAY, 0o600));
            assert_eq!(fs::read_to_string(now.join(name)).unwrap(), text);
        }
        assert_eq!(fs::read_dir(now).unwrap().count(), 2);
    }

    #[test]
    #[ignore = "needs: root"]
    fn a_link_that_the_coordinator_left_is_not_followed() {
        let (root, [before, now]) = laid_out();
        fs::create_dir(&before).unwrap();
        fs::write(root.path().join("secret"), "secret").unwrap();
        symlink(root.path().join("secret"), before.join("derp.key")).unwrap();

        let error = take_over(root.path()).unwrap_err();

        assert!(error.to_string().contains("cannot move derp.key"), "{error}");
        assert_eq!(fs::read_dir(&now).unwrap().count(), 0);
        fs::remove_file(before.join("derp.key")).unwrap();
        fs::remove_dir(&before).unwrap();
        symlink(root.path(), &before).unwrap();
        assert!(take_over(root.path()).is_err(), "nor is the folder itself");
    }
}
