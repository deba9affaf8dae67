//! A coordinator, its relay and agents on lab machines, as the agent's tests share them.
//!
//! ```text
//!  home 10.77.1.2 ── router ── laptop 10.77.2.2     (home: coordinator, relay, an agent)
//! ```

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use lab::{Machine, Process, topology::Topology};
use mesh_identity::Header;
use serde_json::{Value, json};
use testkit::blocking::eventually;

/// How long anything may take that is waited for.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A folder that daemons of any user can reach.
pub(crate) fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    root
}

/// Writes a file below a root.
pub(crate) fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Starts a program of the workspace on a machine; its log goes to `<root>/<log>`.
pub(crate) fn start(
    machine: &Machine,
    root: &Path,
    program: &str,
    args: &[&str],
    log: &str,
) -> Process {
    let log = fs::File::options().create(true).append(true).open(root.join(log)).unwrap();
    let mut command = machine.command(lab::binary(program).unwrap());
    command.args(args).arg("--root").arg(root).stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log);
    machine.spawn(&mut command).unwrap()
}

/// `maru-agent restore`, after the service ended so (`SERVICE_RESULT`): its exit status and what it said.
pub(crate) fn restore(node: &Node, ended: Option<&str>) -> (Option<i32>, String) {
    let mut command = node.machine.command(lab::binary("maru-agent").unwrap());
    command.envs(ended.map(|ended| ("SERVICE_RESULT", ended)));
    command.arg("restore").arg("--root").arg(node.root.path()).stdin(Stdio::null());
    let out = command.output().unwrap();
    (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
}

/// One request over a UNIX socket: status and JSON.
pub(crate) fn ask(socket: &Path, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let stream = UnixStream::connect(socket).unwrap();
    let body = body.map(|body| body.to_string());
    let answer =
        testkit::blocking::http::request(stream, method, path, "maru", &[], body.as_deref())
            .unwrap();
    let (status, body) = (answer.status, answer.body().unwrap());
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

/// An agent on a machine.
pub(crate) struct Node {
    pub(crate) machine: Arc<Machine>,
    pub(crate) root: tempfile::TempDir,
    pub(crate) agent: Option<Process>,
}

impl Node {
    /// Starts an agent with these settings and waits for its local API.
    pub(crate) fn start(machine: &Arc<Machine>, settings: &str) -> Self {
        let root = root();
        write(root.path(), "etc/maru/agent.toml", settings);
        let mut node = Self { machine: Arc::clone(machine), root, agent: None };
        node.run();
        node
    }

    /// What opens its kill switch without an agent, as the agent's log has it.
    pub(crate) fn restore_command(&self) -> String {
        format!("`sudo maru-agent restore --root {}`", self.root.path().display())
    }

    /// Starts the agent (again).
    pub(crate) fn run(&mut self) {
        let agent =
            start(&self.machine, self.root.path(), "maru-agent", &["--log", "debug"], "agent.log");
        self.agent = Some(agent);
        eventually("the agent's local API", || UnixStream::connect(self.socket()).ok());
    }

    /// Stops the agent; it must end well.
    pub(crate) fn stop(&mut self) {
        self.stop_within(Duration::from_secs(20));
    }

    /// As [`Self::stop`], within this time.
    pub(crate) fn stop_within(&mut self, limit: Duration) {
        let mut agent = self.agent.take().unwrap();
        let status = agent.stop(limit).unwrap();
        assert!(status.success(), "{status}");
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.root.path().join("run/maru/agent/api.sock")
    }

    pub(crate) fn status(&self) -> Value {
        ask(&self.socket(), "GET", "/v1/status", None).1
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.root.path().join("agent.log")).unwrap_or_default()
    }

    /// A file of the agent's state, if it is there.
    pub(crate) fn stored(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.root.path().join("var/lib/maru/agent").join(file)).ok()
    }

    /// Has a script of the shell run on this machine in place of `nft`, which is `/run/nft` then.
    pub(crate) fn replace_nft(&self, script: &str) {
        let file = self.root.path().join("nft");
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        let file = file.display();
        let replace = format!(
            "nft=$(readlink -f $(command -v nft)); cp $nft /run/nft; chmod 755 {file}; mount --bind {file} $nft"
        );
        self.machine.sh(&replace).unwrap();
    }

    pub(crate) fn join(&self, url: &str) {
        let (status, body) = ask(&self.socket(), "POST", "/v1/join", Some(json!({ "url": url })));
        assert_eq!(status, 202, "{body}");
    }

    pub(crate) fn wait_for_state(&self, state: &str) -> Value {
        eventually(&format!("state {state}: {}", self.log()), || {
            let status = self.status();
            (status["state"] == state).then_some(status)
        })
    }

    /// The first mesh address of a peer, once it is known.
    pub(crate) fn peer(&self, name: &str) -> Value {
        eventually(&format!("peer {name}"), || {
            let status = self.status();
            status["peers"].as_array()?.iter().find(|peer| peer["name"] == name).cloned()
        })
    }

    pub(crate) fn address(&self) -> String {
        self.status()["node"]["addresses"][0].as_str().unwrap().to_owned()
    }

    /// Connects from this machine.
    pub(crate) fn connect(&self, to: &str) -> std::io::Result<TcpStream> {
        let to: SocketAddr = to.parse().unwrap();
        self.machine.in_network(|| {
            let stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
            stream.set_read_timeout(Some(LIMIT))?;
            Ok(stream)
        })
    }

    /// Says hello to an echo service and returns what comes back, if anything does.
    pub(crate) fn hello(&self, to: &str) -> Option<String> {
        let mut stream = self.connect(to).ok()?;
        stream.write_all(b"hello").ok()?;
        stream.shutdown(std::net::Shutdown::Write).ok()?;
        let mut back = String::new();
        stream.read_to_string(&mut back).ok()?;
        Some(back)
    }

    /// The answer code and IPv4 addresses of a name, asked of the agent's resolver.
    pub(crate) fn resolve(&self, name: &str) -> Option<(u8, Vec<String>)> {
        resolve(&self.machine, name)
    }
}

/// The answer code and IPv4 addresses of a name, asked from a machine of an agent's resolver.
pub(crate) fn resolve(machine: &Machine, name: &str) -> Option<(u8, Vec<String>)> {
    let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap());
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    machine.in_network(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        socket.send_to(&query, "100.100.100.100:53").ok()?;
        let mut answer = [0; 512];
        let len = socket.recv(&mut answer).ok()?;
        let mut records = answer[..len].get(query.len()..).unwrap_or_default();
        let mut addresses = Vec::new();
        // Each record: pointer to the name, type, class, life, length, address.
        while records.len() >= 16 && records[3] == 1 {
            addresses.push(records[12..16].iter().map(u8::to_string).collect::<Vec<_>>().join("."));
            records = &records[16..];
        }
        Some((answer[3] & 15, addresses))
    })
}

/// A coordinator and its relay on the home machine.
pub(crate) struct ControlPlane {
    pub(crate) topology: Topology,
    pub(crate) root: tempfile::TempDir,
    pub(crate) serve: Option<Process>,
    pub(crate) relay: Option<Process>,
    /// Whether they run as their own users.
    has_users: bool,
}

impl ControlPlane {
    pub(crate) fn new() -> Self {
        Self::with_laptops(&["laptop"])
    }

    pub(crate) fn with_laptops(laptops: &[&str]) -> Self {
        Self::on(Topology::new(laptops).unwrap())
    }

    /// On the home machine of this topology.
    pub(crate) fn on(topology: Topology) -> Self {
        let settings = "server_url = \"http://10.77.1.2:8443\"\n[relay]\nhost = \"10.77.1.2\"\n";
        Self::with_topology(topology, root(), settings)
    }

    /// With these settings of the coordinator, below this root.
    pub(crate) fn with_settings(laptops: &[&str], root: tempfile::TempDir, settings: &str) -> Self {
        Self::with_topology(Topology::new(laptops).unwrap(), root, settings)
    }

    fn with_topology(topology: Topology, root: tempfile::TempDir, settings: &str) -> Self {
        write(root.path(), "etc/maru/coordinator.toml", settings);
        Self { topology, root, serve: None, relay: None, has_users: false }.started()
    }

    /// On the home machine of this topology, each as its own user.
    pub(crate) fn with_users(topology: Topology, settings: &str) -> Self {
        let root = root();
        for directory in services::directories() {
            let path = root.path().join(directory.path);
            fs::create_dir_all(&path).unwrap();
            std::os::unix::fs::chown(&path, Some(directory.uid), Some(directory.gid)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(directory.mode)).unwrap();
        }
        let run = root.path().join("run/maru/coordinator");
        fs::create_dir_all(&run).unwrap();
        std::os::unix::fs::chown(&run, Some(services::COORDINATOR), None).unwrap();
        write(root.path(), "etc/maru/coordinator.toml", settings);
        Self { topology, root, serve: None, relay: None, has_users: true }.started()
    }

    fn started(mut self) -> Self {
        self.relay();
        self.serve();
        self
    }

    /// Starts the relay (again).
    pub(crate) fn relay(&mut self) {
        self.relay = Some(self.run("relay"));
    }

    /// Starts the coordinator (again).
    pub(crate) fn serve(&mut self) {
        self.serve = Some(self.run("serve"));
        eventually("the coordinator", || UnixStream::connect(self.admin()).ok());
    }

    fn run(&self, command: &str) -> Process {
        let log = format!("{command}.log");
        let (machine, root) = (&self.topology.home, self.root.path());
        if !self.has_users {
            return start(machine, root, "maru-coordinator", &[command], &log);
        }
        let user = if command == "relay" { services::RELAY } else { services::COORDINATOR };
        let log = fs::File::create(root.join(log)).unwrap();
        let mut as_user = machine.command("setpriv");
        as_user.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]);
        as_user.arg(lab::binary("maru-coordinator").unwrap()).args([command, "--root"]).arg(root);
        as_user.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        machine.spawn(&mut as_user).unwrap()
    }

    pub(crate) fn admin(&self) -> PathBuf {
        self.root.path().join("run/maru/coordinator/admin.sock")
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, body) = ask(&self.admin(), method, &format!("/api/v1{path}"), body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {body}");
        body
    }

    /// A link for one device of `user`.
    pub(crate) fn invite(&self, user: &str, pre_approved: bool) -> String {
        let body = json!({ "user": user, "pre_approved": pre_approved, "force": true });
        self.ask("POST", "/invitations", Some(body))["url"].as_str().unwrap().to_owned()
    }

    /// Lets every member reach everything.
    pub(crate) fn open_policy(&self) {
        let policy = r#"{"acls":[{"action":"accept","src":["*"],"dst":["*:*"]}]}"#;
        self.ask("PUT", "/policy", Some(json!({ "policy": policy })));
    }

    /// The device with this hostname, once it is there.
    pub(crate) fn device(&self, hostname: &str) -> Value {
        eventually(&format!("device {hostname}"), || {
            let devices = self.ask("GET", "/devices", None);
            devices.as_array()?.iter().find(|device| device["hostname"] == hostname).cloned()
        })
    }
}

/// A service behind an agent: echoes, and tells whose header each connection began with.
pub(crate) fn echo(socket: &Path) -> mpsc::Receiver<Header> {
    fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(socket).unwrap();
    // As a service's socket is: for the agent's group.
    std::os::unix::fs::chown(socket, None, Some(mesh_identity::AGENT_GID)).unwrap();
    fs::set_permissions(socket, fs::Permissions::from_mode(0o660)).unwrap();
    let (sender, headers) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, sender) = (stream.unwrap(), sender.clone());
            thread::spawn(move || {
                let mut bytes = Vec::new();
                let mut piece = [0; 4096];
                loop {
                    let len = stream.read(&mut piece).unwrap_or(0);
                    bytes.extend_from_slice(&piece[..len]);
                    match Header::decode(&bytes) {
                        Ok(Some((header, len))) => {
                            let _ = sender.send(header);
                            let _ = stream.write_all(&bytes[len..]);
                            break;
                        }
                        Ok(None) if len > 0 => {}
                        Ok(None) | Err(_) => return,
                    }
                }
                let mut reader = stream.try_clone().unwrap();
                let _ = std::io::copy(&mut reader, &mut stream);
            });
        }
    });
    headers
}
