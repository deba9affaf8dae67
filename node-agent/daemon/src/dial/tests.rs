use std::{
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    pin::pin,
};

use control_protocol::{
    key::NodePublic,
    map::{MapResponse, Node},
};
use futures_util::FutureExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest},
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
    time::timeout,
};

use super::*;
use crate::{
    config::{Config, Paths},
    state::State,
};

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

fn node(id: u8, addresses: &[&str]) -> Node {
    Node {
        id: id.into(),
        stable_id: format!("n{id}"),
        name: format!("node{id}.maru.home.arpa."),
        key: NodePublic::from_bytes([id; 32]),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        ..Node::default()
    }
}

/// This node has no IPv6 address; peer 2 has both, peer 3 has one.
fn netmap() -> Netmap {
    let mut netmap = Netmap::default();
    let peer = node(2, &["100.64.0.2/32", "fd7a:115c:a1e0::2/128"]);
    netmap
        .apply_first(MapResponse {
            node: Some(node(1, &["100.64.0.1/32"])),
            peers: Some(vec![peer, node(3, &["100.64.0.3/32"])]),
            ..MapResponse::default()
        })
        .unwrap();
    netmap
}

fn settings(to: SocketAddr) -> settings::Dial {
    let uid = rustix::process::getuid().as_raw();
    let socket = "run/maru/dial/ollama/http.sock".into();
    settings::Dial { name: "ollama".to_owned(), socket, uid, to, outside: false }
}

fn dial(to: SocketAddr) -> (Dial, watch::Sender<Arc<Netmap>>) {
    let maps = watch::Sender::new(Arc::new(netmap()));
    (Dial::new(&settings(to), "lo", maps.subscribe()), maps)
}

/// A dial that is listened on, and its target.
struct DialFixture {
    folder: tempfile::TempDir,
    target: TcpListener,
    dial: Dial,
    _listening: JoinHandle<()>,
}

async fn fixture(change: impl FnOnce(&mut Dial)) -> DialFixture {
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut dial, _) = dial(target.local_addr().unwrap());
    change(&mut dial);
    let folder = tempfile::tempdir().unwrap();
    let socket = Socket::bind(&folder.path().join("http.sock"), Access::Group).unwrap();
    let listening = tokio::spawn(dial.clone().listen(socket));
    DialFixture { folder, target, dial, _listening: listening }
}

impl DialFixture {
    async fn call(&self) -> UnixStream {
        UnixStream::connect(self.folder.path().join("http.sock")).await.unwrap()
    }

    /// Both ends of one connection.
    async fn connection(&self) -> (UnixStream, TcpStream) {
        let caller = self.call().await;
        (caller, self.target.accept().await.unwrap().0)
    }
}

async fn read(mut from: impl AsyncRead + Unpin) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn bytes_go_both_ways_and_half_a_close_is_half_a_close() {
    let place = fixture(|_| {}).await;
    let (mut caller, mut target) = place.connection().await;

    caller.write_all(b"question").await.unwrap();
    caller.shutdown().await.unwrap();
    assert_eq!(read(&mut target).await, "question");
    target.write_all(b"reply").await.unwrap();
    drop(target);
    assert_eq!(read(&mut caller).await, "reply");

    let (mut caller, mut target) = place.connection().await;
    target.write_all(b"too long").await.unwrap();
    target.shutdown().await.unwrap();
    assert_eq!(read(&mut caller).await, "too long");
    caller.write_all(b"the rest").await.unwrap();
    drop(caller);
    assert_eq!(read(&mut target).await, "the rest");
}

/// Nothing is under way that could fail: the target hears of it all the same.
#[tokio::test]
async fn a_caller_that_closes_is_heard_of_at_once() {
    for sends_no_more in [false, true] {
        let place = fixture(|_| {}).await;
        let (mut caller, mut target) = place.connection().await;
        caller.write_all(b"question").await.unwrap();
        if sends_no_more {
            caller.shutdown().await.unwrap();
            assert_eq!(read(&mut target).await, "question");
        } else {
            target.read_exact(&mut [0; 8]).await.unwrap();
        }

        drop(caller);

        // Reading alone would not tell after the first end.
        let heard = timeout(PATIENCE, target.ready(Interest::ERROR)).await;
        assert!(heard.is_ok_and(|heard| heard.is_ok()), "sends no more: {sends_no_more}");
    }
}

#[tokio::test]
async fn another_user_is_turned_away_and_nothing_is_dialled() {
    let place = fixture(|dial| dial.uid += 1).await;

    let mut caller = place.call().await;
    let answer = timeout(PATIENCE, caller.read(&mut [0; 1])).await;
    assert_eq!(answer.expect("turned away").unwrap(), 0);

    assert!(place.target.accept().now_or_never().is_none());
    assert!(place.dial.logged.other_user.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_target_that_is_away_closes_the_call_and_is_said_once_until_it_is_back() {
    // A port that nobody else gets, and on which nobody listens yet.
    let away = TcpSocket::new_v4().unwrap();
    away.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut place = fixture(|it| it.target = dial(away.local_addr().unwrap()).0.target).await;
    let said = || place.dial.logged.unreachable.load(Ordering::Relaxed);

    for _ in 0..2 {
        assert_eq!(place.call().await.read(&mut [0; 1]).await.unwrap(), 0);
        assert!(said());
    }
    place.target = away.listen(1).unwrap();
    let (mut caller, mut target) = place.connection().await;
    target.write_all(b"back").await.unwrap();
    drop(target);
    assert_eq!(read(&mut caller).await, "back");
    assert!(!said());
}

#[tokio::test]
async fn a_connection_on_which_nothing_moves_is_closed() {
    let place = fixture(|dial| dial.idle = Duration::from_millis(20)).await;
    let (mut caller, mut target) = place.connection().await;
    assert_eq!(caller.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(target.read(&mut [0; 1]).await.is_err(), "cut, not ended");
}

#[tokio::test]
async fn what_is_read_is_noted() {
    let moved = AtomicBool::default();
    let ended = AtomicBool::default();
    let mut from = ActivityReader { from: &b"x"[..], moved: &moved, ended: Some(&ended) };
    from.read_exact(&mut [0; 1]).await.unwrap();
    assert!(moved.load(Ordering::Relaxed) && !ended.load(Ordering::Relaxed));
    assert_eq!(from.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(ended.load(Ordering::Relaxed));
    let mut silence = pin!(silence(&moved, Duration::ZERO));
    while silence.as_mut().now_or_never().is_none() {
        tokio::task::yield_now().await;
    }
    assert!(!moved.load(Ordering::Relaxed));
}

#[tokio::test]
async fn calls_beyond_the_most_are_turned_away() {
    let place = fixture(|_| {}).await;
    let mut held = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        held.push(place.connection().await);
    }

    assert_eq!(place.call().await.read(&mut [0; 1]).await.unwrap(), 0);

    let (mut caller, mut target) = held.pop().unwrap();
    target.write_all(b"x").await.unwrap();
    caller.read_exact(&mut [0; 1]).await.expect("those before go on");
}

fn target(to: &str) -> Target {
    Target { address: to.parse().unwrap(), outside: false, interface: "lo".to_owned() }
}

#[test]
fn only_a_peer_of_the_map_is_dialled_in_the_mesh() {
    let (map, none) = (netmap(), Netmap::default());
    let from: IpAddr = "100.64.0.1".parse().unwrap();
    let peer = |to: &str, map: &Netmap| target(to).peer(map);

    let found = peer("100.64.0.2:80", &map).unwrap().unwrap();
    assert_eq!(found, Peer::new("n2", from));
    assert_eq!(peer("100.64.0.1:80", &map), Err(DialError::NoPeer), "this node itself");
    assert_eq!(peer("100.64.0.9:80", &map), Err(DialError::NoPeer));
    assert_eq!(peer("100.100.100.100:53", &map), Err(DialError::NoPeer));
    assert_eq!(peer("100.64.0.2:80", &none), Err(DialError::NoPeer));
    assert_eq!(peer("[fd7a:115c:a1e0::2]:80", &map), Err(DialError::NoAddress));
    assert_eq!(peer("127.0.0.1:80", &none), Ok(None), "this machine needs no map");
    let outside = Target { outside: true, ..target("203.0.113.5:443") };
    assert_eq!(outside.peer(&none), Ok(None), "nor does an address outside");
}

#[tokio::test]
async fn a_mesh_address_is_dialled_through_the_tunnels_interface_or_not_at_all() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let peer = |from: &str| Ok(Some(Peer::new("n2", from.parse().unwrap())));
    let through = async |interface: &str, from| {
        let target = Target { address: to, outside: false, interface: interface.to_owned() };
        target.connect(&peer(from), CONNECT_WAIT).await
    };

    assert!(through("lo", "127.0.0.7").await.is_ok(), "the control");
    let (_, source) = listener.accept().await.unwrap();
    assert_eq!(source.ip().to_string(), "127.0.0.7", "from this node's own address");
    assert!(matches!(through("maru-none", "127.0.0.7").await, Err(DialError::Refused(_))));
    assert!(matches!(through("lo", "192.0.2.1").await, Err(DialError::Refused(_))));
}

/// What cuts a connection to peer 2, and what does not.
#[test]
fn a_connection_ends_with_its_peer() {
    type Change = fn(&mut Netmap);
    let cases: [(&str, Change, bool); 5] = [
        ("another peer leaves", |map| drop(map.peers.remove(&3)), false),
        ("the peer leaves", |map| drop(map.peers.remove(&2)), true),
        ("its key expires", |map| map.peers.get_mut(&2).unwrap().expired = true, true),
        (
            "the address becomes another node's",
            |map| map.peers.get_mut(&2).unwrap().stable_id = "n9".to_owned(),
            true,
        ),
        ("this node has left", |map| *map = Netmap::default(), true),
    ];
    for (what, change, ends) in cases {
        let (mut dial, maps) = dial("100.64.0.2:80".parse().unwrap());
        let peer = dial.target.peer(&dial.netmap.borrow_and_update()).unwrap();
        let mut withdrawn = pin!(dial.withdrawn(peer));
        assert!(withdrawn.as_mut().now_or_never().is_none(), "{what}");

        let mut next = netmap();
        change(&mut next);
        maps.send_replace(Arc::new(next));

        assert_eq!(withdrawn.now_or_never().is_some(), ends, "{what}");
    }
}

fn agent(root: &Path, dials: Vec<settings::Dial>) -> Arc<Agent> {
    let settings = settings::Settings { dial: dials, ..settings::Settings::default() };
    let config = Config { settings, ..Config::default() };
    let state = State::generate().unwrap();
    Arc::new(Agent::new(config, Paths::new(root), state, Netmap::default()))
}

#[tokio::test]
async fn sockets_come_and_go_with_the_agent_and_one_that_cannot_be_made_spares_the_others() {
    let root = tempfile::tempdir().unwrap();
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = settings(target.local_addr().unwrap());
    let taken = settings::Dial { socket: "run/maru/dial/taken/http.sock".into(), ..own.clone() };
    let taken_at = root.path().join(&taken.socket);
    std::fs::create_dir_all(taken_at.parent().unwrap()).unwrap();
    std::fs::write(&taken_at, "a file").unwrap();
    let path = root.path().join(&own.socket);
    let agent = agent(root.path(), vec![taken, own]);

    for _ in 0..2 {
        let dials = tokio::spawn(run(Arc::clone(&agent), "lo".to_owned()));
        testkit::eventually("its socket", async || path.exists()).await;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o660, 0o2750));
        let mut caller = UnixStream::connect(&path).await.unwrap();
        target.accept().await.unwrap();
        dials.abort();
        assert_eq!(caller.read(&mut [0; 1]).await.unwrap_or(0), 0, "cut with it");
        testkit::eventually("its socket is gone", async || !path.exists()).await;
    }
    assert_eq!(std::fs::read_to_string(taken_at).unwrap(), "a file", "not ours, so not removed");
}
