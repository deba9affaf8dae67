//! The coordinator that is measured: Maru's, in a folder of its own, or another that runs.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chassis::body::whole;
use control_protocol::{key::MachinePublic, key_response::KeyResponse};
use http_body_util::Full;
use hyper::{Method, Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::{TcpStream, UnixStream, lookup_host},
    process::{Child, Command},
};

use crate::{
    Failure, Shape,
    agent::{Location, PATIENCE},
};

/// Longest answer, in bytes.
const ANSWER_MAX: usize = 64 << 20;
/// Tag of the home.
const HOME: &str = "tag:home";
/// How long the agents may join with a key, in seconds: longer than any run.
const KEY_LIFE_S: u64 = 7 * 24 * 60 * 60;

/// The coordinator.
pub(crate) struct Target {
    pub(crate) place: Location,
    /// Its process, if it may be looked at.
    pub(crate) pid: Option<u32>,
    kind: Kind,
}

enum Kind {
    Own(Box<OwnCoordinator>),
    /// With a key for all.
    Named(String),
}

/// Maru's coordinator.
struct OwnCoordinator {
    program: PathBuf,
    root: tempfile::TempDir,
    child: Child,
    shape: Shape,
}

impl Target {
    /// Starts Maru's, with a user for each person.
    pub(crate) async fn start(
        program: &Path,
        shape: Shape,
        agents: usize,
    ) -> Result<Self, Failure> {
        let (root, address) = (tempfile::tempdir()?, lab::free_port()?);
        let etc = root.path().join("etc/maru");
        fs::create_dir_all(&etc)?;
        // Nobody relays: the map is that of any network.
        let node = json!({"Name": "1a", "RegionID": 1, "HostName": "192.0.2.2"});
        let region = json!({"RegionID": 1, "RegionCode": "home", "Nodes": [node]});
        fs::write(root.path().join("derp.json"), json!({"Regions": {"1": region}}).to_string())?;
        let settings = format!(
            "listen = \"{address}\"\nserver_url = \"http://{address}\"\n\
             derp_map_file = \"derp.json\"\nderp_map_only = true\n"
        );
        fs::write(etc.join("coordinator.toml"), settings)?;
        let child = spawn(program, root.path())?;
        let own = OwnCoordinator { program: program.to_owned(), root, child, shape };
        let host = address.to_string();
        let (server, pid) = (server_key(address, &host).await?, own.child.id());
        own.allow(u16::MAX).await?;
        for person in 0..agents.div_ceil(Shape::EACH) {
            own.admin(Method::POST, "/users", json!({ "name": name(person) })).await?;
        }
        let place = Location { address, host, server };
        Ok(Self { place, pid, kind: Kind::Own(Box::new(own)) })
    }

    /// One that runs already.
    pub(crate) async fn named(
        url: &http::Uri,
        key: &str,
        pid: Option<u32>,
    ) -> Result<Self, Failure> {
        let host = url.host().filter(|_| url.scheme_str() == Some("http"));
        let host = host.ok_or("give a URL with http://: TLS is not what is measured")?;
        let port = url.port_u16().unwrap_or(80);
        let address = lookup_host((host.trim_matches(['[', ']']), port)).await?.next();
        let address = address.ok_or("the coordinator's name has no address")?;
        let host = format!("{host}:{port}");
        let server = server_key(address, &host).await?;
        let place = Location { address, host, server };
        Ok(Self { place, pid, kind: Kind::Named(key.to_owned()) })
    }

    /// Whether its admin can be asked: only of Maru's, which this has started.
    pub(crate) fn has_admin(&self) -> bool {
        matches!(self.kind, Kind::Own(_))
    }

    /// What cannot be measured of it.
    pub(crate) fn left_out(&self) -> Vec<&'static str> {
        let without_admin = ["policies", "the compilation of a policy", "the restart"];
        let without_process = ["processor time", "memory"];
        let admin = without_admin.into_iter().filter(|_| !self.has_admin());
        admin.chain(without_process.into_iter().filter(|_| self.pid.is_none())).collect()
    }

    /// The file of its database, if it is known.
    pub(crate) fn database(&self) -> Option<PathBuf> {
        match &self.kind {
            Kind::Named(_) => None,
            Kind::Own(own) => Some(own.root.path().join("var/lib/maru/coordinator/db.sqlite")),
        }
    }

    /// Asks its admin API.
    pub(crate) async fn admin(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<Value, Failure> {
        match &self.kind {
            Kind::Named(_) => Err("only a coordinator that was started here has an admin".into()),
            Kind::Own(own) => own.admin(method, path, body).await,
        }
    }

    /// The keys with which so many agents join, in their order.
    pub(crate) async fn keys(&self, shape: Shape, agents: usize) -> Result<Vec<String>, Failure> {
        let own = match &self.kind {
            Kind::Named(key) => return Ok(vec![key.clone(); agents]),
            Kind::Own(own) => own,
        };
        let mut keys = Vec::new();
        for person in 0..agents.div_ceil(Shape::EACH) {
            let key = own.key(json!({ "user": name(person) })).await?;
            keys.resize(agents.min(keys.len() + Shape::EACH), key);
        }
        if shape == Shape::Star {
            keys.push(own.key(json!({ "tags": [HOME] })).await?);
        }
        Ok(keys)
    }

    /// Sets the policy of the shape, which opens the ports up to this one. Returns the answer, or `None` if it could not.
    pub(crate) async fn allow(&self, port: u16) -> Result<Option<Value>, Failure> {
        match &self.kind {
            Kind::Named(_) => Ok(None),
            Kind::Own(own) => own.allow(port).await.map(Some),
        }
    }

    /// Kills it with SIGKILL, and starts it again; whether it could.
    pub(crate) async fn kill_and_start(&mut self) -> Result<bool, Failure> {
        let Kind::Own(own) = &mut self.kind else { return Ok(false) };
        own.child.kill().await?;
        own.child = spawn(&own.program, own.root.path())?;
        self.pid = own.child.id();
        Ok(true)
    }
}

impl OwnCoordinator {
    async fn allow(&self, port: u16) -> Result<Value, Failure> {
        let accept = |from: &str, to: &str| json!({ "action": "accept", "src": [from], "dst": [format!("{to}:1-{port}")] });
        let rules = match self.shape {
            Shape::Mesh => vec![accept("*", "*")],
            Shape::Star => {
                vec![accept("autogroup:member", "autogroup:self"), accept("autogroup:member", HOME)]
            }
        };
        let policy = json!({ "tagOwners": { HOME: [] }, "acls": rules }).to_string();
        self.admin(Method::PUT, "/policy", json!({ "policy": policy })).await
    }

    async fn key(&self, mut wanted: Value) -> Result<String, Failure> {
        wanted["reusable"] = true.into();
        wanted["pre_approved"] = true.into();
        wanted["expires_in_s"] = KEY_LIFE_S.into();
        let key = self.admin(Method::POST, "/keys", wanted).await?;
        Ok(key["key"].as_str().ok_or("there is no key")?.to_owned())
    }

    async fn admin(&self, method: Method, path: &str, body: Value) -> Result<Value, Failure> {
        let socket = self.root.path().join("run/maru/coordinator/admin.sock");
        let stream = TokioIo::new(UnixStream::connect(socket).await?);
        let (mut sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(connection);
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("host", "maru")
            .header("content-type", "application/json")
            .body(Full::new(body))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = whole(response.into_body(), ANSWER_MAX, PATIENCE).await?;
        if !status.is_success() {
            return Err(format!("{path}: {status} {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }
}

/// The name of a person.
fn name(person: usize) -> String {
    format!("person{person}")
}

fn spawn(program: &Path, root: &Path) -> Result<Child, Failure> {
    let log = File::options().append(true).create(true).open(root.join("log"))?;
    let mut command = Command::new(program);
    command.arg("--root").arg(root).arg("serve").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command.spawn()?)
}

/// Its key, once it answers.
async fn server_key(address: SocketAddr, host: &str) -> Result<MachinePublic, Failure> {
    let begun = Instant::now();
    loop {
        match ask_key(address, host).await {
            Ok(key) => return Ok(key),
            Err(error) if begun.elapsed() > PATIENCE => {
                return Err(format!("the coordinator at {address} does not answer: {error}").into());
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn ask_key(address: SocketAddr, host: &str) -> Result<MachinePublic, Failure> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = http1::handshake(stream).await?;
    tokio::spawn(connection);
    let path = format!("/key?v={}", control_protocol::CAPABILITY_VERSION);
    let request = Request::get(path).header("host", host);
    let request = request.body(Full::new(Bytes::new()))?;
    let response = sender.send_request(request).await?;
    let body = whole(response.into_body(), ANSWER_MAX, PATIENCE).await?;
    Ok(serde_json::from_slice::<KeyResponse>(&body)?.public_key)
}
