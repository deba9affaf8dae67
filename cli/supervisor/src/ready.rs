//! Readiness probes of services.

use std::{net::SocketAddr, path::Path, time::Duration};

use chassis::unix::Connector;
use coordinator_api::settings::Settings;
use services::{Probe, Service};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::local::{LocalClient, connector};

/// Timeout of one probe.
const PATIENCE: Duration = Duration::from_secs(2);
/// Start of a successful response.
const OK: [u8; 12] = *b"HTTP/1.1 200";

/// Whether a service of the instance at `root` is ready, by its row of the service table; `settings` are the
/// coordinator's.
pub async fn is_ready(service: &Service, root: &Path, settings: &Settings) -> bool {
    let socket = service.listens.first().map(|link| connector(link, root));
    match (service.ready.probe, socket) {
        (Probe::Get(path), Some(socket)) => answers(&socket, path).await,
        (Probe::MeshHealth, Some(socket)) => healthy(&socket).await,
        // A test checks that such a row does not exist.
        (Probe::Get(_) | Probe::MeshHealth, None) => false,
        // The coordinator is the relay.
        (Probe::RelayPort, _) if settings.relay.embedded => {
            accepts(settings.listen.reachable()).await
        }
        (Probe::RelayPort, _) => accepts(settings.relay.listen.reachable()).await,
    }
}

/// Whether `GET path` over the socket answers with success.
async fn answers(socket: &Connector, path: &str) -> bool {
    let Ok(local) = LocalClient::open(socket, PATIENCE).await else {
        return false;
    };
    let answer = local.http.get(format!("http://localhost{path}")).send().await;
    answer.is_ok_and(|response| response.status().is_success())
}

/// Whether a mesh service is healthy. The PROXY header's command LOCAL means a health check by the machine itself (PROXY
/// protocol, section 2.2).
async fn healthy(socket: &Connector) -> bool {
    tokio::time::timeout(PATIENCE, check(socket)).await.is_ok_and(|answer| answer.unwrap_or(false))
}

async fn check(socket: &Connector) -> std::io::Result<bool> {
    let mut stream = socket.connect().await?;
    let mut question = mesh_identity::LOCAL.to_vec();
    question.extend_from_slice(
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    stream.write_all(&question).await?;
    let mut answer = [0; OK.len()];
    stream.read_exact(&mut answer).await?;
    Ok(answer == OK)
}

/// Whether something listens on the port.
async fn accepts(address: SocketAddr) -> bool {
    tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await.is_ok_and(|r| r.is_ok())
}

#[cfg(test)]
mod tests {
    use coordinator_api::endpoints::HEALTH;
    use node_agent_api::endpoints::STATUS;
    use services::{AGENT_SERVICE, COORDINATOR_SERVICE, Probe};

    #[test]
    fn the_daemons_are_asked_for_what_they_answer() {
        assert_eq!(AGENT_SERVICE.ready.probe, Probe::Get(STATUS.declaration.path));
        assert_eq!(COORDINATOR_SERVICE.ready.probe, Probe::Get(HEALTH.declaration.path));
    }
}
