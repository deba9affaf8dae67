//! Options of `maru up` and `maru model use` that later runs use.

use std::path::{Path, PathBuf};

use chassis::{machine, state::Format};
use gguf::CacheType;
use messages::message;
use serde::{Deserialize, Serialize};
use services::{ENGINE, EngineOptions, SERVICES, Service};

/// The file, below the root.
const FILE: &str = "var/lib/maru/up.json";
const FORMAT: Format<SavedOptions> = Format::new(1).remedy(|| message!("remedy-give-model"));

/// The saved options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedOptions {
    /// The model of the embedded engines.
    pub(crate) model: Option<PathBuf>,
    /// Threads of each engine.
    pub(crate) threads: Option<u16>,
    /// How many engines: 1, or 2 if nothing was told.
    pub(crate) engines: Option<u8>,
    /// Numbers that the engines' conversations are made of.
    pub(crate) cache_type: Option<CacheType>,
    /// Memory for conversations without a slot, in MiB, of each engine.
    pub(crate) cache_mib: Option<u32>,
    /// How long they are remembered, in seconds.
    pub(crate) cache_seconds: Option<u32>,
    /// The model of the spare engine, if it has one of its own.
    pub(crate) spare_model: Option<PathBuf>,
    /// Folder of the daily backups.
    pub(crate) backups: Option<PathBuf>,
    /// How many of them stay.
    pub(crate) keep_backups: Option<u16>,
}

impl SavedOptions {
    /// Reads the options of the instance at `root`.
    pub(crate) fn load(root: &Path) -> anyhow::Result<Self> {
        Ok(FORMAT.read(&root.join(FILE))?.unwrap_or_default())
    }

    /// Whether this service runs: the second engine is a choice.
    pub(crate) fn runs(&self, service: &Service) -> bool {
        self.engines != Some(1) || !service.is_spare()
    }

    /// Options of each engine. Without a choice of threads the engines share the cores, and one engine alone leaves a core to what
    /// answers people: llama.cpp's threads wait for each other by spinning, so those of two engines on one core slow each
    /// other.
    pub(crate) fn engine(&self) -> EngineOptions {
        let engines = SERVICES.iter().filter(|it| it.uid == ENGINE && self.runs(it)).count();
        let threads = || share(machine::cores(Path::new("/")), engines);
        EngineOptions {
            threads: self.threads.unwrap_or_else(threads),
            cache_type: self.cache_type.map(CacheType::as_str),
            cache_mib: self.cache_mib,
            cache_seconds: self.cache_seconds,
            has_spare_model: self.spare_model.is_some(),
        }
    }

    /// How many engines use the model that answers.
    pub(crate) fn engines(&self) -> usize {
        let uses = |it: &&Service| {
            it.uid == ENGINE && self.runs(it) && !(self.spare_model.is_some() && it.is_spare())
        };
        SERVICES.iter().filter(uses).count()
    }

    /// Saves the model that the engines of the instance at `root` use.
    pub(crate) fn keep_model(root: &Path, model: &Path) -> anyhow::Result<()> {
        let mut told = Self::load(root)?;
        told.model = Some(model.to_owned());
        told.store(root)
    }

    /// Saves them.
    pub(crate) fn store(&self, root: &Path) -> anyhow::Result<()> {
        Ok(FORMAT.write(&root.join(FILE), self)?)
    }
}

/// Threads of each of so many engines.
fn share(cores: usize, engines: usize) -> u16 {
    let share = cores.saturating_sub(1).min(cores / engines.max(1)).max(1);
    u16::try_from(share).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use services::{ENGINE, SERVICES};

    use super::{CacheType, FILE, SavedOptions, share};

    #[test]
    fn engines_share_the_cores_and_one_alone_leaves_one() {
        let all = [(1, 1), (1, 2), (2, 1), (2, 2), (8, 1), (8, 2)];
        assert_eq!(all.map(|(cores, engines)| share(cores, engines)), [1, 1, 1, 1, 7, 4]);
    }

    #[test]
    fn what_an_earlier_run_was_told_is_remembered() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("var/lib/maru")).unwrap();
        let told = SavedOptions {
            model: Some("/m.gguf".into()),
            threads: Some(3),
            engines: Some(1),
            cache_type: Some(CacheType::Q8_0),
            cache_mib: Some(64),
            cache_seconds: Some(0),
            spare_model: Some("/small.gguf".into()),
            backups: Some("/mnt/disk".into()),
            keep_backups: Some(3),
        };

        told.store(root.path()).unwrap();

        assert_eq!(SavedOptions::load(root.path()).unwrap(), told);
        let older = r#"{"version":1,"model":null,"threads":null}"#;
        std::fs::write(root.path().join(FILE), older).unwrap();
        assert_eq!(SavedOptions::load(root.path()).unwrap(), SavedOptions::default());
        let newer = r#"{"version":2,"model":null,"threads":null}"#;
        std::fs::write(root.path().join(FILE), newer).unwrap();
        assert!(SavedOptions::load(root.path()).unwrap_err().to_string().contains("update Maru"));
    }

    #[test]
    fn a_spare_engine_runs_unless_it_was_told_otherwise() {
        let engines = |engines| {
            let told = SavedOptions { engines, ..SavedOptions::default() };
            let run: Vec<_> = SERVICES.iter().filter(|service| told.runs(service)).collect();
            (run.len(), run.iter().filter(|service| service.uid == ENGINE).count())
        };
        let all = SERVICES.len();
        assert_eq!(engines(None), (all, 2));
        assert_eq!(engines(Some(2)), (all, 2));
        assert_eq!(engines(Some(1)), (all - 1, 1));
    }
}
