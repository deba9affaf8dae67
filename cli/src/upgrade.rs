//! `maru upgrade`: installs a newer package, and takes an update back that was cut short.
//!
//! ```text
//! maru upgrade FILE ─▶ apt-get, dpkg ─▶ preinst: backup, former programs kept
//!                                    ─▶ postinst: maru finish-upgrade ─▶ it stays, or the former version is back
//! ```

use std::{
    fs,
    io::IsTerminal as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail};
use clap::Args;
use messages::message;

use crate::{
    error::Usage,
    finding::{Finding, Repair},
    output, sudo,
};
use former::{Former, Stage};
pub(crate) use trial::Start;
use units::Units;

mod door;
mod former;
mod machine;
mod package;
#[cfg(test)]
mod tests;
mod trial;
mod units;

/// The locks of dpkg, and of apt between its calls of dpkg, below the root.
const DPKG_LOCKS: [&str; 2] = ["var/lib/dpkg/lock", "var/lib/dpkg/lock-frontend"];

#[derive(Clone, Debug, Args)]
pub(crate) struct UpgradeArgs {
    /// Packages: a newer maru-home, or maru on a device, and models; without one an update that was cut short is taken back
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Check the packages and say what would happen; change nothing
    #[arg(long, requires = "files")]
    dry_run: bool,
    /// Nothing runs yet, and systemd starts the services afterwards
    #[arg(long, hide = true, conflicts_with = "files")]
    before_start: bool,
}

/// Installs packages, or takes an update back that was cut short.
pub(crate) async fn run(args: UpgradeArgs, root: &Path) -> anyhow::Result<ExitCode> {
    if root != Path::new("/") {
        bail!(message!("upgrade-other-root", root = root.display()));
    }
    if args.files.is_empty() {
        let start = if args.before_start { Start::Later } else { Start::Now };
        if take_back(start, root).await? {
            output::line(trial::taken_back(&Former::of(root)))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut installed = package::installed().context(message!("upgrade-not-installed"))?;
    let former = Former::of(root);
    // Only root can see it.
    let is_undone = former.stage().is_ok_and(|stage| stage == Some(Stage::Undone));
    if is_undone {
        installed.version = former.version();
    }
    let mut files = Vec::new();
    for file in &args.files {
        let package = package::check(file, &installed, is_undone)?;
        output::line(message!(
            "upgrade-plan",
            name = package.name,
            version = package.version,
            own = &installed.version
        ))?;
        files.push(std::path::absolute(file)?);
    }
    output::line(message!("upgrade-steps"))?;
    if args.dry_run {
        return output::line(message!("setup-dry-run")).map(|()| ExitCode::SUCCESS);
    }
    if !rustix::process::geteuid().is_root() {
        return Err(sudo::again(message!("upgrade-needs-root")));
    }
    if std::io::stdin().is_terminal() && !output::is_confirmed(&message!("upgrade-go-on"))? {
        output::note(message!("setup-nothing-changed"));
        return Ok(ExitCode::FAILURE);
    }
    let mut apt = Command::new("apt-get");
    apt.args(["--yes", "--no-install-recommends", "install", "--"]).args(files);
    let status = apt.status().context(message!("upgrade-no-program", program = "apt-get"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Takes an update back that was cut short. False if there is none, which is usual before a start, or if another `maru` does,
/// which systemd waits for, too.
pub(crate) async fn take_back(start: Start, root: &Path) -> anyhow::Result<bool> {
    let former = Former::of(root);
    if former.stage()?.is_none() {
        if start == Start::Later {
            return Ok(false);
        }
        return Err(Usage(message!("upgrade-no-file")).into());
    }
    if !rustix::process::geteuid().is_root() {
        return Err(sudo::again(message!("upgrade-needs-root")));
    }
    let Some(_held) = former.hold()? else {
        if start == Start::Later {
            // It starts the services itself.
            return Ok(false);
        }
        bail!(message!("upgrade-runs"));
    };
    trial::take_back(&former, start, &mut Units::of(root)).await?;
    Ok(true)
}

/// Tries the version that dpkg has unpacked, and takes it back if it does not run.
pub(crate) async fn finish(root: &Path) -> anyhow::Result<ExitCode> {
    let former = Former::of(root);
    if former.stage()?.is_none() {
        return Ok(ExitCode::SUCCESS);
    }
    let Some(_held) = former.hold()? else { bail!(message!("upgrade-runs")) };
    trial::finish(&former, &mut Units::of(root)).await?;
    Ok(ExitCode::SUCCESS)
}

/// Whether Debian's tools carry an update out: they have a lock as long as they run. The kernel says which files are locked
/// (`proc_locks(5)`); to try the locks would disturb them.
///
/// Files are known by their inodes alone: on btrfs `stat` has another device than the kernel's list. Another file of that
/// number which is locked delays the repair.
pub(crate) fn is_going_on(root: &Path) -> bool {
    let stage = Former::of(root).stage();
    if !matches!(stage, Ok(Some(stage)) if stage != Stage::Undone) {
        return false;
    }
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let locked = |file: &Path| {
        let id = file.metadata().map(|meta| format!(":{}", meta.ino()));
        id.is_ok_and(|id| locks.split_whitespace().any(|word| word.ends_with(&id)))
    };
    DPKG_LOCKS.iter().any(|path| locked(&root.join(path)))
}

/// What `maru doctor` says of an update that was taken back, or is not done. Root alone can see it.
pub(crate) fn found(root: &Path) -> Option<Finding> {
    let former = Former::of(root);
    match former.stage() {
        Ok(Some(Stage::Undone)) => {
            let fix = message!("upgrade-fix-undone");
            Some(Finding::warning("upgrade", trial::taken_back(&former), fix))
        }
        Ok(Some(_)) if is_going_on(root) => {
            let text = message!("upgrade-going-on");
            Some(Finding::warning("upgrade", text, message!("upgrade-fix-going-on")))
        }
        Ok(Some(_)) => {
            let text = message!("upgrade-unfinished");
            let finding = Finding::error("upgrade", text, "sudo maru upgrade");
            Some(finding.repaired_by(Repair::TakeBack))
        }
        Ok(None) | Err(_) => None,
    }
}
