//! The memory of each role while the largest requests that it takes come in chunks of one byte.
//!
//! As many are held at once as there is room for. Fails if the process then holds more than its unit may, if somebody else
//! is not answered meanwhile, or if no request was read to its end: then nothing was tried.

use std::{iter::repeat_n, net::SocketAddr};

use chassis::dial::Stream;
use confidential_api::names::{REQUEST_MAX, header, media, path};
use services::SERVERS;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
    time::timeout,
};

use super::{
    chain::candidates,
    client::{Client, PATIENCE},
    node::Node,
    process::Process,
    world::TestDeployment,
};

/// Requests that one address sends at once: a quarter of the room for all of them, or less.
const EACH: usize = 8;
/// Addresses: together they send as much as there is room for.
const SENDERS: [u8; 4] = [2, 3, 4, 5];
/// How much of each request comes in chunks of one byte, in bytes.
const CHUNKED: usize = 160 << 10;
/// The size of the chunks before, in bytes.
const USUAL: usize = 64 << 10;
/// Chunks of one byte (RFC 9112 section 7.1) that are written at once.
const AT_ONCE: usize = 4096;

/// The most memory that a process has held, in KiB (`proc_pid_status(5)`).
fn most(pid: u32) -> u64 {
    let most = lab::inside::status_field(pid, "VmHWM").unwrap();
    most.trim_end_matches("kB").trim().parse().unwrap()
}

/// Sends all but the end of the largest request, and holds it; whether all of it was read.
async fn hold(client: Client, from: u8, to: SocketAddr, head: String) -> Option<Stream> {
    let mut stream = client.stream_from(from, to).await?;
    let usual = format!("{USUAL:x}\r\n{}\r\n", "x".repeat(USUAL));
    let ones = "1\r\nx\r\n".repeat(AT_ONCE);
    let sent = async {
        stream.write_all(head.as_bytes()).await?;
        let (before, after) = (REQUEST_MAX - CHUNKED, CHUNKED - AT_ONCE);
        for piece in repeat_n(&usual, before / USUAL).chain(repeat_n(&ones, after / AT_ONCE)) {
            stream.write_all(piece.as_bytes()).await?;
        }
        stream.flush().await
    };
    timeout(PATIENCE, sent).await.ok()?.ok()?;
    Some(stream)
}

/// Ends a request; the status of the answer, if there is one.
async fn end(mut stream: Stream) -> Option<u16> {
    let asked = async {
        stream.write_all(b"0\r\n\r\n").await.ok()?;
        let mut line = [0; 12];
        stream.read_exact(&mut line).await.ok()?;
        str::from_utf8(&line).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
    };
    timeout(PATIENCE, asked).await.ok()?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_requests_in_chunks_of_one_byte_take_what_each_role_may_take() {
    let world = TestDeployment::new();
    let router = Process::start(&world, "router", "");
    let settings =
        format!("names = [\"127.0.0.1\"]\n[router]\nurl = \"https://{}\"\n", router.address);
    let gateway = Process::start(&world, "gateway", &settings);
    let settings = format!("[gateway]\nurl = \"https://{}\"\n", gateway.address);
    let relay = Process::start(&world, "relay", &settings);
    let node = Node::start(&world, 1).await;
    let routed = format!("{}: {}\r\n", header::ROUTING_INFO, candidates(&[&node]));

    for (role, process, client, media, more) in [
        ("relay", &relay, world.client(), media::OHTTP_REQUEST, ""),
        ("gateway", &gateway, world.client(), media::OHTTP_REQUEST, ""),
        ("router", &router, world.client_as("gateway"), media::REQUEST, routed.as_str()),
    ] {
        let to = process.address;
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {to}\r\nContent-Type: {media}\r\n{more}Transfer-Encoding: chunked\r\n\r\n"
        );
        let other = async || client.get(to, path::PING).await.status;
        let usual = other().await;
        let mut sending = JoinSet::new();
        for from in SENDERS {
            for _ in 0..EACH {
                sending.spawn(hold(client.clone(), from, to, head.clone()));
            }
        }
        assert_eq!(other().await, usual, "{role}: somebody else meanwhile");
        let held: Vec<_> = sending.join_all().await.into_iter().flatten().collect();
        assert_eq!(other().await, usual, "{role}: somebody else while they are held");

        let unit = format!("confidential-{role}");
        let server = SERVERS.iter().find(|server| server.name == unit).unwrap();
        let (most, may) = (most(process.pid()), server.memory_mib.unwrap() * 1024);
        assert!(most < may, "{role} held {most} KiB; it may take {may}");
        let mut whole = 0;
        for stream in held {
            // No request of this kind; or there was no room.
            match end(stream).await {
                Some(400 | 404 | 502) => whole += 1,
                None | Some(408 | 503) => {}
                other => panic!("{role}: {other:?}"),
            }
        }
        assert!(whole > SENDERS.len(), "{role}: {whole} were read");
    }
}
