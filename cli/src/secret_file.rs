//! Secrets in files, which do not appear in the process list.

use std::{os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Context as _, ensure};
use messages::{Message, message};
use zeroize::Zeroizing;

/// Group and others.
const OTHERS: u32 = 0o077;

/// Reads `what`, one word, from a file that only its owner may read; a pipe needs no such mode.
pub(crate) fn read(path: &Path, what: &Message) -> anyhow::Result<Zeroizing<String>> {
    word(&text(path, what)?, what).with_context(|| message!("file-unusable", path = path.display()))
}

/// Reads `what`, any text, from such a file.
pub(crate) fn text(path: &Path, what: &Message) -> anyhow::Result<Zeroizing<String>> {
    let found = std::fs::metadata(path)
        .with_context(|| message!("file-unreadable", path = path.display()))?;
    ensure!(
        !found.is_file() || found.mode() & OTHERS == 0,
        message!("secret-readable", what, path = path.display())
    );
    let bytes = chassis::pem::contents(path)?;
    Ok(Zeroizing::new(std::str::from_utf8(&bytes).unwrap_or_default().to_owned()))
}

/// One word of printable ASCII, without the space around it.
pub(crate) fn word(text: &str, what: &Message) -> anyhow::Result<Zeroizing<String>> {
    let text = text.trim();
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(is_word, message!("not-a-secret", what));
    Ok(Zeroizing::new(text.to_owned()))
}
