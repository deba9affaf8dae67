//! What this run starts: decided and checked before anything is started.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::{
    args::UpArgs,
    service::podman::Model,
    up::{binaries, checks, config, directories},
};

/// What an earlier run was told, below the root.
const REMEMBERED: &str = "var/lib/maru/up.json";
/// Version of that file.
const VERSION: u32 = 1;

/// A checked plan.
#[derive(Debug)]
pub(super) struct Plan {
    /// The instance's root.
    pub(super) root: PathBuf,
    /// The model of both engines.
    pub(super) model: Model,
    /// Threads of each engine.
    pub(super) threads: u16,
    /// Person to create.
    pub(super) user: Option<String>,
    /// The coordinator's settings.
    pub(super) coordinator: config::Coordinator,
    /// Program of coordinator and relay.
    pub(super) coordinator_program: PathBuf,
    /// Program of the agent.
    pub(super) agent_program: PathBuf,
    /// Programs of the containers, as [`crate::up::engine::programs`] lists them.
    pub(super) container_programs: Vec<PathBuf>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    version: u32,
    model: Option<PathBuf>,
    threads: Option<u16>,
}

impl Plan {
    /// Makes directories and missing configuration, and checks all that can be checked.
    pub(super) fn make(args: &UpArgs, root: &Path) -> anyhow::Result<Self> {
        let mut remembered = remembered(root)?;
        let before = remembered.clone();
        let path = match args.model.clone().or_else(|| remembered.model.clone()) {
            Some(path) => path,
            None => checks::only_model(root)?,
        };
        let model = checks::model(&path)?;
        if args.model.is_some() {
            remembered.model = Some(model.path.clone());
        }
        remembered.threads = args.threads.or(remembered.threads);
        let programs = crate::up::engine::programs();
        let container_programs =
            programs.iter().map(|name| binaries::find(name)).collect::<anyhow::Result<_>>()?;
        let coordinator_program = binaries::find("maru-coordinator")?;
        let agent_program = binaries::find("maru-agent")?;

        directories::all(root)?;
        config::write_missing(root, args.address.as_deref(), args.network.as_deref())?;
        checks::ports_free(&config::ports(root)?)?;
        if remembered != before {
            remember(root, &remembered)?;
        }
        Ok(Self {
            root: root.to_owned(),
            model,
            threads: remembered.threads.unwrap_or_else(half_of_the_processors),
            user: args.user.clone(),
            coordinator: config::coordinator(root)?,
            coordinator_program: binaries::for_everyone(&coordinator_program, root)?,
            agent_program: binaries::for_everyone(&agent_program, root)?,
            container_programs,
        })
    }
}

/// Half of the processors: the other half answers people, and two threads on one core slow
/// each other.
fn half_of_the_processors() -> u16 {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u16::try_from(count / 2).unwrap_or(u16::MAX).max(1)
}

fn remembered(root: &Path) -> anyhow::Result<Remembered> {
    let path = root.join(REMEMBERED);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Remembered { version: VERSION, ..Remembered::default() });
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let found: Remembered = serde_json::from_str(&text)
        .with_context(|| format!("{} is damaged; remove it and give --model", path.display()))?;
    anyhow::ensure!(
        found.version == VERSION,
        "{} is of another version of Maru ({}); update Maru",
        path.display(),
        found.version
    );
    Ok(found)
}

fn remember(root: &Path, remembered: &Remembered) -> anyhow::Result<()> {
    let path = root.join(REMEMBERED);
    let new = root.join(format!("{REMEMBERED}.new"));
    let text = serde_json::to_string_pretty(remembered)?;
    let written = std::fs::write(&new, text)
        .and_then(|()| std::fs::File::open(&new)?.sync_all())
        .and_then(|()| std::fs::rename(&new, &path));
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{REMEMBERED, Remembered, remember, remembered};

    #[test]
    fn what_an_earlier_run_was_told_is_remembered() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("var/lib/maru")).unwrap();
        let told = Remembered { version: 1, model: Some("/m.gguf".into()), threads: Some(3) };

        remember(root.path(), &told).unwrap();

        assert_eq!(remembered(root.path()).unwrap(), told);
        let newer = r#"{"version":2,"model":null,"threads":null}"#;
        std::fs::write(root.path().join(REMEMBERED), newer).unwrap();
        assert!(remembered(root.path()).unwrap_err().to_string().contains("another version"));
    }
}
