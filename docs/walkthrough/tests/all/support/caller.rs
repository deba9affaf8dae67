//! A process that calls a service's socket, and in whose name it says to do so.

use std::{
    io::{self, Write as _},
    net::{IpAddr, SocketAddr},
    os::unix::net::UnixStream,
    time::Duration,
};

use lab::{Deployment, Instance, inside::as_process};
use mesh_identity::{Header, Identity, LOCAL, User, VERSION};
use serde_json::Value;
use services::TELMEET;
use testkit::blocking::http;

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A user without any right.
pub(crate) const NOBODY: u32 = 65534;

/// Who connects to a socket: whose files it sees, and its rights.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Caller {
    /// Connects, says in whose name it speaks, and asks: the status and body of the answer, `None`
    /// if the connection is closed without one.
    ///
    /// Fails if it may not even connect.
    pub(crate) fn ask(
        self,
        socket: &str,
        header: &Header,
        request: (&str, &str, &str),
        body: Option<&str>,
    ) -> io::Result<Option<(u16, String)>> {
        self.send(socket, &header.encode().unwrap(), request, body)
    }

    /// The same in nobody's name, the head of the answer included: a health check of the machine itself.
    pub(crate) fn locally(
        self,
        socket: &str,
        path: &str,
    ) -> io::Result<Option<http::Response<UnixStream>>> {
        self.answer(socket, &LOCAL, ("GET", path, "localhost"), None)
    }

    /// The same with these bytes before the request.
    pub(crate) fn send(
        self,
        socket: &str,
        preface: &[u8],
        request: (&str, &str, &str),
        body: Option<&str>,
    ) -> io::Result<Option<(u16, String)>> {
        let answer = self.answer(socket, preface, request, body)?;
        Ok(answer.map(|answer| (answer.status, answer.body().unwrap())))
    }

    /// The same, the head of the answer included.
    pub(crate) fn answer(
        self,
        socket: &str,
        preface: &[u8],
        (method, path, host): (&str, &str, &str),
        body: Option<&str>,
    ) -> io::Result<Option<http::Response<UnixStream>>> {
        let mut stream = self.connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        if stream.write_all(preface).is_err() {
            return Ok(None);
        }
        Ok(http::request(stream, method, path, host, &[], body).ok())
    }

    /// Connects.
    pub(crate) fn connect(self, socket: &str) -> io::Result<UnixStream> {
        as_process(self.pid, self.uid, self.gid, || UnixStream::connect(socket)).unwrap()
    }
}

/// The messenger's process: its files, its user, the one link that it calls.
pub(crate) fn telmeet(deployment: &Deployment) -> Caller {
    let [pid] = deployment.processes("maru-telmeet", "").unwrap()[..] else {
        panic!("one telmeet runs");
    };
    Caller { pid, uid: TELMEET, gid: TELMEET }
}

/// What the agent writes when the device at this seat calls the port.
pub(crate) fn header(
    deployment: &Deployment,
    instance: &Instance,
    person: &str,
    port: u16,
) -> Header {
    let address = |instance: &Instance| -> IpAddr {
        instance.status().unwrap()["node"]["addresses"][0].as_str().unwrap().parse().unwrap()
    };
    let users: Value =
        serde_json::from_str(&deployment.home.ok(&["user", "list", "-o", "json"]).unwrap())
            .unwrap();
    let user = users.as_array().unwrap().iter().find(|user| user["name"] == person).unwrap();
    let status = instance.status().unwrap();
    Header {
        source: SocketAddr::new(address(instance), 40_000),
        destination: SocketAddr::new(address(&deployment.home), port),
        identity: Identity {
            v: VERSION,
            node: status["node"]["stable_id"].as_str().unwrap().to_owned(),
            user: Some(User { id: user["id"].as_u64().unwrap(), login: person.to_owned() }),
            tags: Vec::new(),
            service: "test".to_owned(),
        },
        authority: None,
    }
}

/// The status of an answer and the problem that it names.
pub(crate) fn problem(answer: &(u16, String)) -> (u16, String) {
    let body: Value = serde_json::from_str(&answer.1).unwrap_or_default();
    let kind = body["type"].as_str().unwrap_or_default();
    (answer.0, kind.trim_start_matches("urn:maru:problem:").to_owned())
}
