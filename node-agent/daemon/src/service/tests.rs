use std::pin::pin;

use control_protocol::{
    key::NodePublic,
    map::{FilterRule, MapResponse, NetPortRange, Node, PortRange, UserProfile},
};
use ipnet::IpNet;
use mesh_identity::Person;
use tokio::io::AsyncReadExt as _;

use super::*;
use crate::proxy::LINGER;

fn node(id: u8) -> Node {
    Node {
        id: id.into(),
        stable_id: format!("n{id}"),
        name: format!("node{id}.maru.home.arpa."),
        user: 7,
        key: NodePublic::from_bytes([id; 32]),
        addresses: vec![format!("100.64.0.{id}/32").parse().unwrap()],
        ..Node::default()
    }
}

/// This node is 1, its peers are 2 and 3; everyone may reach `port`.
pub(crate) fn access(port: u16) -> AccessSnapshot {
    let ports = PortRange { first: port, last: port };
    let to = NetPortRange { ip: "100.64.0.1".to_owned(), ports, ..NetPortRange::default() };
    let rule = FilterRule {
        src_ips: vec!["100.64.0.0/10".to_owned()],
        dst_ports: vec![to],
        ..FilterRule::default()
    };
    let mut netmap = Netmap::default();
    netmap
        .apply_first(MapResponse {
            node: Some(node(1)),
            peers: Some(vec![node(2), node(3)]),
            packet_filters: Some([("base".to_owned(), Some(vec![rule]))].into()),
            user_profiles: vec![UserProfile {
                id: 7,
                login_name: "mina".to_owned(),
                ..UserProfile::default()
            }],
            ..MapResponse::default()
        })
        .unwrap();
    let own: [IpNet; 1] = ["100.64.0.1/32".parse().unwrap()];
    let filter = PacketFilter::compile(&netmap.rules(), &own);
    AccessSnapshot { netmap: Arc::new(netmap), filter: Arc::new(filter) }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn only_a_peer_whom_the_filter_lets_reach_the_port_is_someone() {
    let access = access(80);
    let to = address("100.64.0.1:80");
    let caller = access.identity(ip("100.64.0.2"), to, "telmeet").unwrap();
    assert_eq!((caller.node.as_str(), caller.person()), ("n2", Person::User(7)));
    assert_eq!(access.identity(ip("100.64.0.1"), to, "telmeet"), None, "this node itself");
    assert_eq!(access.identity(ip("100.64.0.9"), to, "telmeet"), None, "nobody");
    assert_eq!(access.identity(ip("100.64.0.2"), address("100.64.0.1:81"), "telmeet"), None);
}

fn port(socket: &Path, access: &watch::Sender<Arc<AccessSnapshot>>) -> Port {
    port_to(Path::new("/"), socket, None, access)
}

fn port_to(
    root: &Path,
    socket: &Path,
    uid: Option<u32>,
    access: &watch::Sender<Arc<AccessSnapshot>>,
) -> Port {
    let service = Service {
        name: "telmeet".to_owned(),
        port: 80,
        socket: socket.to_owned(),
        uid,
        local: Vec::new(),
        pages: true,
        page_names: Vec::new(),
        https: Vec::new(),
    };
    let nodes = Quota::new(MAX_CONNECTIONS, MAX_PER_NODE);
    Port::new(&Paths::new(root), &service, access.subscribe(), nodes)
}

/// A service that reads the header and then echoes; and a connection to it through the port.
async fn through_the_port(
    access: &watch::Sender<Arc<AccessSnapshot>>,
) -> (Header, TcpStream, tokio::task::JoinHandle<()>) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("http.sock");
    let service = tokio::net::UnixListener::bind(&socket).unwrap();
    let port = port(&socket, access);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    // The mesh's addresses are not on this machine: the port is told them.
    let serving =
        tokio::spawn(port.serve(stream, address("100.64.0.2:5000"), address("100.64.0.1:80")));
    let (mut echo, _) = service.accept().await.unwrap();
    let mut bytes = Vec::new();
    let header = loop {
        echo.read_buf(&mut bytes).await.unwrap();
        if let Some((header, len)) = Header::decode(&bytes).unwrap() {
            assert_eq!(len, bytes.len());
            break header;
        }
    };
    tokio::spawn(async move {
        let (mut reader, mut writer) = echo.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
        let _ = writer.shutdown().await;
    });
    (header, client, serving)
}

#[tokio::test]
async fn the_service_learns_who_calls_and_bytes_go_both_ways_to_the_end() {
    let access = watch::Sender::new(Arc::new(access(80)));
    let (header, mut client, serving) = through_the_port(&access).await;
    assert_eq!(header.identity.node, "n2");
    assert_eq!(header.identity.service, "telmeet");
    assert_eq!(header.destination, address("100.64.0.1:80"));

    client.write_all(b"hello").await.unwrap();
    client.shutdown().await.unwrap();
    let mut back = String::new();
    client.read_to_string(&mut back).await.unwrap();

    assert_eq!(back, "hello");
    timeout(SERVICE_WAIT, serving).await.unwrap().unwrap();
}

/// What cuts a live connection within a second, and what does not.
#[tokio::test]
async fn a_connection_ends_with_the_right_to_it() {
    type Change = fn(&mut AccessSnapshot);
    let cases: [(&str, Change, bool); 6] = [
        ("another peer leaves", |w| drop(Arc::make_mut(&mut w.netmap).peers.remove(&3)), false),
        ("the node leaves", |w| drop(Arc::make_mut(&mut w.netmap).peers.remove(&2)), true),
        ("the port closes", |w| w.filter = Arc::default(), true),
        (
            "the node becomes another person's",
            |w| {
                let peers = &mut Arc::make_mut(&mut w.netmap).peers;
                peers.get_mut(&2).unwrap().user = 8;
            },
            true,
        ),
        (
            "the node gets a tag",
            |w| {
                let peers = &mut Arc::make_mut(&mut w.netmap).peers;
                peers.get_mut(&2).unwrap().tags = vec!["tag:kiosk".to_owned()];
            },
            true,
        ),
        (
            "the address becomes another node's",
            |w| {
                let peers = &mut Arc::make_mut(&mut w.netmap).peers;
                let mut other = peers.remove(&2).unwrap();
                other.id = 9;
                other.stable_id = "n9".to_owned();
                peers.insert(9, other);
            },
            true,
        ),
    ];
    for (what, change, ends) in cases {
        let sender = watch::Sender::new(Arc::new(access(80)));
        let (_, _client, serving) = through_the_port(&sender).await;
        let mut next = access(80);
        change(&mut next);
        sender.send_replace(Arc::new(next));
        let most = if ends { Duration::from_secs(60) } else { Duration::from_millis(300) };
        let ended = timeout(most, serving).await.is_ok();
        assert_eq!(ended, ends, "{what}");
    }
}

/// What a caller gets of a service that answers so, piece by piece: each comes before the next is said.
async fn answered(answers: ResponsePolicy, pieces: &[&str]) -> Vec<u8> {
    let access = watch::Sender::new(Arc::new(access(80)));
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("http.sock");
    let service = tokio::net::UnixListener::bind(&socket).unwrap();
    let port = Port { answers, ..port(&socket, &access) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let serving =
        tokio::spawn(port.serve(stream, address("100.64.0.2:5000"), address("100.64.0.1:80")));
    let (mut saying, _) = service.accept().await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: rooms.maru.home.arpa\r\n\r\n").await.unwrap();
    assert!(saying.read(&mut [0; 4096]).await.unwrap() > 0);
    let mut got = Vec::new();
    for piece in pieces {
        if saying.write_all(piece.as_bytes()).await.is_err() {
            break;
        }
        if got.ends_with(b"\r\n\r\n") || piece.ends_with("\r\n\r\n") {
            client.read_buf(&mut got).await.unwrap();
        }
    }
    drop(saying);
    let _ = timeout(SERVICE_WAIT, client.read_to_end(&mut got)).await.expect("it ends");
    drop(client);
    timeout(2 * LINGER, serving).await.unwrap().unwrap();
    got
}

/// A telmeet that somebody took over: a page of its would be a script of `chat.<network>` in a member's browser.
#[tokio::test]
async fn no_page_comes_from_a_service_that_has_none() {
    const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 8\r\n\r\n";
    let hostile: [&[&str]; 7] = [
        &[PAGE, "<script>"],
        &["HTTP/1.1 200 OK\r\nContent-Ty", "pe: text/html\r\n\r\n", "<script>"],
        &["HTTP/1.1 200 OK\r\n\r\n", "<script>"],
        &["<html><script>"],
        &["HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\n\r\n"],
        &["HTTP/1.1 304 Not Modified\r\n\r\n"],
        &["HTTP/1.1 200 OK\r\nContent-Type: image/svg+xml\r\n\r\n", "<svg>"],
    ];
    for pieces in hostile {
        assert_eq!(answered(ResponsePolicy::NoPages, pieces).await, b"", "{pieces:?}");
        let all = answered(ResponsePolicy::Any, pieces).await;
        assert_eq!(all, pieces.concat().as_bytes(), "the control: a service that may");
    }
    let at = |name: &str| ResponsePolicy::PagesAt([name.to_owned()].into());
    let all = answered(at("rooms"), hostile[0]).await;
    assert_eq!(all, hostile[0].concat().as_bytes(), "the name under which it has pages");
    assert_eq!(answered(at("chat"), hostile[0]).await, b"", "another name");
    let again = answered(ResponsePolicy::NoPages, &["HTTP/1.1 100 Continue\r\n\r\n", PAGE]).await;
    assert_eq!(again, b"HTTP/1.1 100 Continue\r\n\r\n", "nor after an interim answer");
}

#[tokio::test]
async fn a_reply_that_is_no_page_is_streamed_and_is_the_last_of_its_connection() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let got =
        answered(ResponsePolicy::NoPages, &[head, "data: a\r\n\r\n", "data: b\r\n\r\n"]).await;
    let got = String::from_utf8(got).unwrap();
    let (head, body) = got.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert!(head.contains("\r\nx-content-type-options: nosniff\r\n"), "{head}");
    assert_eq!(body, "data: a\r\n\r\ndata: b\r\n\r\n");
}

#[tokio::test]
async fn a_service_that_is_away_answers_by_closing() {
    let access = watch::Sender::new(Arc::new(access(80)));
    let port = port(Path::new("/nonexistent/http.sock"), &access);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    port.serve(stream, address("100.64.0.2:5000"), address("100.64.0.1:80")).await;
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_node_with_too_many_connections_is_refused_the_next() {
    let access = watch::Sender::new(Arc::new(access(80)));
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("http.sock");
    let service = tokio::net::UnixListener::bind(&socket).unwrap();
    let port = port(&socket, &access);
    let held: Vec<_> =
        (0..MAX_PER_NODE).map(|_| port.nodes.take("n2".to_owned()).unwrap()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();

    port.clone().serve(stream, address("100.64.0.2:5000"), address("100.64.0.1:80")).await;

    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    drop((held, service));
}

#[tokio::test]
async fn a_caller_whose_service_has_closed_gives_its_permit_back() {
    let access = watch::Sender::new(Arc::new(access(80)));
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("http.sock");
    let service = tokio::net::UnixListener::bind(&socket).unwrap();
    let port = port(&socket, &access);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let serving = tokio::spawn(port.clone().serve(
        stream,
        address("100.64.0.2:5000"),
        address("100.64.0.1:80"),
    ));

    let (mut answering, _) = service.accept().await.unwrap();
    // What is unread when a socket closes would reset the connection.
    assert!(answering.read(&mut [0; 4096]).await.unwrap() > 0);
    answering.write_all(b"bye").await.unwrap();
    drop(answering);

    // The client reads the end, and never closes its own side.
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"bye");
    timeout(4 * LINGER, serving).await.expect("the permit is given back").unwrap();
    let all: Vec<_> =
        (0..MAX_PER_NODE).map_while(|_| port.nodes.take("n2".to_owned()).ok()).collect();
    assert_eq!(all.len(), MAX_PER_NODE);
}

/// What a service hears of one connection through the port: nothing, unless the port connects.
async fn heard(port: Port, service: &tokio::net::UnixListener) -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    drop(client);
    let serving =
        tokio::spawn(port.serve(stream, address("100.64.0.2:5000"), address("100.64.0.1:80")));
    let mut bytes = Vec::new();
    let listening = async {
        let (mut connection, _) = service.accept().await.unwrap();
        let _ = connection.read_to_end(&mut bytes).await;
    };
    // A port that does not connect is done at once; one that does is done when both sides have heard the end.
    let done = async { serving.await.unwrap() };
    let mut done = pin!(done);
    tokio::select! {
        () = &mut done => {}
        () = listening => done.await,
    }
    bytes.len()
}

#[tokio::test]
async fn a_link_in_the_place_of_the_socket_is_not_followed() {
    let access = watch::Sender::new(Arc::new(access(80)));
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("run/own")).unwrap();
    let own = root.path().join("run/own/http.sock");
    let other = tokio::net::UnixListener::bind(root.path().join("run/other.sock")).unwrap();
    let relative = |path: &str| port_to(root.path(), Path::new(path), None, &access);

    std::os::unix::fs::symlink("../other.sock", &own).unwrap();
    assert_eq!(heard(relative("run/own/http.sock"), &other).await, 0);
    assert_eq!(heard(port(&own, &access), &other).await, 0, "nor by an absolute path");
    std::fs::remove_file(&own).unwrap();
    std::fs::write(&own, "").unwrap();
    assert_eq!(heard(relative("run/own/http.sock"), &other).await, 0, "a file");
    // Nor is a folder that is a link.
    std::os::unix::fs::symlink(".", root.path().join("run/link")).unwrap();
    assert_eq!(heard(relative("run/link/other.sock"), &other).await, 0);

    assert!(heard(relative("run/other.sock"), &other).await > 0, "the control: itself");
}

#[tokio::test]
async fn a_socket_where_another_user_listens_is_not_spoken_to() {
    let access = watch::Sender::new(Arc::new(access(80)));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("http.sock");
    let service = tokio::net::UnixListener::bind(&path).unwrap();
    let own = rustix::process::getuid().as_raw();
    let through = |uid| port_to(Path::new("/"), &path, uid, &access);

    assert_eq!(heard(through(Some(own + 1)), &service).await, 0);
    assert!(heard(through(Some(own)), &service).await > 0);
    assert!(heard(through(None), &service).await > 0, "the folder's owner");
}

#[tokio::test]
#[ignore = "needs: root"]
async fn without_a_uid_in_the_settings_it_is_the_folders_owner_who_listens() {
    let access = watch::Sender::new(Arc::new(access(80)));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("http.sock");
    let service = tokio::net::UnixListener::bind(&path).unwrap();
    std::os::unix::fs::chown(dir.path(), Some(61_003), None).unwrap();

    assert_eq!(heard(port(&path, &access), &service).await, 0, "root is not the owner");
    std::os::unix::fs::chown(dir.path(), Some(0), None).unwrap();
    assert!(heard(port(&path, &access), &service).await > 0);
}
