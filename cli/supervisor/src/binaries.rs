//! Finds the programs of the services.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use messages::message;

/// Where programs are copied that other users cannot reach.
const COPIES: &str = "var/lib/maru/bin";

/// Finds a program beside `maru` itself, else in `PATH`.
pub fn find(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context(message!("own-path-unknown"))?;
    let beside = own.parent().map(|folder| folder.join(name)).filter(|path| path.is_file());
    beside
        .or_else(|| in_path(name))
        .ok_or_else(|| anyhow!(message!("program-missing", name, own = own.display())))
}

/// Finds a program in `PATH`.
#[must_use]
pub fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // The PATH of sudo or cron often lacks these folders.
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// A path to the program at `binary` that every user can run: the program itself, or a copy below `root` if its folder is
/// private.
pub fn for_everyone(binary: &Path, root: &Path) -> anyhow::Result<PathBuf> {
    if is_public(binary, 0o005) {
        return Ok(binary.to_owned());
    }
    let name = binary.file_name().unwrap_or_default();
    let folder = root.join(COPIES);
    std::fs::create_dir_all(&folder)
        .with_context(|| message!("directory-not-made", path = folder.display()))?;
    let copy = folder.join(name);
    let new = folder.join(format!(".{}.new", name.display()));
    let copied = std::fs::copy(binary, &new)
        .and_then(|_| std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)))
        .and_then(|()| std::fs::rename(&new, &copy));
    copied.with_context(|| {
        message!("program-not-copied", from = binary.display(), to = copy.display())
    })?;
    Ok(copy)
}

/// Whether others have `mode` on the path and can reach it.
fn is_public(path: &Path, mode: u32) -> bool {
    let has = |path: &Path, mode: u32| {
        std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & mode == mode)
    };
    has(path, mode) && path.ancestors().skip(1).all(|dir| has(dir, 0o001))
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    use super::{for_everyone, is_public};

    #[test]
    fn a_program_in_a_private_folder_is_copied() {
        let root = tempfile::tempdir().unwrap();
        let private = root.path().join("private");
        std::fs::create_dir(&private).unwrap();
        std::fs::set_permissions(&private, Permissions::from_mode(0o700)).unwrap();
        let program = private.join("maru-agent");
        std::fs::write(&program, "program").unwrap();
        std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();

        let copy = for_everyone(&program, root.path()).unwrap();

        assert!(!is_public(&program, 0o005));
        assert_eq!(std::fs::read(&copy).unwrap(), b"program");
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o755);
    }
}
