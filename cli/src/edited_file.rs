//! Settings files that a command changes: a copy of the former one stays beside it.

use std::{
    ffi::OsString,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use chassis::durable::{self, Access};

/// Replaces the text of a file. The former one, if any, stays as `NAME.former`, with the same mode and owner.
pub(crate) fn replace(path: &Path, access: Access, text: &str) -> io::Result<()> {
    match fs::read(path) {
        Ok(former) => durable::replace(&former_path(path), access, &former)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    durable::replace(path, access, text.as_bytes())
}

fn former_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, ToOwned::to_owned);
    name.push(".former");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_former_file_stays_as_secret_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("openclaw.json");
        replace(&path, Access::SECRET, "one").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "there was none");
        replace(&path, Access::SECRET, "two").unwrap();
        let former = folder.path().join("openclaw.json.former");
        assert_eq!(fs::read_to_string(&former).unwrap(), "one");
        assert_eq!(fs::metadata(&former).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
    }
}
