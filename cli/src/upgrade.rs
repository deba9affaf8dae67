//! `maru upgrade`: installs a newer package, and takes an update back that was cut short.
//!
//! ```text
//! maru upgrade FILE ─▶ apt-get, dpkg ─▶ preinst: backup, former programs kept
//!                                    ─▶ postinst: maru finish-upgrade ─▶ it stays, or the former version is back
//! ```

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail};
use clap::Args;
use messages::message;

use crate::{error::Usage, finding::Finding, output, sudo};
use former::{Former, Stage};
use trial::Start;
use units::Units;

mod former;
mod machine;
mod package;
#[cfg(test)]
mod tests;
mod trial;
mod units;

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
        return take_back(&args, root).await;
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

async fn take_back(args: &UpgradeArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let former = Former::of(root);
    if former.stage()?.is_none() {
        return Err(Usage(message!("upgrade-no-file")).into());
    }
    if !rustix::process::geteuid().is_root() {
        return Err(sudo::again(message!("upgrade-needs-root")));
    }
    let Some(_held) = former.hold()? else {
        if args.before_start {
            // It starts the services itself.
            return Ok(ExitCode::SUCCESS);
        }
        bail!(message!("upgrade-runs"));
    };
    let start = if args.before_start { Start::Later } else { Start::Now };
    trial::take_back(&former, start, &mut Units::of(root)).await?;
    output::line(trial::taken_back(&former))?;
    Ok(ExitCode::SUCCESS)
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

/// What `maru doctor` says of an update that was taken back, or is not done. Root alone can see it.
pub(crate) fn found(root: &Path) -> Option<Finding> {
    let former = Former::of(root);
    match former.stage() {
        Ok(Some(Stage::Undone)) => {
            let fix = message!("upgrade-fix-undone");
            Some(Finding::warning("upgrade", trial::taken_back(&former), fix))
        }
        Ok(Some(_)) => {
            let text = message!("upgrade-unfinished");
            Some(Finding::error("upgrade", text, "sudo maru upgrade"))
        }
        Ok(None) | Err(_) => None,
    }
}
