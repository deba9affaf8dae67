//! `maru prepare`: what `maru-prepare.service` runs before systemd starts the services.

use std::{fs, io::ErrorKind, path::Path, process::ExitCode};

use anyhow::Context as _;
use chassis::durable::{self, Access};
use messages::message;
use services::RELAY_EMBEDDED;

use crate::{
    backup::as_root,
    output,
    units::engines,
    up::{self, config, saved_options::SavedOptions},
};

/// Fails beside a running `maru up`. Tells the engines their model, and the relay whether it is wanted. Without a model the
/// engines do not start, and the rest does.
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
    if let Err(error) = tell_relay(root) {
        output::note(format!("{error:#}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn tell_relay(root: &Path) -> anyhow::Result<()> {
    let file = root.join(RELAY_EMBEDDED);
    if config::coordinator(root)?.relay.embedded {
        return durable::replace(&file, Access::READABLE, b"")
            .with_context(|| message!("file-not-saved", path = file.display()));
    }
    match fs::remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| message!("file-not-deleted", path = file.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
