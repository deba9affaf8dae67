//! Ready binaries of cargo's helpers, from PyPI by version.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{progress::Step, workspace};

/// A helper by name, with its package's version.
const VERSIONS: &[(&str, &str)] = &[
    ("cargo-nextest", "0.9.148"),
    ("cargo-fuzz", "0.13.2"),
    ("cargo-deny", "0.20.2"),
    ("cargo-shear", "1.14.0"),
];

/// The path of a helper, which is fetched when it is not there.
pub(crate) fn get(name: &str) -> Result<PathBuf> {
    let (_, version) =
        VERSIONS.iter().find(|(known, _)| *known == name).context("no such helper is pinned")?;
    let dir = workspace::target()?.join("tools").join(format!("{name}-{version}"));
    let path = dir.join(name);
    if path.exists() {
        return Ok(path);
    }
    let step = Step::new(&format!("fetching {name} {version}"));
    let wheel = download(&format!("astral-dev-toolchain-{name}=={version}"), &dir)?;
    let partial = dir.join(format!("{name}.partial"));
    fs::write(&partial, unpack(&wheel, &format!("/scripts/{name}"))?)?;
    fs::set_permissions(&partial, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs::rename(&partial, &path)?;
    fs::remove_file(wheel)?;
    step.done(&format!("{name} {version}"));
    Ok(path)
}

/// Downloads one wheel into `dir`; returns its path.
pub(crate) fn download(requirement: &str, dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let out = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"])
        .args(["--only-binary", ":all:", "--dest"])
        .arg(dir)
        .arg(requirement)
        .stdin(Stdio::null())
        .output()
        .context("no python3 with pip")?;
    ensure!(
        out.status.success(),
        "pip download {requirement} failed: {}",
        String::from_utf8_lossy(&out.stderr).trim()
    );
    fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .context("pip downloaded no wheel")
}

/// The content of the one file in a wheel whose path ends in `suffix`.
pub(crate) fn unpack(wheel: &Path, suffix: &str) -> Result<Vec<u8>> {
    const SCRIPT: &str = "import sys,zipfile\n\
        z=zipfile.ZipFile(sys.argv[1])\n\
        n=[n for n in z.namelist() if n.endswith(sys.argv[2])]\n\
        sys.stdout.buffer.write(z.read(n[0]))";
    let out = Command::new("python3").args(["-c", SCRIPT]).arg(wheel).arg(suffix).output()?;
    ensure!(out.status.success(), "{} holds no {suffix}", wheel.display());
    Ok(out.stdout)
}
