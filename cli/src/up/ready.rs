//! Whether a service answers.

use std::{path::Path, time::Duration};

use tokio::net::{TcpStream, UnixStream};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether `GET path` over the socket answers with success.
pub(super) async fn answers(socket: &Path, path: &str) -> bool {
    let Ok(client) = reqwest::Client::builder().unix_socket(socket).timeout(PATIENCE).build()
    else {
        return false;
    };
    let answer = client.get(format!("http://localhost{path}")).send().await;
    answer.is_ok_and(|response| response.status().is_success())
}

/// Whether something listens on the socket. A mesh service answers nobody but the agent,
/// so more cannot be asked.
pub(super) async fn listens(socket: &Path) -> bool {
    UnixStream::connect(socket).await.is_ok()
}

/// Whether something listens on the port.
pub(super) async fn accepts(address: std::net::SocketAddr) -> bool {
    tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await.is_ok_and(|r| r.is_ok())
}
