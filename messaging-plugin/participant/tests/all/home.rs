//! A home: telmeet, the participant's process, the scripted gateway, and nodes of people.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use chassis::unix::Connector;
use mesh_identity::{Header, Identity, User, VERSION};
use tempfile::TempDir;
use testkit::{blocking::http, eventually, server::Server};
use tokio::{
    io::{AsyncWriteExt as _, copy_bidirectional},
    net::{UnixListener, UnixStream},
};

use crate::{
    gateway::Gateway,
    hostile::{self, Tamper},
};

pub(crate) struct Home {
    pub(crate) gateway: Gateway,
    participant: Option<Child>,
    _servers: (Server, Option<Server>),
    folder: TempDir,
}

impl Home {
    /// Starts everything.
    pub(crate) async fn start() -> Self {
        Self::start_at(services::ROOMS_LINK.socket, None).await
    }

    /// Starts everything, with a telmeet that changes what it answers the participant.
    pub(crate) async fn start_hostile(tamper: Tamper) -> Self {
        Self::start_at("run/honest/http.sock", Some(tamper)).await
    }

    /// With telmeet's socket for the participant at this path.
    async fn start_at(rooms_socket: &str, tamper: Option<Tamper>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let uid = fs::metadata("/proc/self").unwrap().uid();
        let settings = root.join("telmeet.toml");
        let text = format!(
            "agent_uid = {uid}\nparticipant_uid = {uid}\nrooms_socket = '{rooms_socket}'\n"
        );
        fs::write(&settings, text).unwrap();
        let telmeet = root.clone();
        // A thread of its own, since its future stays on one.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(telmeet::run(&telmeet, Some(settings))).unwrap();
        });
        let (gateway, server) = Gateway::start(&root);
        let rooms = Connector::new(&root, Path::new(rooms_socket));
        eventually("telmeet listens", async || rooms.connect().await.is_ok()).await;
        let hostile = tamper.map(|tamper| hostile::between(&root, rooms_socket, tamper));
        let mut home = Self { gateway, participant: None, _servers: (server, hostile), folder };
        home.start_participant();
        home
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the participant's process.
    pub(crate) fn start_participant(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maru-participant"));
        let child = command.arg("--root").arg(self.root()).spawn().unwrap();
        self.participant = Some(child);
    }

    /// Kills it (SIGKILL).
    pub(crate) fn kill_participant(&mut self) {
        let mut child = self.participant.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// What root asks the participant; `None` without an answer.
    pub(crate) fn ask_participant(&self, method: &str, path: &str) -> Option<String> {
        let socket = services::PARTICIPANT_ADMIN.path(self.root());
        let stream = std::os::unix::net::UnixStream::connect(socket).ok()?;
        let answer = http::request(stream, method, path, "localhost", &[], None).ok()?;
        if answer.status == 200 { answer.body().ok() } else { None }
    }

    /// The socket of a node of this name and person, at which connections have the person's identity.
    pub(crate) fn node(&self, id: u64, login: &str, name: &str) -> PathBuf {
        let path = self.root().join(format!("{login}-{name}.sock"));
        let listener = UnixListener::bind(&path).unwrap();
        let telmeet = self.root().join(services::TELMEET_HTTP.socket);
        let header = Header {
            source: SocketAddr::from(([100, 64, 0, 9], 40_000)),
            destination: SocketAddr::from(([100, 64, 0, 1], 80)),
            authority: None,
            identity: Identity {
                v: VERSION,
                node: format!("n{id}-{name}"),
                user: Some(User { id, login: login.to_owned() }),
                tags: Vec::new(),
                service: "telmeet".to_owned(),
            },
        };
        let header = header.encode().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (telmeet, header) = (telmeet.clone(), header.clone());
                tokio::spawn(async move {
                    let mut service = UnixStream::connect(telmeet).await?;
                    service.write_all(&header).await?;
                    copy_bidirectional(&mut stream, &mut service).await
                });
            }
        });
        path
    }

    /// Whether a text is in a file of the participant's state.
    pub(crate) fn is_on_disk(&self, text: &str) -> bool {
        let state = self.root().join(services::PARTICIPANT_STATE);
        let mut files = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
        files.any(|file| {
            let bytes = fs::read(file).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(mut child) = self.participant.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
