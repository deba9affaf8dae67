//! `maru prepare`: what `maru-prepare.service` runs before systemd starts the services.

use std::{path::Path, process::ExitCode};

use crate::{
    backup::as_root,
    output,
    units::engines,
    up::{self, config, saved_options::SavedOptions},
};

/// Fails beside a running `maru up`. Tells the engines their model; without one they do not start, and the rest does.
pub(crate) fn run(root: &Path) -> anyhow::Result<ExitCode> {
    as_root("prepare")?;
    drop(up::hold(root)?);
    // Another device than a home has no engines.
    if !config::is_there(root) {
        return Ok(ExitCode::SUCCESS);
    }
    let told = SavedOptions::load(root).and_then(|options| engines::tell(root, &options));
    if let Err(error) = told {
        engines::forget(root)?;
        output::note(format!("{error:#}"));
    }
    Ok(ExitCode::SUCCESS)
}
