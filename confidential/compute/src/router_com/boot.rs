//! What boot is asked.

use std::{io, time::Duration};

use chassis::unix::{ConnectError, Connector};
use confidential_api::names::NONCE_LEN;
use tokio::{net::UnixStream, time::timeout};

use crate::frame::{self, Kind, Refusal};

/// How long boot may take to show evidence, less than the router waits for that.
const EVIDENCE: Duration = Duration::from_secs(20);

/// Connects to boot; the log says if somebody else is in its place.
pub(super) async fn reach(boot: &Connector) -> Result<UnixStream, ConnectError> {
    boot.connect().await.inspect_err(|error| match error {
        ConnectError::Unreachable { .. } => tracing::debug!(%error, "boot is not there"),
        ConnectError::NoSocket(_) | ConnectError::Uid { .. } => {
            tracing::warn!(%error, "boot is not what it should be");
        }
    })
}

/// What boot or its worker says next, within so long.
pub(super) async fn next(boot: &mut UnixStream, limit: Duration) -> io::Result<(Kind, Vec<u8>)> {
    timeout(limit, frame::read(boot)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The evidence for a nonce, as boot shows it.
pub(super) async fn evidence(boot: &Connector, nonce: [u8; NONCE_LEN]) -> Result<Vec<u8>, Refusal> {
    let asked = async {
        let mut boot = reach(boot).await?;
        frame::write(&mut boot, Kind::Evidence, &nonce).await?;
        next(&mut boot, EVIDENCE).await
    };
    match asked.await {
        Ok((Kind::Document, evidence)) => Ok(evidence),
        Ok((Kind::Refused, payload)) => Err(Refusal::read(&payload)),
        Ok(_) | Err(_) => Err(Refusal::Failed),
    }
}

/// Returns once boot has said that it is well: one that hangs would still be connected to.
pub(super) async fn lives(boot: &Connector) -> io::Result<()> {
    let mut boot = reach(boot).await?;
    frame::write(&mut boot, Kind::Look, &[]).await?;
    frame::expect(&mut boot, Kind::End).await.map(drop)
}
