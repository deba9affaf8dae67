//! The page behind an invitation in a real browser.
//!
//! Fails if the page does not show the key that the address names, if it runs another script than its own, or if the
//! browser sends any of the key to anybody: all that it asks for, whomever, goes through a proxy here that keeps it.

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
    harness::{Coordinator, configured, settings},
    http::get,
};

/// How long a browser may take to start and to show a page.
const BROWSER: Duration = Duration::from_secs(90);

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
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(len) => request.extend_from_slice(&bytes[..len]),
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    sent.lock().unwrap().push(text.clone());
    if !text.starts_with("GET http://coordinator.test/") {
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
        return;
    }
    let mut upstream = TcpStream::connect(coordinator).await.unwrap();
    let once = text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let once = once.replace("Proxy-Connection: keep-alive\r\n", "");
    upstream.write_all(once.as_bytes()).await.unwrap();
    let _ = tokio::io::copy(&mut upstream, &mut stream).await;
}

/// Opens an address in a browser of its own; the page as the browser then has it.
async fn open(recorder: &Recorder, address: &str, language: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut browser = Command::new("/usr/bin/chromium");
    browser
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-component-update", "--disable-background-networking"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--proxy-server=http://{}", recorder.address))
        .arg("--proxy-bypass-list=<-loopback>")
        .arg(format!("--accept-lang={language}"))
        .args(["--dump-dom", address])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(BROWSER, browser.output()).await.expect("it shows the page").unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs: chromium"]
async fn the_join_page_shows_the_key_of_its_address_and_sends_it_to_nobody() {
    let server_url = Some("https://coordinator.test".to_owned());
    let proxy = Some(Proxy { trusted: vec!["127.0.0.1".to_owned()] });
    let config = configured(Settings { server_url, proxy, ..settings() });
    let coordinator = Coordinator::with(config, None).await;
    let made = coordinator.ok(Method::POST, "/invitations", json!({ "user": "alice" })).await;
    let fragment = made["url"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
    let (_, key) = fragment.rsplit_once('.').unwrap();
    let recorder = Recorder::start(coordinator.address).await;

    // No authority in this test vouches for a certificate, so the browser comes over plain HTTP, by what passes for a proxy that
    // speaks HTTPS.
    let address = format!("http://coordinator.test/join#{fragment}");
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
