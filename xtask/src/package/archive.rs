//! Archives whose bytes depend on their contents alone: order, times, owners and modes are fixed.

use anyhow::{Result, ensure};
use tar::{Builder, EntryType, Header};

/// The time of every file, 2026-01-01 in seconds since 1970: one that no build changes.
pub(super) const TIME: u64 = 1_767_225_600;
/// The same in the words of RFC 3339.
pub(super) const TIME_TEXT: &str = "2026-01-01T00:00:00Z";
/// Longest name, in bytes: what the oldest header of `tar(5)` holds.
const NAME_MAX: usize = 100;

/// A file of a package or an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) bytes: Vec<u8>,
    /// Whether it is a program.
    pub(super) runs: bool,
}

impl File {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { bytes: text.into().into_bytes(), runs: false }
    }

    pub(super) fn program(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), runs: true }
    }
}

/// A tar archive of these entries in this order; `None` is a folder. Everything is root's.
///
/// # Errors
///
/// A name is longer than [`NAME_MAX`].
pub(super) fn tar<'a>(
    entries: impl IntoIterator<Item = (&'a str, Option<&'a File>)>,
) -> Result<Vec<u8>> {
    let mut out = Builder::new(Vec::new());
    for (name, file) in entries {
        ensure!(name.len() <= NAME_MAX, "the name {name} is too long for an archive");
        let mut header = Header::new_gnu();
        // As it stands: `Header::set_path` drops a leading `./`.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(if file.is_some() {
            EntryType::Regular
        } else {
            EntryType::Directory
        });
        header.set_mode(if file.is_none_or(|file| file.runs) { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_username("root")?;
        header.set_groupname("root")?;
        header.set_mtime(TIME);
        let bytes = file.map_or(&[][..], |file| file.bytes.as_slice());
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        out.append(&header, bytes)?;
    }
    Ok(out.into_inner()?)
}
