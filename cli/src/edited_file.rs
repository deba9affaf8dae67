//! Settings files that a command changes: a copy of the former one stays beside it.

use std::{
    ffi::OsString,
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use chassis::durable::{self, Access};
use messages::message;

use crate::output;

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

/// Planned changes of files.
#[derive(Debug, Default)]
pub(crate) struct Changes(Vec<(PathBuf, PathBuf, String, Access)>);

impl Changes {
    /// Plans a file's new text; `empty` is the text of a missing one.
    pub(crate) fn plan(
        &mut self,
        root: &Path,
        path: &Path,
        empty: &str,
        edit: impl FnOnce(&str) -> Option<String>,
    ) -> anyhow::Result<()> {
        let place = root.join(path);
        let (text, access) = match fs::symlink_metadata(&place) {
            Ok(found) if found.is_file() => {
                let text = fs::read_to_string(&place)
                    .with_context(|| message!("file-not-read-unchanged", path = place.display()))?;
                let (mode, owner) = (found.mode() & 0o7777, Some((found.uid(), found.gid())));
                (text, Access { mode, owner })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                (empty.to_owned(), Access::READABLE)
            }
            Ok(_) | Err(_) => {
                bail!(message!("not-a-plain-file", path = place.display()))
            }
        };
        let Some(new) = edit(&text) else {
            bail!(message!("file-not-editable", path = path.display()));
        };
        if new != text {
            self.0.push((path.to_owned(), place, new, access));
        }
        Ok(())
    }

    /// Writes them; the former files stay beside the new ones.
    pub(crate) fn write(self) -> anyhow::Result<()> {
        for (path, place, text, access) in self.0 {
            replace(&place, access, &text)
                .with_context(|| message!("file-not-saved", path = place.display()))?;
            output::note(message!("file-changed", path = path.display()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
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
