//! What an earlier run of `maru up`, or `maru model use`, was told.

use std::path::{Path, PathBuf};

use chassis::state::Format;
use serde::{Deserialize, Serialize};

/// The file, below the root.
const FILE: &str = "var/lib/maru/up.json";
const FORMAT: Format<Remembered> = Format::new(1).remedy("remove it and give --model");

/// What was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// The model of the embedded engines.
    pub(crate) model: Option<PathBuf>,
    /// Threads of each engine.
    pub(crate) threads: Option<u16>,
}

impl Remembered {
    /// Reads what was told in the instance at `root`.
    pub(crate) fn load(root: &Path) -> anyhow::Result<Self> {
        Ok(FORMAT.read(&root.join(FILE))?.unwrap_or_default())
    }

    /// Keeps it.
    pub(crate) fn store(&self, root: &Path) -> anyhow::Result<()> {
        Ok(FORMAT.write(&root.join(FILE), self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{FILE, Remembered};

    #[test]
    fn what_an_earlier_run_was_told_is_remembered() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("var/lib/maru")).unwrap();
        let told = Remembered { model: Some("/m.gguf".into()), threads: Some(3) };

        told.store(root.path()).unwrap();

        assert_eq!(Remembered::load(root.path()).unwrap(), told);
        let newer = r#"{"version":2,"model":null,"threads":null}"#;
        std::fs::write(root.path().join(FILE), newer).unwrap();
        assert!(Remembered::load(root.path()).unwrap_err().to_string().contains("update Maru"));
    }
}
