//! telmeet with people on loopback ports, for trying clients without a mesh: each port is a node of one person.
//!
//! `cargo run -p telmeet --example mesh ROOT alice=8001 bob=8002`; clients call `http://rooms.maru.home.arpa:8001`, whose
//! name has to lead to 127.0.0.1. Everybody on this machine can be everybody: for development alone.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a program for developers")]
#![allow(
    clippy::disallowed_methods,
    reason = "it is the agent here: it makes the folder of the socket itself"
)]

use std::{fs, net::SocketAddr, os::unix::fs::MetadataExt as _, path::PathBuf};

use mesh_identity::{Header, Identity, User, VERSION};
use tokio::{
    io::{AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixStream},
};

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let root = PathBuf::from(args.next().expect("a folder"));
    let uid = fs::metadata("/proc/self").expect("/proc").uid();
    fs::create_dir_all(&root).expect("a folder");
    let settings = root.join("telmeet.toml");
    fs::write(&settings, format!("agent_uid = {uid}\noauth = true\n")).expect("settings");
    let socket = root.join("run/maru/telmeet/http.sock");
    for (id, person) in (1..).zip(args) {
        let (login, port) = person.split_once('=').expect("NAME=PORT");
        let address = SocketAddr::from(([127, 0, 0, 1], port.parse().expect("a port")));
        let listener = TcpListener::bind(address).await.expect("a free port");
        println!("{login}: http://rooms.maru.home.arpa:{port}");
        tokio::spawn(serve(listener, address, (id, login.to_owned()), socket.clone()));
    }
    telmeet::run(&root, Some(settings)).await.expect("telmeet");
}

/// Passes connections to the socket, as the agent does for a node of this person.
async fn serve(listener: TcpListener, here: SocketAddr, who: (u64, String), socket: PathBuf) {
    let (id, login) = who;
    while let Ok((stream, _)) = listener.accept().await {
        let identity = Identity {
            v: VERSION,
            node: format!("n{id}"),
            user: Some(User { id, login: login.clone() }),
            tags: Vec::new(),
            service: "telmeet".to_owned(),
        };
        // A mesh address, as the agent has one of the caller.
        let source = SocketAddr::from(([100, 64, 0, u8::try_from(id).unwrap_or(u8::MAX)], 40_000));
        let header = Header { source, destination: here, identity, authority: None };
        tokio::spawn(pass(stream, header, socket.clone()));
    }
}

async fn pass(mut stream: TcpStream, header: Header, socket: PathBuf) -> std::io::Result<()> {
    let mut service = UnixStream::connect(socket).await?;
    service.write_all(&header.encode().map_err(std::io::Error::other)?).await?;
    copy_bidirectional(&mut stream, &mut service).await.map(drop)
}
