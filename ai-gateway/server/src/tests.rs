//! The gateway behind its real sockets, with a scripted backend behind its own.

mod apart;
mod apps;
mod backend;
mod begin;
mod bodies;
mod client;
mod commands;
mod compaction;
mod confidential;
mod conversations;
mod endless;
mod faults;
mod listeners;
mod memory;
mod metrics;
mod nodes;
mod ollama;
mod openai;
mod operations;
mod operator;
mod people;
mod queue;
mod recovery;
mod rooms;
mod sealed;
mod usage;

use std::os::unix::fs::MetadataExt as _;

use ed25519_dalek::SigningKey;
use mesh_identity::{Header, Identity, User};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::backend::Backend;
use super::*;

/// A gateway with two backends, all below a root of its own.
struct TestGateway {
    root: tempfile::TempDir,
    config: Settings,
    app: Arc<App>,
    one: Backend,
    two: Backend,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

fn gateway() -> TestGateway {
    gateway_with(|_| ())
}

fn gateway_with(change: impl FnOnce(&mut Settings)) -> TestGateway {
    gateway_of(change, None)
}

/// A gateway whose primary model nobody stands in for.
fn gateway_without_fallback(change: impl FnOnce(&mut Settings)) -> TestGateway {
    let alone = r#"{models: {providers: {
        llamacpp: {baseUrl: "unix:///run/maru/inference/llm.sock", models: [{id: "smollm2"}]},
        spare: {baseUrl: "unix:///run/maru/inference-2/llm.sock", models: [{id: "smollm2"}]}}},
        agents: {defaults: {model: "llamacpp/smollm2"}}}"#;
    gateway_of(change, Some(alone))
}

/// A gateway with this `openclaw.json`.
fn gateway_with_models(openclaw: &str) -> TestGateway {
    gateway_of(|_| (), Some(openclaw))
}

fn gateway_of(change: impl FnOnce(&mut Settings), openclaw: Option<&str>) -> TestGateway {
    let root = tempfile::tempdir().unwrap();
    let mut config = Settings {
        agent_uid: own_uid(),
        telmeet_uid: own_uid(),
        participant_uid: own_uid(),
        ..Settings::default()
    };
    // As many as an engine of `maru up` says that it has; the scripted ones do not tell.
    config.line.slots = std::num::NonZeroU16::MIN.saturating_add(1);
    change(&mut config);
    if let Some(text) = openclaw {
        let file = root.path().join(&config.openclaw);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    let key = root.path().join(&config.conversations.key_file);
    std::fs::create_dir_all(key.parent().unwrap()).unwrap();
    std::fs::write(key, [3; 32]).unwrap();
    let one = Backend::start(&root.path().join("run/maru/inference/llm.sock"));
    let two = Backend::start(&root.path().join("run/maru/inference-2/llm.sock"));
    let app = start(&config, root.path());
    let tasks = serve(&config, root.path(), &app);
    TestGateway { root, config, app, one, two, tasks }
}

fn start(config: &Settings, root: &Path) -> Arc<App> {
    let openclaw = openclaw::OpenClaw::load(&root.join(&config.openclaw)).unwrap();
    Arc::new(App::new(config, &openclaw, root).unwrap())
}

fn serve(config: &Settings, root: &Path, app: &Arc<App>) -> Vec<JoinHandle<()>> {
    let never = std::future::pending::<()>;
    let bind = |path: &Path| Socket::bind(&root.join(path), Access::Group).unwrap();
    let (socket, plugin_socket) = (bind(&config.socket), bind(&config.plugin_socket));
    vec![
        keep_conversations(app),
        tokio::spawn(agent_server(config).serve(socket, routes::agent_listener(app), never())),
        tokio::spawn(plugin_server(config).serve(
            plugin_socket,
            routes::plugin_listener(app),
            never(),
        )),
        tokio::spawn(serve_participant(config, bind(&config.participant_socket), app)),
    ]
}

/// Keeps the database of conversations open until the task is aborted, on a thread of its own: sqlx's migrations are not
/// `Send`, and a test's clock may be paused.
fn keep_conversations(app: &Arc<App>) -> JoinHandle<()> {
    let (app, ended) = (Arc::clone(app), CancellationToken::new());
    let guard = ended.clone().drop_guard();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::select! {
                () = ended.cancelled() => {}
                () = app.sessions.keep_open() => {}
            }
        });
    });
    tokio::spawn(async move {
        let _guard = guard;
        std::future::pending().await
    })
}

/// Serves the participant for ever.
fn serve_participant(
    config: &Settings,
    socket: Socket,
    app: &Arc<App>,
) -> impl Future<Output = ()> + use<> {
    let (uid, app) = (config.participant_uid, Arc::clone(app));
    async move { routes::rooms::serve(socket, uid, &app, std::future::pending()).await }
}

impl TestGateway {
    /// Stops the gateway and starts it again on the same state.
    async fn restart(&mut self) {
        self.stop().await;
        self.app = start(&self.config, self.root.path());
        self.tasks = serve(&self.config, self.root.path(), &self.app);
    }

    /// The same with these models in place of its own.
    async fn restart_with(&mut self, models: models::Models) {
        self.stop().await;
        let mut app = start(&self.config, self.root.path());
        let changed = Arc::get_mut(&mut app).expect("nobody else has it yet");
        changed.models = models;
        self.app = app;
        self.tasks = serve(&self.config, self.root.path(), &self.app);
    }

    async fn stop(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
            drop(task.await);
        }
    }

    fn agent_socket(&self) -> PathBuf {
        self.root.path().join(&self.config.socket)
    }

    fn participant_socket(&self) -> PathBuf {
        self.root.path().join(&self.config.participant_socket)
    }

    fn plugin_socket(&self) -> PathBuf {
        self.root.path().join(&self.config.plugin_socket)
    }
}

/// A person at a device of theirs.
#[derive(Clone)]
struct Member {
    header: Header,
    key: SigningKey,
}

fn member(user: u64) -> Member {
    let byte = u8::try_from(user).unwrap();
    Member {
        header: Header {
            source: format!("100.64.0.{user}:5000").parse().unwrap(),
            destination: "100.64.0.1:18789".parse().unwrap(),
            identity: Identity {
                v: mesh_identity::VERSION,
                node: format!("n{user}"),
                user: Some(User { id: user, login: format!("person{user}") }),
                tags: vec![],
                service: "gateway".to_owned(),
            },
            authority: None,
        },
        key: SigningKey::from_bytes(&[byte; 32]),
    }
}

/// A device that is nobody's.
fn tagged(node: &str) -> Member {
    let mut member = member(33);
    let identity = &mut member.header.identity;
    (identity.node, identity.user) = (node.to_owned(), None);
    identity.tags = vec!["tag:ci".to_owned()];
    member
}

fn ada() -> Member {
    member(11)
}

fn bob() -> Member {
    member(22)
}
