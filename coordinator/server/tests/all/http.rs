//! What is served outside the Noise channel.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    device::{Device, server_key},
    harness::{Coordinator, PATIENCE},
};

/// Sends a request as it stands; status and body of the answer.
pub(crate) async fn raw(address: SocketAddr, request: &str) -> (u16, String) {
    timeout(PATIENCE, try_raw(address, request)).await.unwrap().unwrap()
}

async fn try_raw(address: SocketAddr, request: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).unwrap_or_default().parse().unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    Ok((status, body.unwrap_or_default()))
}

/// As [`get`]; the error if the connection is refused or cut.
pub(crate) async fn try_get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    try_raw(address, &request_for(path)).await
}

fn request_for(path: &str) -> String {
    format!("GET {path} HTTP/1.1\nHost: coordinator.test\nConnection: close\n\n")
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    raw(address, &request_for(path)).await
}

/// Sends a page's form.
pub(crate) async fn post_form(address: SocketAddr, path: &str, form: &str) -> (u16, String) {
    raw(address, &request_with_form(path, form)).await
}

pub(crate) fn request_with_form(path: &str, form: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\nHost: coordinator.test\nConnection: close\n\
         Content-Type: application/x-www-form-urlencoded\nContent-Length: {}\n\n{form}",
        form.len()
    )
}

#[tokio::test]
async fn pitfall_a_the_noise_key_is_told_also_to_clients_that_name_the_whole_url() {
    let mut coordinator = Coordinator::start().await;

    let (status, body) = get(coordinator.address, "http://coordinator.test:8443/key?v=130").await;

    assert_eq!(status, 200);
    assert!(body.contains(&format!("\"legacyPublicKey\":\"mkey:{}\"", "0".repeat(64))), "{body}");
    let before = server_key(coordinator.address).await;
    coordinator.restart().await;
    assert_eq!(server_key(coordinator.address).await, before, "it stays the same");
}

#[tokio::test]
async fn an_upgrade_without_a_good_handshake_is_refused() {
    let coordinator = Coordinator::start().await;
    let upgrade = |handshake: &str| {
        format!(
            "POST /ts2021 HTTP/1.1\nHost: a\nUpgrade: tailscale-control-protocol\nConnection: upgrade, close\n\
             X-Tailscale-Handshake: {handshake}\nContent-Length: 0\n\n"
        )
    };

    for handshake in ["", "AAAA", &"A".repeat(136), &"A".repeat(4000)] {
        assert_eq!(raw(coordinator.address, &upgrade(handshake)).await.0, 400);
    }
    let (status, _) = get(coordinator.address, "/ts2021").await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn the_pages_say_what_to_do_and_show_nothing_else() {
    let coordinator = Coordinator::start().await;

    let (status, body) = get(coordinator.address, "/join").await;
    assert_eq!(status, 200);
    assert!(body.contains("maru join") && body.contains("lang=\"ko\""));
    let (status, _) = get(coordinator.address, "/register/0123").await;
    assert_eq!(status, 404);
    let (status, _) = get(coordinator.address, "/api/v1/devices").await;
    assert_eq!(status, 403, "the admin API is not served over plain HTTP");
}

#[tokio::test]
async fn pitfall_9_inside_the_channel_bodies_are_bounded_and_what_is_missing_is_said_so() {
    let coordinator = Coordinator::start().await;
    let device = Device::new("laptop");
    let mut channel = device.connect(coordinator.address).await;

    for path in ["/machine/register", "/machine/map"] {
        let large = vec![b' '; 64 * 1024 + 1];
        assert_eq!(channel.post(path, large.into()).await.status(), 413);
    }
    assert_eq!(channel.post("/machine/register", "{".into()).await.status(), 400);
    for path in ["/machine/set-dns", "/machine/tka/init/begin", "/machine/update-health"] {
        assert_eq!(channel.post(path, "{}".into()).await.status(), 501);
    }
    let mut old = device.request();
    old.version = 100;
    let body = serde_json::to_vec(&old).unwrap();
    assert_eq!(channel.post("/machine/register", body.into()).await.status(), 400);
}
