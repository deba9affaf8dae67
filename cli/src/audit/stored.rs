//! Who could read the conversations with the AI that are stored on this machine.

use std::path::Path;

use messages::message;
use serde::Serialize;

use crate::{
    machine_key::{self, Protection},
    output,
};

/// What protects stored conversations, and from whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Stored {
    /// What protects the machine's key; `null` if there is none yet, or if only root can see it.
    key: Option<Protection>,
    /// What a thief of this machine's disk reads.
    disk: Readable,
    /// What a thief of a backup reads.
    backup: Readable,
}

/// What somebody reads of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Readable {
    /// What was said.
    Text,
    /// How many there are, when they were written and how long they are; what was said, with the right passphrase.
    TextWithPassphrase,
    /// How many there are, when they were written and how long they are; what was said, with a person's recovery code.
    Metadata,
}

impl Stored {
    fn with(key: Option<Protection>) -> Self {
        let disk = match key {
            Some(Protection::Passphrase | Protection::Tpm) => Readable::TextWithPassphrase,
            // The host key is on the same disk. A key that cannot be seen is taken for the weakest.
            Some(Protection::File | Protection::Host) | None => Readable::Text,
        };
        Self { key, disk, backup: Readable::Metadata }
    }
}

/// Looks at the machine's key.
pub(super) fn look(root: &Path) -> (Stored, Option<anyhow::Error>) {
    match machine_key::protection(root) {
        Ok(key) => (Stored::with(key), None),
        Err(error) => (Stored::with(None), Some(error)),
    }
}

/// Says it in words.
pub(super) fn explain(stored: Stored, error: Option<anyhow::Error>, root: &Path) {
    let path = machine_key::path(root);
    output::note(match (stored.key, error) {
        (Some(Protection::File), _) => message!("audit-key-file", path = path.display()),
        (Some(Protection::Passphrase), _) => message!("audit-key-passphrase"),
        (Some(Protection::Tpm), _) => message!("audit-key-tpm"),
        (Some(Protection::Host), _) => message!("audit-key-host"),
        (None, Some(error)) => message!("audit-key-unknown", error = format!("{error:#}")),
        (None, None) => message!("audit-key-none"),
    });
    output::note(message!("audit-key-backup"));
    output::note(message!("audit-workspace"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_thief_of_the_disk_reads_all_unless_there_is_a_passphrase() {
        let says = |key| serde_json::to_value(Stored::with(key)).unwrap();
        let file = json!({"key": "file", "disk": "text", "backup": "metadata"});
        assert_eq!(says(Some(Protection::File)), file);
        let sealed =
            json!({"key": "passphrase", "disk": "text_with_passphrase", "backup": "metadata"});
        assert_eq!(says(Some(Protection::Passphrase)), sealed);
        let tpm = json!({"key": "tpm", "disk": "text_with_passphrase", "backup": "metadata"});
        assert_eq!(says(Some(Protection::Tpm)), tpm);
        let host = json!({"key": "host", "disk": "text", "backup": "metadata"});
        assert_eq!(says(Some(Protection::Host)), host);
        assert_eq!(says(None), json!({"key": null, "disk": "text", "backup": "metadata"}));
    }

    #[test]
    fn the_key_is_looked_at_where_it_is_stored() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(look(root.path()).0.key, None);
        machine_key::begin(root.path()).unwrap();
        let (stored, error) = look(root.path());
        assert!(stored.key == Some(Protection::File) && error.is_none(), "{error:?}");
    }
}
