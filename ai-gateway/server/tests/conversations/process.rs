//! The gateway as a process, a model that answers at once, and people with a device each.

use std::{
    fs,
    io::Write as _,
    os::unix::{
        fs::MetadataExt as _,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::SystemTime,
};

use ai_gateway_api::{
    kind::NOT_KEPT,
    sealed::{
        Chat, Ed25519Public, Event, History, Input, Operation, ReplyPart, decode_events,
        decode_keys, path,
    },
    wire::Fixed,
};
use anyhow::Context as _;
use ed25519_dalek::SigningKey;
use hpke_envelope::{
    Suite,
    client::{Keys, seal},
    device,
};
use serde_json::json;
use testkit::blocking::{eventually, http};
use uuid::Uuid;

/// A process that ends with the test.
pub(crate) struct Process(Child);

impl Process {
    /// Kills it (SIGKILL).
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The root of a gateway.
pub(crate) struct Root(tempfile::TempDir);

const SETTINGS: &str = "[limits]\nchats_per_minute = 1000000\nburst = 1000000\n\
    [keys]\nremembered = 100000\nremembered_per_device = 100000\n\
    [line]\nslots = 16\n[conversations]\nkey_file = \"key\"\n";

impl Root {
    pub(crate) fn new() -> Self {
        Self::of(tempfile::tempdir().unwrap())
    }

    /// One in a folder.
    pub(crate) fn new_in(folder: &Path) -> Self {
        Self::of(tempfile::tempdir_in(folder).unwrap())
    }

    fn of(root: tempfile::TempDir) -> Self {
        let uid = fs::metadata("/proc/self").unwrap().uid();
        fs::create_dir_all(root.path().join("etc/maru")).unwrap();
        let settings = format!("agent_uid = {uid}\ntelmeet_uid = {uid}\n{SETTINGS}");
        fs::write(root.path().join("etc/maru/gateway.toml"), settings).unwrap();
        fs::write(root.path().join("key"), [5; 32]).unwrap();
        model(&root.path().join("run/maru/inference/llm.sock"));
        Self(root)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn start(&self) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maru-gateway"));
        command.arg("--root").arg(self.path()).stderr(Stdio::null());
        Process(command.spawn().unwrap())
    }

    fn socket(&self) -> PathBuf {
        self.path().join("run/maru/gateway/http.sock")
    }
}

/// A model that says "yes" to everything.
fn model(socket: &Path) {
    fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(socket).unwrap();
    let answer = |mut io: UnixStream| -> std::io::Result<()> {
        let request = http::read_request(&mut io)?;
        if !request.head.starts_with("POST") {
            return io.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        }
        let delta = json!({"choices": [{"index": 0, "delta": {"content": "yes"}}]});
        let finish = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        let body = format!("{head}data: {delta}\n\ndata: {finish}\n\ndata: [DONE]\n\n");
        io.write_all(body.as_bytes())
    };
    std::thread::spawn(move || {
        for io in listener.incoming() {
            std::thread::spawn(move || drop(answer(io.unwrap())));
        }
    });
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// A person at their device.
pub(crate) struct Person {
    socket: PathBuf,
    identity: Ed25519Public,
    header: mesh_identity::Header,
    key: SigningKey,
}

impl Person {
    /// Binds their device at a gateway that runs.
    pub(crate) fn new(root: &Root, number: u8) -> Self {
        let file = root.path().join("var/lib/maru/gateway/identity.pub");
        let identity: Fixed<32> = eventually("the gateway has an identity", || {
            serde_json::from_value(json!(fs::read_to_string(&file).unwrap_or_default().trim()))
        });
        let node = format!("n{number}");
        let header = mesh_identity::Header {
            source: format!("100.64.0.{number}:5000").parse().unwrap(),
            destination: "100.64.0.1:18789".parse().unwrap(),
            identity: mesh_identity::Identity {
                v: mesh_identity::VERSION,
                node: node.clone(),
                user: Some(mesh_identity::User { id: number.into(), login: node.clone() }),
                tags: vec![],
                service: "gateway".to_owned(),
            },
            authority: None,
        };
        let key = SigningKey::from_bytes(&[number; 32]);
        let person = Self { socket: root.socket(), identity, header, key };
        let bind = device::prove(&person.key, person.identity, &node, now_ms());
        let bind = serde_json::to_string(&bind).unwrap();
        eventually("the device is bound", || {
            person.http("POST", path::DEVICES, Some(&bind)).map_err(|error| error.to_string())
        });
        person
    }

    /// The body of the response to a request.
    fn http(&self, method: &str, path: &str, body: Option<&str>) -> anyhow::Result<String> {
        let mut io = UnixStream::connect(&self.socket)?;
        io.write_all(&self.header.encode()?)?;
        let host = "chat.maru.home.arpa:18789";
        let response = http::request(io, method, path, host, &[], body)?;
        let status = response.status;
        let body = response.body()?;
        anyhow::ensure!(status / 100 == 2, "{status}: {body}");
        Ok(body)
    }

    /// The events of the whole reply to an operation; an error if it did not come whole.
    pub(crate) fn ask(&self, operation: &Operation) -> anyhow::Result<Vec<Event>> {
        let document = decode_keys(self.http("GET", path::KEYS, None)?.as_bytes())?;
        let keys = Keys::verify(&document, self.identity, 0)?;
        let key = keys.select(Suite::X25519, now_ms()).context("a key")?;
        let (request, mut reply) =
            seal(&self.key, key, Uuid::now_v7(), &operation.encode(), now_ms())?;
        let stream = self.http("POST", path::CHAT, Some(&serde_json::to_string(&request)?))?;
        let (mut events, mut is_whole) = (Vec::new(), false);
        for part in stream.split_terminator("\n\n") {
            let (name, data) = part.split_once('\n').context("an event")?;
            let name = name.strip_prefix("event: ").context("its name")?;
            let data = data.strip_prefix("data: ").context("its data")?;
            let part = ReplyPart::decode(name, data.as_bytes())?;
            is_whole |= matches!(part, ReplyPart::Final(_));
            if let Some(plaintext) = reply.handle(&part)? {
                events.extend(decode_events(&plaintext)?);
            }
        }
        anyhow::ensure!(is_whole, "the reply is cut");
        Ok(events)
    }

    /// Says something in the session `main`. Returns the reason why it is not kept, if it is not; an error if the reply is
    /// not whole.
    pub(crate) fn say(&self, text: &str) -> anyhow::Result<Option<String>> {
        let events = self.ask(&Operation::Chat(Chat {
            session: Some("main".parse()?),
            input: Input::Text(text.to_owned()),
            model: None,
            options: Default::default(),
            language: None,
        }))?;
        let failed = events.iter().find(|event| matches!(event, Event::Error { .. }));
        anyhow::ensure!(failed.is_none(), "{failed:?}");
        anyhow::ensure!(events.contains(&Event::Delta("yes".to_owned())), "{events:?}");
        Ok(events.into_iter().find_map(|event| {
            let Event::Notice { kind, message } = event else { return None };
            (kind == NOT_KEPT).then_some(message)
        }))
    }

    /// All messages of the session `main`.
    pub(crate) fn history(&self) -> Vec<String> {
        let history = Operation::History(History::all("main".parse().unwrap()));
        let events = eventually("the history comes", || {
            self.ask(&history).map_err(|error| error.to_string())
        });
        let text = |event| {
            let Event::Message(message) = event else { panic!("{event:?}") };
            message.content
        };
        events.into_iter().map(text).collect()
    }
}
