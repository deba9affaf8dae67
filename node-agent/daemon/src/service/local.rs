//! Services for programs of this machine: forwards loopback addresses to a service's socket.
//!
//! Any user's program may connect, so the caller has no identity: the header has the command LOCAL
//! ([`mesh_identity::LOCAL`]). The service decides what it answers then.

use std::{future::pending, io, net::SocketAddr, sync::Arc};

use chassis::{accept::Connections, unix::Connector};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet, time::timeout};

use super::{SERVICE_WAIT, answers, bind, connector};
use crate::{
    agent::Agent,
    proxy::{ResponsePolicy, forward, keep_alive},
};

/// Connections of one address at once.
const MAX_CONNECTIONS: usize = 128;

/// Listens on every local address of every service until it is dropped.
pub(crate) async fn run(agent: Arc<Agent>) {
    let mut tasks = JoinSet::new();
    for service in &agent.config.settings.service {
        let socket = Arc::new(connector(&agent.paths, service));
        for address in &service.local {
            let name: Arc<str> = service.name.as_str().into();
            tasks.spawn(listen(*address, name, Arc::clone(&socket), answers(service)));
        }
    }
    while tasks.join_next().await.is_some() {}
}

async fn listen(
    address: SocketAddr,
    name: Arc<str>,
    socket: Arc<Connector>,
    answers: ResponsePolicy,
) {
    let listener = bind(address, &name).await;
    tracing::info!(%address, service = %name, "service offered to programs of this machine");
    let connect =
        |stream, _, _| Some(serve(stream, Arc::clone(&name), Arc::clone(&socket), answers.clone()));
    let connections = Connections::new("local connections to a service", MAX_CONNECTIONS);
    connections.serve(listener, pending(), connect).await;
}

async fn serve(
    mut stream: TcpStream,
    name: Arc<str>,
    socket: Arc<Connector>,
    answers: ResponsePolicy,
) {
    let announced = async {
        let mut service = socket.connect().await?;
        service.write_all(&mesh_identity::LOCAL).await?;
        Ok::<_, io::Error>(service)
    };
    let late = || Err(io::ErrorKind::TimedOut.into());
    match timeout(SERVICE_WAIT, announced).await.unwrap_or_else(|_| late()) {
        Ok(mut service) => {
            keep_alive(&stream);
            let _ = forward(stream.split(), service.split(), answers).await;
        }
        Err(error) => {
            tracing::debug!(service = %name, %error, "the service is not available for a local connection")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, path::Path};

    use node_agent_api::settings::Service;
    use tokio::{
        io::AsyncReadExt as _,
        net::{TcpListener, UnixListener},
    };

    use super::*;
    use crate::config::Paths;

    fn socket(path: &Path) -> Arc<Connector> {
        let service = Service {
            name: "gateway".to_owned(),
            port: 18789,
            socket: path.to_owned(),
            uid: None,
            local: Vec::new(),
            pages: true,
            page_names: Vec::new(),
            https: Vec::new(),
        };
        Arc::new(connector(&Paths::new(Path::new("/")), &service))
    }

    #[tokio::test]
    async fn a_program_of_this_machine_reaches_the_service_as_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let service = UnixListener::bind(&path).unwrap();
        let address = lab::free_port().unwrap();
        let listening =
            tokio::spawn(listen(address, "gateway".into(), socket(&path), ResponsePolicy::Any));

        let mut program = loop {
            match TcpStream::connect(address).await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        // What it says itself cannot come before the header, nor replace it.
        program.write_all(&mesh_identity::SIGNATURE).await.unwrap();
        program.shutdown().await.unwrap();
        let (mut called, _) = service.accept().await.unwrap();
        let mut heard = Vec::new();
        called.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, [&mesh_identity::LOCAL[..], &mesh_identity::SIGNATURE].concat());
        called.write_all(b"well").await.unwrap();
        drop(called);
        let mut answer = String::new();
        program.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "well");
        listening.abort();
    }

    #[tokio::test]
    async fn a_service_that_is_away_answers_by_closing() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut program = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        serve(
            stream,
            "gateway".into(),
            socket(Path::new("/nonexistent/http.sock")),
            ResponsePolicy::Any,
        )
        .await;
        assert_eq!(program.read(&mut [0; 1]).await.unwrap(), 0);
    }
}
