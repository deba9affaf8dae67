//! The program as a process, and people who use it as the agent lets them.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::Mutex,
    thread,
    time::Duration,
};

use chassis::state::Format;
use mesh_identity::{
    Header, Identity, User, VERSION,
    members::{MemberNode, Members},
};
use serde_json::{Value, json};
use testkit::{
    blocking::{eventually, http},
    kill::Moments,
    postgres::Postgres,
};

/// telmeet's root, with its settings.
pub(crate) struct Root {
    folder: tempfile::TempDir,
    database: Option<Postgres>,
}

impl Root {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let uid = fs::metadata("/proc/self").unwrap().uid();
        fs::write(folder.path().join("telmeet.toml"), format!("agent_uid = {uid}\n")).unwrap();
        Self { folder, database: None }
    }

    /// With this database.
    pub(crate) fn on(database: Postgres) -> Self {
        let root = Self::new();
        fs::write(root.path().join("database-url"), database.url()).unwrap();
        let settings = File::options().append(true).open(root.path().join("telmeet.toml"));
        writeln!(settings.unwrap(), "database_url_file = \"database-url\"").unwrap();
        Self { database: Some(database), ..root }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn database_url(&self) -> String {
        let file = self.path().join("var/lib/maru/telmeet/db.sqlite");
        self.database.as_ref().map_or_else(|| format!("sqlite://{}", file.display()), Postgres::url)
    }

    pub(crate) fn start(&self) -> Process {
        Process::start(&mut self.command(&[]))
    }

    /// Runs it by another program with these arguments.
    pub(crate) fn command(&self, by: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_maru-telmeet");
        let mut command = Command::new(by.first().unwrap_or(&program));
        if let Some((_, rest)) = by.split_first() {
            command.args(rest).arg(program);
        }
        command.arg("--root").arg(self.path());
        command.arg("--config").arg(self.path().join("telmeet.toml"));
        command
    }

    /// Writes the list of people and nodes, as the coordinator does.
    pub(crate) fn lists(&self, people: &[&Person]) {
        let people = people.iter().map(|person| person.header().identity);
        let members = Members {
            nodes: people.clone().map(Person::node).collect(),
            people: people.filter_map(|identity| identity.user).collect(),
        };
        let format = Format::new(Members::VERSION);
        format.write(&self.list(), &members).unwrap();
    }

    pub(crate) fn list(&self) -> PathBuf {
        let folder = self.path().join(services::TELMEET_MEMBERS);
        fs::create_dir_all(&folder).unwrap();
        folder.join(Members::FILE)
    }

    pub(crate) fn person(&self, number: u64) -> Person {
        let socket = self.path().join("run/maru/telmeet/http.sock");
        let (token, id, device) = (String::new(), String::new(), String::new());
        let mut person = Person { socket, number, token, id, device, network: None };
        person.sign_in();
        person
    }
}

/// A process that is killed when this is dropped.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A connection that ends once the request is sent.
struct Cut(UnixStream);

impl Read for Cut {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}

impl Write for Cut {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A person's app.
pub(crate) struct Person {
    socket: PathBuf,
    number: u64,
    token: String,
    pub(crate) id: String,
    pub(crate) device: String,
    /// Which requests a bad network harms.
    network: Option<Mutex<Moments>>,
}

impl Person {
    fn sign_in(&mut self) {
        let password = self.must("POST", "/maru/v1/rooms/login", &json!({}));
        let login = json!({
            "type": "m.login.password", "password": password["password"],
            "identifier": {"type": "m.id.user", "user": password["user_id"]},
        });
        let signed_in = self.must("POST", "/_matrix/client/v3/login", &login);
        let text = |name: &str| signed_in[name].as_str().unwrap().to_owned();
        (self.token, self.id) = (text("access_token"), text("user_id"));
        self.device = text("device_id");
    }

    /// The same app in a network that cuts connections, loses responses, and repeats requests.
    pub(crate) fn in_a_bad_network(self) -> Self {
        Self { network: Some(Mutex::new(Moments::draw())), ..self }
    }

    /// A response, which must come, and be no refusal. An app that asks too often waits as long as it is told.
    pub(crate) fn must(&self, method: &str, path: &str, body: &Value) -> Value {
        loop {
            let (status, response) = self.answer(method, path, body);
            let Some(wait) = response["retry_after_ms"].as_u64().filter(|_| status == 429) else {
                assert_eq!(status, 200, "{method} {path}: {response}");
                return response;
            };
            thread::sleep(Duration::from_millis(wait));
        }
    }

    /// The status and body of a response, which must come.
    pub(crate) fn answer(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        eventually("telmeet answers", || self.ask(method, path, body))
    }

    /// A response, unless telmeet is away or ends meanwhile, or the network loses it.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let send = || self.request(UnixStream::connect(&self.socket).ok()?, method, path, body);
        let Some(network) = &self.network else { return send() };
        let fault = network.lock().unwrap().below(4);
        match fault {
            0 => {
                let cut = Cut(UnixStream::connect(&self.socket).ok()?);
                self.request(cut, method, path, body)
            }
            1 => send().and(None),
            2 => thread::scope(|scope| {
                let first = scope.spawn(send);
                let second = send();
                first.join().unwrap().or(second)
            }),
            _ => send(),
        }
    }

    fn request(
        &self,
        mut stream: impl Read + Write,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Option<(u16, Value)> {
        stream.write_all(&self.header().encode().unwrap()).ok()?;
        let token = format!("Bearer {}", self.token);
        let headers: &[_] = if self.token.is_empty() { &[] } else { &[("Authorization", &*token)] };
        let body = (method != "GET").then(|| body.to_string());
        let host = "rooms.maru.home.arpa";
        let response = http::request(stream, method, path, host, headers, body.as_deref()).ok()?;
        let status = response.status;
        Some((status, response.json().ok()?))
    }

    /// Sends bytes that are no JSON, or asks for some. Returns the head of the response, and its body.
    pub(crate) fn bytes(&self, head: &str, body: &[u8]) -> (String, Vec<u8>) {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.write_all(&self.header().encode().unwrap()).unwrap();
        let (token, length) = (&self.token, body.len());
        let head = format!(
            "{head} HTTP/1.1\r\nHost: rooms.maru.home.arpa\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: image/png\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).unwrap();
        let end = response.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&response[..end]).to_ascii_lowercase();
        (head, response[end + 4..].to_vec())
    }

    fn node(identity: Identity) -> MemberNode {
        MemberNode { node: identity.node, owner: identity.user.map(|user| user.id) }
    }

    fn header(&self) -> Header {
        let user = User { id: self.number, login: format!("p{}", self.number) };
        Header {
            source: "100.64.0.9:40000".parse().unwrap(),
            destination: "100.64.0.1:80".parse().unwrap(),
            authority: None,
            identity: Identity {
                v: VERSION,
                node: format!("n{}", self.number),
                user: Some(user),
                tags: Vec::new(),
                service: "telmeet".to_owned(),
            },
        }
    }
}
