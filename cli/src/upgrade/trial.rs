//! The course of an update after dpkg has unpacked it: the new version is tried, and taken back if it does not run.
//!
//! ```text
//! Unpacking ──▶ Copying ──▶ Trying ──▶ (no stage) the new version stays
//!     │            │           └──▶ SettingAside ──▶ PuttingBack ─┐
//!     └────────────┴──────────────────────────────────────────────┴──▶ Undone: the former version runs
//! ```
//!
//! Whatever was cut short, by a power cut say, is taken back; a second try is another update.

use anyhow::bail;
use messages::message;

use super::{
    former::{Former, Stage},
    machine::Machine,
};
use crate::output;

/// Whether services are started by whoever takes an update back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// They are stopped first, and started afterwards.
    Now,
    /// Systemd starts them when this is done; nothing runs yet.
    Later,
}

/// Tries the new version. Without services that run there is nothing to try.
///
/// # Errors
///
/// It does not run, and was taken back, or an update was cut short before, and was taken back.
pub(super) async fn finish(former: &Former, machine: &mut impl Machine) -> anyhow::Result<()> {
    match former.stage()? {
        None => return Ok(()),
        Some(Stage::Unpacking) => {}
        // dpkg asks whenever anything is installed, and whoever stopped the services since knows why.
        Some(Stage::Undone) => bail!(taken_back(former)),
        Some(_) => return refuse(former, machine).await,
    }
    if !machine.is_running().await? {
        return former.forget(machine);
    }
    if let Err(error) = attempt(former, machine).await {
        former.explain(&format!("{error:#}"));
        return refuse(former, machine).await;
    }
    former.mark_start(machine)?;
    former.forget(machine)?;
    // Not before: a message that is acknowledged now is not taken back. If this ends here, `postinst` opens and starts them.
    machine.open().await?;
    former.started();
    // It runs: nothing is taken back for this.
    if let Err(error) = machine.announce().await {
        output::note(message!("upgrade-not-announced", error = format!("{error:#}")));
    }
    Ok(())
}

/// Takes the update back, and fails with the reason.
async fn refuse(former: &Former, machine: &mut impl Machine) -> anyhow::Result<()> {
    match take_back(former, Start::Now, machine).await {
        Ok(()) => bail!(taken_back(former)),
        // Only its start is left to do.
        Err(error) if former.stage()? == Some(Stage::Undone) => {
            Err(error.context(taken_back(former)))
        }
        Err(error) => Err(error),
    }
}

async fn attempt(former: &Former, machine: &mut impl Machine) -> anyhow::Result<()> {
    former.can_return()?;
    former.enter(Stage::Copying, machine)?;
    machine.close().await?;
    former.copy(machine)?;
    former.enter(Stage::Trying, machine)?;
    machine.start_and_judge().await
}

/// Takes an update back, from wherever it was; if that is done already, only the start is left.
///
/// # Errors
///
/// Something cannot be put back, and the next call continues; or the former version does not start.
pub(super) async fn take_back(
    former: &Former,
    start: Start,
    machine: &mut impl Machine,
) -> anyhow::Result<()> {
    let Some(stage) = former.stage()? else { return Ok(()) };
    if stage == Stage::Undone {
        // Whoever took it back may have ended before it started what it had stopped.
        return if start == Start::Now { machine.start_former().await } else { Ok(()) };
    }
    if start == Start::Now {
        machine.stop().await?;
    }
    if stage == Stage::Trying {
        former.enter(Stage::SettingAside, machine)?;
    }
    if matches!(stage, Stage::Trying | Stage::SettingAside) {
        former.set_aside(machine)?;
        former.enter(Stage::PuttingBack, machine)?;
    }
    if matches!(stage, Stage::Trying | Stage::SettingAside | Stage::PuttingBack) {
        former.return_data(machine)?;
    }
    let files = machine.package_files();
    former.return_files(&files, machine)?;
    machine.reload().await?;
    former.enter(Stage::Undone, machine)?;
    former.clean();
    if start == Start::Now {
        machine.start_former().await?;
    }
    Ok(())
}

/// What is said of an update that was taken back.
pub(super) fn taken_back(former: &Former) -> messages::Message {
    message!("upgrade-taken-back", version = former.version(), why = former.why())
}
