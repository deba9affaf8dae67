//! Waits for services that systemd starts.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::bail;
use coordinator_api::settings::Settings as Coordinator;
use messages::message;
use services::Service;
use supervisor::ready;

use super::systemctl;

/// How often a unit may end and be restarted before the wait for it ends.
const RESTARTS_MAX: u32 = 10;
/// Time between two probes.
const BETWEEN: Duration = Duration::from_millis(200);

/// Waits until a service of the instance at `root` is ready.
///
/// # Errors
///
/// It ends again and again, or is not ready in time.
pub(crate) async fn wait(
    service: &Service,
    patience: Duration,
    root: &Path,
    settings: &Coordinator,
) -> anyhow::Result<()> {
    let unit = service.unit();
    let started = Instant::now();
    while !ready::is_ready(service, root, settings).await {
        if systemctl::restarts(&format!("{unit}.service")).await >= RESTARTS_MAX {
            bail!(message!("unit-ends", unit));
        }
        if started.elapsed() > patience {
            bail!(message!("unit-not-ready", unit, seconds = patience.as_secs()));
        }
        tokio::time::sleep(BETWEEN).await;
    }
    Ok(())
}
