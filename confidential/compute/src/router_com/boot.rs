//! Requests to boot.

use std::{io, time::Duration};

use chassis::unix::{ConnectError, Connector};
use confidential_api::names::NONCE_LEN;
use tokio::{net::UnixStream, time::timeout};

use crate::frame::{self, Kind, Refusal};

/// Timeout of a request for evidence, less than the router's.
const EVIDENCE: Duration = Duration::from_secs(20);

/// Connects to boot; logs if its socket belongs to another user.
pub(super) async fn reach(boot: &Connector) -> Result<UnixStream, ConnectError> {
    boot.connect().await.inspect_err(|error| match error {
        ConnectError::Unreachable { .. } => tracing::debug!(%error, "boot is not running"),
        ConnectError::NoSocket(_) | ConnectError::Uid { .. } => {
            tracing::warn!(%error, "the socket is not boot's");
        }
    })
}

/// Reads the next frame from boot or its worker.
pub(super) async fn next(boot: &mut UnixStream, limit: Duration) -> io::Result<(Kind, Vec<u8>)> {
    timeout(limit, frame::read(boot)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Requests evidence for a nonce.
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

/// Checks the health of boot. A connection alone is not enough, since a hanging process still accepts it.
pub(super) async fn lives(boot: &Connector) -> io::Result<()> {
    let mut boot = reach(boot).await?;
    frame::write(&mut boot, Kind::Look, &[]).await?;
    frame::expect(&mut boot, Kind::End).await.map(drop)
}
