//! The page behind an invitation, and that of a device that waits, in a real browser.
//!
//! Fails if the first does not show the key that the address names, if it runs another script than its own, or if the
//! browser sends any of the key to anybody; if the second's form does not let the device in, or goes to anybody but the
//! coordinator. All that the browser asks for, whomever, goes through a proxy here that keeps it.

mod driven;

use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use coordinator_api::settings::{Proxy, Settings};
use hyper::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::Command,
    time::timeout,
};

use crate::{
    device::Device,
    harness::{Coordinator, configured, settings},
    http::get,
};
use driven::BrowserDriver;

/// What every browser is told.
const ARGUMENTS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-component-update",
    "--disable-background-networking",
    "--proxy-bypass-list=<-loopback>",
];
/// How long a browser may take to start and to show a page.
const BROWSER: Duration = Duration::from_secs(90);

/// Where the coordinator is, for the browser. No authority in this test vouches for a certificate, so it comes over plain
/// HTTP, by what passes for a proxy that speaks HTTPS.
const ORIGIN: &str = "http://coordinator.test";

/// A proxy that knows one place, the coordinator, and keeps what was sent to it.
struct Recorder {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    async fn start(coordinator: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, coordinator, Arc::clone(&kept)));
            }
        });
        Self { address, sent }
    }

    fn sent(&self) -> Vec<String> {
        self.sent.lock().unwrap().clone()
    }
}

/// Takes one request, as a proxy is sent it, and passes it on if it is for the coordinator.
async fn pass(mut stream: TcpStream, coordinator: SocketAddr, sent: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(len) => request.extend_from_slice(&bytes[..len]),
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    sent.lock().unwrap().push(text.clone());
    let is_for_us =
        ["GET", "POST"].iter().any(|method| text.starts_with(&format!("{method} {ORIGIN}/")));
    if !is_for_us {
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
        return;
    }
    let mut upstream = TcpStream::connect(coordinator).await.unwrap();
    let once = text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let once = once.replace("Proxy-Connection: keep-alive\r\n", "");
    upstream.write_all(once.as_bytes()).await.unwrap();
    let _ = tokio::io::copy(&mut upstream, &mut stream).await;
}

/// Whether a request has come to its end, its body included.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// Opens an address in a browser of its own; the page as the browser then has it.
async fn open(recorder: &Recorder, address: &str, language: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut browser = Command::new("/usr/bin/chromium");
    browser
        .args(ARGUMENTS)
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--proxy-server=http://{}", recorder.address))
        .arg(format!("--accept-lang={language}"))
        .args(["--dump-dom", address])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(BROWSER, browser.output()).await.expect("it shows the page").unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn over_https() -> Coordinator {
    let server_url = Some("https://coordinator.test".to_owned());
    let proxy = Some(Proxy { trusted: vec!["127.0.0.1".to_owned()] });
    Coordinator::with(configured(Settings { server_url, proxy, ..settings() }), None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs: chromium"]
async fn a_person_pastes_an_invitation_into_the_page_of_a_device_that_waits() {
    let coordinator = over_https().await;
    let device = Device::new("phone");
    let mut channel = device.connect(coordinator.address).await;
    let waiting = channel.register(&device.request()).await;
    let path = waiting.auth_url.strip_prefix("https://coordinator.test").unwrap().to_owned();
    let wanted = json!({ "user": "alice", "pre_approved": true });
    let made = coordinator.ok(Method::POST, "/invitations", wanted).await;
    let invitation = made["url"].as_str().unwrap();
    let code = coordinator.devices().await[0]["code"].as_str().unwrap().to_owned();
    let recorder = Recorder::start(coordinator.address).await;

    let mut browser = BrowserDriver::start(recorder.address).await;
    browser.open(&format!("{ORIGIN}{path}")).await;
    let page = browser.reads("This device waits").await;
    assert!(page.contains(&code), "{page}");
    browser.types("textarea", &invitation[..invitation.len() - 1]).await;
    browser.presses("button").await;
    browser.reads("That did not work").await;
    browser.open(&format!("{ORIGIN}{path}")).await;
    browser.reads("This device waits").await;
    browser.types("textarea", &format!(" {invitation}\n")).await;
    browser.presses("button").await;
    browser.reads("The device has joined").await;

    assert!(channel.register(&device.request()).await.machine_authorized);
    assert_eq!(coordinator.devices().await[0]["user"], "alice");
    let secret = &invitation.rsplit_once("marukey-").unwrap().1[..16];
    let with_it: Vec<_> =
        recorder.sent().into_iter().filter(|request| request.contains(secret)).collect();
    assert_eq!(with_it.len(), 2, "{with_it:?}");
    for request in with_it {
        assert!(request.starts_with(&format!("POST {ORIGIN}{path} ")), "{request}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs: chromium"]
async fn the_join_page_shows_the_key_of_its_address_and_sends_it_to_nobody() {
    let coordinator = over_https().await;
    let made = coordinator.ok(Method::POST, "/invitations", json!({ "user": "alice" })).await;
    let fragment = made["url"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
    let (_, key) = fragment.rsplit_once('.').unwrap();
    let recorder = Recorder::start(coordinator.address).await;

    let address = format!("{ORIGIN}/join#{fragment}");
    let english = open(&recorder, &address, "en-US").await;
    let cut = open(&recorder, &address[..address.len() - 1], "ko-KR").await;

    assert!(english.contains("<html lang=\"en\""), "{english}");
    assert!(english.contains(&format!("<code class=\"key\">{key}</code>")), "{english}");
    assert!(
        english.contains("<code class=\"address\">https://coordinator.test</code>"),
        "{english}"
    );
    let command = format!(
        "tailscale login --login-server <span class=\"address\">https://coordinator.test</span> --auth-key \
         <span class=\"key\">{key}</span>"
    );
    assert!(english.contains(&command), "{english}");
    assert!(english.contains(&format!("<pre class=\"invitation\">{address}</pre>")), "{english}");
    assert!(
        english.contains("<div class=\"whole\">")
            && english.contains("<div class=\"broken\" hidden=\"\">")
    );
    assert!(
        english.contains("<details class=\"linux\" open=\"\">"),
        "the steps for this system are open"
    );

    assert!(cut.contains("<html lang=\"ko\""), "{cut}");
    assert!(
        cut.contains("<div class=\"broken\">") && cut.contains("<div class=\"whole\" hidden=\"\">")
    );
    assert!(!cut.contains(&key[..16]) && cut.contains("<code class=\"key\"></code>"), "{cut}");

    let sent = recorder.sent();
    let pages =
        sent.iter().filter(|request| request.starts_with("GET http://coordinator.test/join "));
    assert_eq!(pages.count(), 2, "{sent:?}");
    let to_coordinator: Vec<_> =
        sent.iter().filter(|request| request.contains("coordinator.test")).collect();
    let is_page_or_icon = |request: &&String| {
        ["/join ", "/favicon.ico "]
            .iter()
            .any(|path| request.starts_with(&format!("GET http://coordinator.test{path}")))
    };
    assert!(to_coordinator.iter().all(is_page_or_icon), "{sent:?}");
    let secret = key.strip_prefix("marukey-").unwrap();
    let noise_key = &fragment[2..66];
    for request in &sent {
        assert!(!request.contains(&secret[..8]) && !request.contains(&noise_key[..8]), "{request}");
    }
}

#[tokio::test]
async fn the_pages_load_nothing_and_are_in_both_languages() {
    let coordinator = Coordinator::start().await;
    let (_, page) = get(coordinator.address, "/join").await;
    assert!(page.contains("maru join -") && page.contains("lang=\"ko\""), "{page}");
    assert!(!page.contains("<script"), "over plain HTTP others could change it: {page}");
}
