//! Health of services.

use std::{io, net::SocketAddr, path::Path, time::Duration};

use coordinator_api::settings::Settings;
use services::{Probe, Service};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    time::{sleep, timeout},
};

use crate::local::connector;

/// Timeout of one probe.
const PATIENCE: Duration = Duration::from_secs(2);
/// Start of a successful response.
const OK: [u8; 12] = *b"HTTP/1.1 200";

/// What a service makes of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is ready.
    Ready,
    /// It says something else, or ends the connection: its program runs.
    NotReady,
    /// It says nothing within two seconds.
    Silent,
    /// Nobody listens, or not the service's user.
    Away,
}

/// Whether a service of the instance at `root` is ready, by its row of the service table; `settings` are the
/// coordinator's.
pub async fn is_ready(service: &Service, root: &Path, settings: &Settings) -> bool {
    match service.ready.probe {
        Probe::Get(_) | Probe::MeshHealth => ask(service, root).await.0 == Health::Ready,
        // The coordinator is the relay.
        Probe::RelayPort if settings.relay.embedded => accepts(settings.listen.reachable()).await,
        Probe::RelayPort => accepts(settings.relay.listen.reachable()).await,
    }
}

/// Asks a service of the instance at `root` over its first socket how it is. Returns the process, too, that listens there.
///
/// The service may be compromised: no more than twelve bytes are read, and each probe ends in time.
pub async fn ask(service: &Service, root: &Path) -> (Health, Option<i32>) {
    let (preface, path): (&[u8], _) = match service.ready.probe {
        Probe::Get(path) => (&[], path),
        // The PROXY header's command LOCAL means a health check by the machine itself (PROXY protocol, section 2.2).
        Probe::MeshHealth => (&mesh_identity::LOCAL, "/healthz"),
        Probe::RelayPort => return (Health::Away, None),
    };
    // A test checks that a row without a socket does not exist.
    let Some(link) = service.listens.first() else { return (Health::Away, None) };
    let mut stream = match connector(link, root).connect().await {
        Ok(stream) => stream,
        // The queue of connections is full: nobody takes them.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            sleep(PATIENCE).await;
            return (Health::Silent, None);
        }
        Err(_) => return (Health::Away, None),
    };
    let listener = stream.peer_cred().ok().and_then(|peer| peer.pid());
    let question = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let question = [preface, question.as_bytes()].concat();
    let health = match timeout(PATIENCE, exchange(&mut stream, &question)).await {
        Ok(Ok(OK)) => Health::Ready,
        Ok(Ok(_) | Err(_)) => Health::NotReady,
        Err(_) => Health::Silent,
    };
    (health, listener)
}

async fn exchange(stream: &mut UnixStream, question: &[u8]) -> io::Result<[u8; OK.len()]> {
    stream.write_all(question).await?;
    let mut answer = [0; OK.len()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// Whether something listens on the port.
async fn accepts(address: SocketAddr) -> bool {
    timeout(PATIENCE, TcpStream::connect(address)).await.is_ok_and(|r| r.is_ok())
}

#[cfg(test)]
mod tests {
    use coordinator_api::endpoints::HEALTH;
    use node_agent_api::endpoints::STATUS;
    use rustix::process::{getgid, getpid, getuid};
    use services::{AGENT_SERVICE, COORDINATOR_SERVICE, GATEWAY_SERVICE, Link};
    use tokio::net::UnixListener;

    use super::*;

    /// An instance, and a row of this process's user.
    fn instance(row: Service) -> (tempfile::TempDir, Service) {
        let root = tempfile::tempdir().unwrap();
        let (owner, group) = (getuid().as_raw(), getgid().as_raw());
        let link = Link { owner, group, ..row.listens[0] };
        std::fs::create_dir_all(root.path().join(link.directory())).unwrap();
        (root, Service { listens: vec![link].leak(), ..row })
    }

    /// Health of a service that reads this question, and then says this; `None`: nothing.
    async fn health(row: Service, question: &[u8], answer: Option<&[u8]>) -> Health {
        let (root, service) = instance(row);
        let listener = UnixListener::bind(service.socket(root.path()).unwrap()).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; question.len()];
            stream.read_exact(&mut asked).await.unwrap();
            assert_eq!(asked, question);
            match answer {
                Some(answer) => stream.write_all(answer).await.unwrap(),
                None => std::future::pending().await,
            }
        };
        let mut asked = std::pin::pin!(ask(&service, root.path()));
        let (health, pid) = tokio::select! {
            heard = &mut asked => heard,
            () = serve => asked.await,
        };
        assert_eq!(pid, Some(getpid().as_raw_nonzero().get()));
        health
    }

    #[tokio::test]
    async fn a_service_is_ready_or_runs_or_says_nothing() {
        let mesh = [&mesh_identity::LOCAL[..], b"GET /healthz HTTP/1.1\r\n"].concat();
        let answers = [
            (Some(&b"HTTP/1.1 200 OK\r\n"[..]), Health::Ready),
            (Some(b"HTTP/1.1 503 Service Unavailable\r\n"), Health::NotReady),
            // Turned away, as when there are too many connections.
            (Some(b""), Health::NotReady),
            (None, Health::Silent),
        ];
        for (answer, expected) in answers {
            assert_eq!(health(GATEWAY_SERVICE, &mesh, answer).await, expected, "{answer:?}");
        }
        let plain = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n";
        let ready = Some(&b"HTTP/1.1 200 OK\r\n"[..]);
        assert_eq!(health(AGENT_SERVICE, plain, ready).await, Health::Ready);
    }

    #[tokio::test]
    async fn nobody_listens_or_somebody_else_does() {
        let (root, service) = instance(GATEWAY_SERVICE);
        assert_eq!(ask(&service, root.path()).await, (Health::Away, None));
        let socket = service.socket(root.path()).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        let link = Link { owner: getuid().as_raw() + 1, ..service.listens[0] };
        let other = Service { listens: vec![link].leak(), ..service };
        assert_eq!(ask(&other, root.path()).await, (Health::Away, None));
    }

    #[test]
    fn the_daemons_are_asked_for_what_they_answer() {
        assert_eq!(AGENT_SERVICE.ready.probe, Probe::Get(STATUS.declaration.path));
        assert_eq!(COORDINATOR_SERVICE.ready.probe, Probe::Get(HEALTH.declaration.path));
    }
}
