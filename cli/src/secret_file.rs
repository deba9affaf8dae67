//! Secrets in files, so that they stand in no process list.

use std::{os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Context as _, ensure};
use zeroize::Zeroizing;

/// Group and others.
const OTHERS: u32 = 0o077;

/// Reads `what`, one word, from a file that its owner alone may read; what is no file, such as a pipe, is read as it is.
pub(crate) fn read(path: &Path, what: &str) -> anyhow::Result<Zeroizing<String>> {
    let found = std::fs::metadata(path)
        .with_context(|| format!("{} cannot be read: check its name", path.display()))?;
    ensure!(
        !found.is_file() || found.mode() & OTHERS == 0,
        "others may read the {what} in {}: chmod 600 it, and make another key if they may have",
        path.display()
    );
    let bytes = chassis::pem::contents(path)?;
    word(std::str::from_utf8(&bytes).unwrap_or_default(), what)
        .with_context(|| format!("{} cannot be used", path.display()))
}

/// One word of printable ASCII, without the space around it.
pub(crate) fn word(text: &str, what: &str) -> anyhow::Result<Zeroizing<String>> {
    let text = text.trim();
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(is_word, "it holds no {what}, which is one word of ASCII");
    Ok(Zeroizing::new(text.to_owned()))
}
