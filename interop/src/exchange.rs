//! Exchanges packets with a mesh address.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::json;
use tailscale::{
    Device,
    netstack::{TcpListener, TcpStream, UdpSocket},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::event;

/// How long to wait for an answer before the next datagram: the first are lost while the tunnel is being set up.
const RETRY: Duration = Duration::from_millis(500);
/// Most of an HTTP response that is read, in bytes.
const MAX_RESPONSE: u64 = 1 << 20;

async fn own_address(device: &Device, like: SocketAddr) -> anyhow::Result<IpAddr> {
    Ok(if like.is_ipv4() {
        device.ipv4_addr().await?.into()
    } else {
        device.ipv6_addr().await?.into()
    })
}

/// A port of the dynamic range that depends on the process id.
fn local_port() -> u16 {
    49152 + u16::try_from(std::process::id() % 16000).unwrap_or_default()
}

/// Sends datagrams until `count` of them came back.
pub(crate) async fn udp_echo(
    device: &Device,
    to: SocketAddr,
    count: u32,
    size: usize,
) -> anyhow::Result<()> {
    let socket =
        Arc::new(device.udp_bind((own_address(device, to).await?, local_port()).into()).await?);
    let mut answers = receive(Arc::clone(&socket));
    let started = Instant::now();
    let (mut sent, mut received) = (0_u32, 0_u32);
    let mut first_ms = None;
    while received < count {
        let text = datagram(sent, size);
        socket.send_to(to, &text).await?;
        sent += 1;
        // An answer to an earlier datagram may arrive first; only the answer to this one counts.
        let answered = timeout(RETRY, async {
            while let Some(answer) = answers.recv().await {
                if answer == (to, text.clone()) {
                    return true;
                }
            }
            false
        });
        if answered.await.unwrap_or(false) {
            received += 1;
            first_ms.get_or_insert(started.elapsed().as_millis());
        }
    }
    event(&json!({
        "event": "udp_echo", "to": to, "sent": sent, "received": received, "size": size,
        "first_ms": first_ms, "total_ms": started.elapsed().as_millis(),
    }));
    Ok(())
}

/// A datagram that differs from every other one.
fn datagram(number: u32, size: usize) -> Vec<u8> {
    let mut text = format!("stock-client {} {number} ", std::process::id()).into_bytes();
    text.resize(size.max(text.len()), b'.');
    text
}

/// Receives on a separate task, because the socket's receive future must not be dropped before it completes.
fn receive(socket: Arc<UdpSocket>) -> mpsc::Receiver<(SocketAddr, Vec<u8>)> {
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((from, bytes)) = socket.recv_from_bytes().await {
            if sender.send((from, bytes.to_vec())).await.is_err() {
                break;
            }
        }
    });
    receiver
}

/// Connects, and retries until it works; the caller limits the time.
async fn connect(device: &Device, to: SocketAddr) -> TcpStream {
    loop {
        match timeout(Duration::from_secs(10), device.tcp_connect(to)).await {
            Ok(Ok(stream)) => return stream,
            Ok(Err(error)) => {
                event(&json!({"event": "retry", "to": to, "error": error.to_string()}))
            }
            Err(_) => event(&json!({"event": "retry", "to": to, "error": "no answer"})),
        }
        sleep(RETRY).await;
    }
}

/// Sends bytes over TCP and checks that they come back.
pub(crate) async fn tcp_echo(device: &Device, to: SocketAddr, bytes: usize) -> anyhow::Result<()> {
    let started = Instant::now();
    let (mut reader, mut writer) = tokio::io::split(connect(device, to).await);
    let text: Vec<u8> = (0..bytes).map(|at| (at.wrapping_mul(2_654_435_761) >> 7) as u8).collect();
    let mut back = vec![0; bytes];
    let send = async {
        writer.write_all(&text).await.context("cannot send")?;
        writer.flush().await.context("cannot send")
    };
    let receive = async { reader.read_exact(&mut back).await.context("not all bytes came back") };
    tokio::try_join!(send, receive)?;
    ensure!(text == back, "the received bytes differ from the sent ones");
    event(&json!({
        "event": "tcp_echo", "to": to, "bytes": bytes, "total_ms": started.elapsed().as_millis(),
    }));
    Ok(())
}

/// Sends an HTTP GET and prints status and body.
pub(crate) async fn tcp_get(
    device: &Device,
    to: SocketAddr,
    path: &str,
    host: &str,
) -> anyhow::Result<()> {
    let mut stream = connect(device, to).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.context("cannot send")?;
    stream.flush().await.context("cannot send")?;
    let mut response = Vec::new();
    let read = (&mut stream).take(MAX_RESPONSE).read_to_end(&mut response).await;
    // A peer may reset the connection instead of closing it; the received bytes count nevertheless.
    if response.is_empty() {
        read.context("no response")?;
    }
    let text = String::from_utf8_lossy(&response);
    let (head, body) = text.split_once("\r\n\r\n").context("the response is not HTTP")?;
    let status: u16 = head
        .split_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok())
        .context("the response is not HTTP")?;
    event(&json!({"event": "tcp_get", "to": to, "status": status, "head": head, "body": body}));
    Ok(())
}

/// Returns every datagram to its sender.
pub(crate) async fn listen_udp_echo(device: &Device, port: u16) -> anyhow::Result<()> {
    let addresses: [IpAddr; 2] =
        [device.ipv4_addr().await?.into(), device.ipv6_addr().await?.into()];
    let [ipv4, ipv6] = addresses;
    let sockets =
        (device.udp_bind((ipv4, port).into()).await?, device.udp_bind((ipv6, port).into()).await?);
    event(&json!({"event": "listening", "protocol": "udp", "addresses": addresses, "port": port}));
    tokio::try_join!(return_datagrams(sockets.0), return_datagrams(sockets.1))?;
    Ok(())
}

async fn return_datagrams(socket: UdpSocket) -> anyhow::Result<()> {
    loop {
        let (from, bytes) = socket.recv_from_bytes().await?;
        event(&json!({"event": "udp_packet", "from": from, "bytes": bytes.len()}));
        socket.send_to(from, &bytes).await?;
    }
}

/// Returns every byte of every connection.
pub(crate) async fn listen_tcp_echo(device: &Device, port: u16) -> anyhow::Result<()> {
    let addresses: [IpAddr; 2] =
        [device.ipv4_addr().await?.into(), device.ipv6_addr().await?.into()];
    let [ipv4, ipv6] = addresses;
    let listeners = (
        device.tcp_listen((ipv4, port).into()).await?,
        device.tcp_listen((ipv6, port).into()).await?,
    );
    event(&json!({"event": "listening", "protocol": "tcp", "addresses": addresses, "port": port}));
    tokio::try_join!(accept(listeners.0), accept(listeners.1))?;
    Ok(())
}

async fn accept(listener: TcpListener) -> anyhow::Result<()> {
    loop {
        tokio::spawn(return_bytes(listener.accept().await?));
    }
}

async fn return_bytes(stream: TcpStream) {
    let from = stream.remote_addr();
    event(&json!({"event": "tcp_connection", "from": from}));
    let (mut reader, mut writer) = tokio::io::split(stream);
    let copied = tokio::io::copy(&mut reader, &mut writer).await;
    let bytes = copied.as_ref().ok();
    event(&json!({"event": "tcp_end", "from": from, "bytes": bytes}));
}
