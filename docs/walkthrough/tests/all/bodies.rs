//! The memory of each listener while the largest bodies that it takes come in chunks of one byte.
//!
//! Every sender sends all but the end of a body, as fast as it is read, on as many connections as there is room for, and
//! holds them. Fails if a process then holds more than its service may (where the kernel would end it, and with it
//! everybody's conversations), if somebody else is not answered meanwhile, or if the listener read no such body to its end:
//! then nothing was tried. A chunk that is kept by itself takes 32 bytes and the buffer that it lies in: what four million
//! of them take is more than the gateway may.

use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use ai_gateway_api::{sealed::path, settings::gateway::Limits};
use lab::{Deployment, Machine, Member, ROOT, topology::HOME};
use services::{
    ADMIN, AGENT_GID, AGENT_SERVICE, AGENT_UID, COORDINATOR_SERVICE, GATEWAY_HTTP, GATEWAY_SERVICE,
    LOCAL_API, Link, METRICS, PLUGIN, Service, TELMEET_HTTP, TELMEET_SERVICE,
};
use telmeet_api::plugin;
use testkit::blocking::http;

use super::support::{
    app::{CHAT, OWN},
    caller::{Caller, NOBODY, header},
};

/// How long a sender waits for a listener that reads no further.
const PATIENCE: Duration = Duration::from_secs(20);
/// A chunk with one byte of white space: JSON that never begins (RFC 9112 section 7.1).
const CHUNK: &[u8] = b"1\r\n \r\n";
/// Chunks that are written at once.
const AT_ONCE: usize = 4096;
/// How much of all bodies for an endpoint comes in such chunks, in bytes: more would not come within the time that a body
/// has. What is before it comes in chunks of a size that clients use.
const CHUNKED: usize = 4 << 20;
/// Such a size, in bytes.
const USUAL: usize = 64 << 10;

/// A connection to a listener.
trait Connection: Read + Write + Send {}
impl<T: Read + Write + Send> Connection for T {}

type Connected = io::Result<Box<dyn Connection>>;

/// Bodies for one endpoint.
struct Attack<'a> {
    /// Of the endpoint, as `POST /verify`.
    endpoint: &'static str,
    host: &'static str,
    /// The longest that it takes, in bytes.
    body: usize,
    connections: usize,
    connect: Box<dyn Fn() -> Connected + Sync + 'a>,
}

impl Attack<'_> {
    /// Sends all but the end of a body; the connection, and whether all of it was read.
    fn send(&self) -> io::Result<(Box<dyn Connection>, bool)> {
        let mut stream = (self.connect)()?;
        let head = format!(
            "{} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
            self.endpoint, self.host
        );
        stream.write_all(head.as_bytes())?;
        let usual = format!("{USUAL:x}\r\n{}\r\n", " ".repeat(USUAL));
        let ones = CHUNK.repeat(AT_ONCE);
        let mut left = self.body;
        while left > 0 {
            let (piece, bytes) = match left.checked_sub(CHUNKED / self.connections) {
                Some(before) if before >= USUAL => (usual.as_bytes(), USUAL),
                _ => (&ones[..left.min(AT_ONCE) * CHUNK.len()], left.min(AT_ONCE)),
            };
            if stream.write_all(piece).is_err() {
                return Ok((stream, false));
            }
            left -= bytes;
        }
        Ok((stream, true))
    }
}

/// Ends a body; the status of the answer, if there is one.
fn end(mut stream: Box<dyn Connection>) -> Option<u16> {
    stream.write_all(b"0\r\n\r\n").ok()?;
    let mut line = [0; 12];
    stream.read_exact(&mut line).ok()?;
    str::from_utf8(&line).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

/// The most memory that a process has held since [`forget`], in KiB (`proc_pid_status(5)`).
fn most(pid: u32) -> u64 {
    let most = lab::inside::status_field(pid, "VmHWM").expect("the process is there");
    most.trim_end_matches("kB").trim().parse().unwrap()
}

/// From now on [`most`] counts anew (`proc_pid_clear_refs(5)`).
fn forget(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

/// Sends all bodies at once, asks `other` while they are held, and requires that the service takes no more than it may.
fn hold(pid: u32, service: &Service, attacks: &[Attack<'_>], other: impl Fn() -> u16) {
    let name = service.name;
    forget(pid);
    let (tell, told) = mpsc::channel();
    let held = thread::scope(|scope| {
        for attack in attacks {
            for _ in 0..attack.connections {
                let tell = tell.clone();
                scope.spawn(move || {
                    if let Ok(sent) = attack.send() {
                        tell.send((attack.endpoint, sent)).unwrap();
                    }
                });
            }
        }
        drop(tell);
        // While they are sent, and again once they are held.
        assert_eq!(other(), 200, "{name}: somebody else meanwhile");
        told.iter().collect::<Vec<_>>()
    });
    assert_eq!(other(), 200, "{name}: somebody else meanwhile");
    let (most, may) = (most(pid), service.memory.mib(None));
    assert!(most < may * 1024, "{name} held {most} KiB; it may take {may} MiB");
    for attack in attacks {
        let is_whole =
            |(endpoint, (_, is_whole)): &(_, (_, bool))| *endpoint == attack.endpoint && *is_whole;
        let whole = held.iter().filter(|it| is_whole(it)).count();
        assert!(whole > 0, "{name}, {}: none was read", attack.endpoint);
    }
    for (endpoint, (stream, _)) in held {
        // Read to its end, and no JSON; or it was late, or there was no room.
        let answer = end(stream);
        assert!(
            matches!(answer, None | Some(400 | 408 | 422 | 503)),
            "{name}, {endpoint}: {answer:?}"
        );
    }
    assert_eq!(other(), 200, "{name}: somebody else afterwards");
}

/// Connects to a link of the house as one of its users, and says first in whose name.
fn by_link<'a>(
    caller: Caller,
    link: &Link,
    preface: &'a [u8],
) -> impl Fn() -> Connected + Sync + 'a {
    let socket = link.path(Path::new(ROOT)).display().to_string();
    move || {
        let mut stream = caller.connect(&socket)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(preface)?;
        Ok(Box::new(stream) as Box<dyn Connection>)
    }
}

/// What somebody is answered who asks for so much as this.
fn status(stream: impl Read + Write, path: &str, host: &str) -> u16 {
    http::request(stream, "GET", path, host, &[], None).unwrap().status
}

/// Largest body of what is short, in bytes.
const SMALL: usize = 64 << 10;

/// Sealed chats, in this listener's name.
fn sealed<'a>(host: &'static str, connect: Box<dyn Fn() -> Connected + Sync + 'a>) -> Attack<'a> {
    let (endpoint, body) = ("POST /maru/v1/chat", Limits::default().max_body_bytes - 1);
    Attack { endpoint, host, body, connections: 15, connect }
}

/// A house, two members who send, and one who only asks.
struct Setup {
    deployment: Deployment,
    alice: Member,
    carol: Member,
    bob: Member,
}

impl Setup {
    fn start() -> Self {
        let mut deployment = Deployment::start().unwrap();
        let mut member = |seat, person| deployment.member(seat, person).unwrap();
        let [alice, carol, bob] =
            [("laptop", "alice"), ("tablet", "carol"), ("phone", "bob")].map(|(a, b)| member(a, b));
        Self { deployment, alice, carol, bob }
    }

    fn user(&self, uid: u32, gid: u32) -> Caller {
        Caller { pid: self.deployment.home.machine.pid(), uid, gid }
    }

    /// The only process of this name whose command line holds this.
    fn process(&self, name: &str, text: &str) -> u32 {
        let found = self.deployment.processes(name, text).unwrap();
        let [pid] = found[..] else { panic!("one {name} {text}: {found:?}") };
        pid
    }

    fn preface(&self, from: &Member, person: &str, port: u16) -> Vec<u8> {
        header(&self.deployment, &from.instance, person, port).encode().unwrap()
    }

    /// What bob is answered who asks telmeet for keys.
    fn keys(&self) -> u16 {
        status(self.bob.instance.dial(80).unwrap(), path::KEYS, CHAT)
    }

    /// What bob is answered who asks the gateway with a body of his own.
    fn show(&self) -> u16 {
        let (stream, body) = (self.bob.instance.dial(18789).unwrap(), r#"{"model":"default"}"#);
        http::request(stream, "POST", "/api/show", OWN, &[], Some(body)).unwrap().status
    }

    /// Bodies for a link that is root's.
    fn by_root(&self, link: &'static Link, endpoint: &'static str, body: usize) -> Attack<'_> {
        let connect = Box::new(by_link(self.user(0, 0), link, b""));
        Attack { endpoint, host: "localhost", body: body - 1, connections: 8, connect }
    }

    /// What is sent to the gateway by members, through the agent, which passes it on as it comes.
    fn to_the_gateway_by_members(&self) {
        let agent = self.user(AGENT_UID, AGENT_GID);
        let [alices, carols] = [(&self.alice, "alice"), (&self.carol, "carol")]
            .map(|(from, person)| self.preface(from, person, 18789));
        let Limits { max_body_bytes: own, max_plain_body_bytes: plain, .. } = Limits::default();
        let by = |preface, endpoint, body, connections| {
            let connect = Box::new(by_link(agent, &GATEWAY_HTTP, preface));
            Attack { endpoint, host: OWN, body: body - 1, connections, connect }
        };
        // Whose length nobody says takes the room of the longest; each round is all that two people have room for.
        for attacks in [
            vec![
                by(&alices, "POST /v1/chat/completions", plain, 1),
                by(&carols, "POST /api/chat", plain, 1),
            ],
            vec![
                by(&alices, "POST /v1/embeddings", plain, 1),
                by(&carols, "POST /api/generate", plain, 1),
            ],
            vec![
                by(&alices, "POST /maru/v1/chat", own, 15),
                by(&carols, "POST /maru/v1/devices", own, 12),
            ],
        ] {
            hold(self.process("maru-gateway", ""), &GATEWAY_SERVICE, &attacks, || self.show());
        }
    }

    /// What is sent to the gateway by a telmeet that makes it up, and by root.
    fn to_the_gateway_by_others(&self) {
        let made_up = self.preface(&self.alice, "alice", 80);
        let telmeet = by_link(self.user(TELMEET_SERVICE.uid, PLUGIN.group), &PLUGIN, &made_up);
        for attack in [
            sealed(plugin::HOST, Box::new(telmeet)),
            self.by_root(&METRICS, "POST /maru/v1/apps", SMALL),
        ] {
            hold(self.process("maru-gateway", ""), &GATEWAY_SERVICE, &[attack], || self.show());
        }
    }

    fn to_telmeet(&self) {
        let alices = self.preface(&self.alice, "alice", 80);
        let agent = by_link(self.user(AGENT_UID, AGENT_GID), &TELMEET_HTTP, &alices);
        let attacks = [sealed(CHAT, Box::new(agent))];
        hold(self.process("maru-telmeet", ""), &TELMEET_SERVICE, &attacks, || self.keys());
    }

    /// What is sent to the coordinator by a stranger and by root.
    fn to_the_coordinator(&self) {
        let connect = |machine: &Machine| -> io::Result<TcpStream> {
            let to = SocketAddr::new(HOME.parse().unwrap(), 8443);
            machine.in_network(|| TcpStream::connect_timeout(&to, PATIENCE))
        };
        let stranger = Attack {
            endpoint: "POST /verify",
            host: "coordinator",
            body: SMALL - 1,
            connections: 15,
            connect: Box::new(|| {
                let stream = connect(&self.alice.instance.machine)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Box::new(stream) as Box<dyn Connection>)
            }),
        };
        let attacks = [stranger, self.by_root(&ADMIN, "PUT /api/v1/policy", 1 << 20)];
        hold(self.process("maru-coordinator", "serve"), &COORDINATOR_SERVICE, &attacks, || {
            let stream = connect(&self.bob.instance.machine).unwrap();
            status(stream, "/key?v=110", "coordinator")
        });
    }

    fn to_the_agent(&self) {
        let attacks = [self.by_root(&LOCAL_API, "POST /v1/join", SMALL)];
        let socket = LOCAL_API.path(Path::new(ROOT)).display().to_string();
        hold(self.process("maru-agent", ""), &AGENT_SERVICE, &attacks, || {
            let stream = self.user(NOBODY, NOBODY).connect(&socket).unwrap();
            status(stream, "/v1/status", "localhost")
        });
    }
}

#[test]
#[ignore = "needs: root, podman, model"]
fn the_largest_bodies_in_chunks_of_one_byte_take_what_each_service_may_take() {
    let house = Setup::start();
    house.to_the_gateway_by_members();
    house.to_the_gateway_by_others();
    house.to_telmeet();
    house.to_the_coordinator();
    house.to_the_agent();
}
