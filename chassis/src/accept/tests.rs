use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{StatusCode, header},
    routing::get,
};
use hyper::body::Frame;
use rustix::io::Errno;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::{Notify, mpsc, oneshot},
};

use super::*;
use crate::http::Http;

const PATIENCE: Duration = Duration::from_secs(20);

/// A listener to whom a test gives what it accepts.
struct QueueListener(tokio::sync::Mutex<mpsc::Receiver<io::Result<DuplexStream>>>);

impl Listener for QueueListener {
    type Stream = DuplexStream;
    type Peer = ();

    async fn accept(&self) -> io::Result<(DuplexStream, ())> {
        match self.0.lock().await.recv().await {
            Some(accepted) => Ok((accepted?, ())),
            None => std::future::pending().await,
        }
    }
}

fn given() -> (mpsc::Sender<io::Result<DuplexStream>>, QueueListener) {
    let (sender, receiver) = mpsc::channel(64);
    (sender, QueueListener(receiver.into()))
}

/// Whether the other side has let go of it.
async fn is_closed(stream: &mut DuplexStream) -> bool {
    matches!(timeout(PATIENCE, stream.read(&mut [0])).await, Ok(Ok(0)))
}

async fn echo(mut stream: DuplexStream) {
    let mut byte = [0];
    while stream.read_exact(&mut byte).await.is_ok() && stream.write_all(&byte).await.is_ok() {}
}

#[tokio::test]
async fn errors_are_waited_out_and_do_not_spin() {
    let errors = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::CONNABORTED, Errno::MFILE];
    let (sender, listener) = given();
    for errno in errors {
        sender.send(Err(errno.into())).await.unwrap();
    }
    let (mut client, server) = duplex(8);
    sender.send(Ok(server)).await.unwrap();
    let begun = tokio::time::Instant::now();
    let serving = Connections::new("connections", 1).serve(
        listener,
        std::future::pending(),
        |stream, (), _| Some(echo(stream)),
    );
    let asked = async {
        client.write_all(b"x").await.unwrap();
        client.read_u8().await.unwrap()
    };
    tokio::select! {
        () = serving => panic!("it goes on"),
        byte = asked => assert_eq!(byte, b'x'),
    }
    // A machine that is busy makes this longer, never shorter.
    assert!(begun.elapsed() >= PAUSE * 5, "it waited after each");
}

#[tokio::test]
async fn who_is_one_too_many_is_turned_away_until_another_leaves() {
    let (sender, listener) = given();
    let serving = tokio::spawn(Connections::new("connections", 2).serve(
        listener,
        std::future::pending(),
        |stream, (), _| Some(echo(stream)),
    ));
    let connect = async || {
        let (client, server) = duplex(8);
        sender.send(Ok(server)).await.unwrap();
        client
    };
    let (mut first, mut second, mut third) = (connect().await, connect().await, connect().await);
    assert!(is_closed(&mut third).await);
    for held in [&mut first, &mut second] {
        held.write_all(b"x").await.unwrap();
        assert_eq!(held.read_u8().await.unwrap(), b'x');
    }
    drop(first);
    let taken = async {
        loop {
            let mut next = connect().await;
            if next.write_all(b"x").await.is_ok() && next.read_u8().await.is_ok() {
                return;
            }
        }
    };
    timeout(PATIENCE, taken).await.unwrap();
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    assert!(is_closed(&mut second).await, "none is left behind");
}

/// A server whose answers end when told, and clients that asked it.
struct Http1 {
    sender: mpsc::Sender<io::Result<DuplexStream>>,
    stop: oneshot::Sender<()>,
    end_replies: Arc<Notify>,
    begun: Arc<AtomicUsize>,
    serving: tokio::task::JoinHandle<()>,
}

fn http(drain: Duration) -> Http1 {
    let (sender, listener) = given();
    let (stop, stopped) = oneshot::channel::<()>();
    let (end_replies, begun) = (Arc::new(Notify::new()), Arc::<AtomicUsize>::default());
    let (ended, counted) = (Arc::clone(&end_replies), Arc::clone(&begun));
    let slow = async move || {
        counted.fetch_add(1, SeqCst);
        ended.notified().await;
        "whole"
    };
    let router = Router::new().route("/", get(async || "ok")).route("/slow", get(slow));
    let connections = Connections::new("connections", 8).drain(drain);
    let serving = tokio::spawn(connections.serve(
        listener,
        async { drop(stopped.await) },
        move |stream, (), stopping| {
            Some(Http::new(PATIENCE).route(stream, router.clone(), (), stopping))
        },
    ));
    Http1 { sender, stop, end_replies, begun, serving }
}

impl Http1 {
    async fn ask(&self, path: &str) -> DuplexStream {
        let (mut client, server) = duplex(4096);
        self.sender.send(Ok(server)).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        client
    }

    async fn ask_slow(&self) -> DuplexStream {
        let begun = self.begun.load(SeqCst);
        let client = self.ask("/slow").await;
        let asked = async {
            while self.begun.load(SeqCst) == begun {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, asked).await.unwrap();
        client
    }
}

#[tokio::test]
async fn replies_under_way_end_and_idle_connections_are_closed() {
    let server = http(PATIENCE);
    let mut idle = server.ask("/").await;
    let mut head = vec![0; 12];
    idle.read_exact(&mut head).await.unwrap();
    assert_eq!(head, b"HTTP/1.1 200");
    let mut slow = server.ask_slow().await;

    server.stop.send(()).unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, idle.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(!server.serving.is_finished(), "a reply is under way");
    server.end_replies.notify_waiters();
    let mut reply = String::new();
    timeout(PATIENCE, slow.read_to_string(&mut reply)).await.unwrap().unwrap();
    assert!(reply.ends_with("whole"), "{reply}");
    timeout(PATIENCE, server.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut() {
    let server = http(Duration::from_millis(10));
    let mut slow = server.ask_slow().await;
    server.stop.send(()).unwrap();
    timeout(PATIENCE, server.serving).await.unwrap().unwrap();
    let mut reply = Vec::new();
    timeout(PATIENCE, slow.read_to_end(&mut reply)).await.unwrap().unwrap();
    assert_eq!(reply, b"");
}

#[tokio::test]
async fn what_is_no_http_is_cut_at_once() {
    let (sender, listener) = given();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(Connections::new("connections", 8).drain(Duration::MAX).serve(
        listener,
        async { drop(stopped.await) },
        |stream, (), _| Some(echo(stream)),
    ));
    let (mut client, server) = duplex(8);
    sender.send(Ok(server)).await.unwrap();
    client.write_all(b"x").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'x');
    stop.send(()).unwrap();
    timeout(PATIENCE, serving).await.unwrap().unwrap();
    assert!(is_closed(&mut client).await);
}

#[tokio::test]
async fn a_head_that_does_not_come_and_a_request_that_takes_too_long_are_not_waited_for() {
    let never = Router::new().route("/", get(std::future::pending::<Body>));
    let short = Duration::from_millis(200);
    for (said, http) in [
        ("GET / HT", Http::new(short)),
        ("", Http::new(short)),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", Http::new(PATIENCE).one_request(short)),
    ] {
        let (mut client, server) = duplex(4096);
        client.write_all(said.as_bytes()).await.unwrap();
        let (_stop, stopping) = watch::channel(());
        let serving = http.route(server, never.clone(), (), ShutdownSignal(stopping));
        timeout(PATIENCE / 2, serving).await.unwrap();
        assert!(is_closed(&mut client).await || said.is_empty(), "{said:?}");
    }
}

#[tokio::test]
async fn one_request_is_answered_and_an_upgrade_says_nothing_of_closing() {
    let upgrade = [(header::CONNECTION, "upgrade"), (header::UPGRADE, "x")];
    let router = Router::new()
        .route("/", get(async || "hello"))
        .route("/upgrade", get(async move || (StatusCode::SWITCHING_PROTOCOLS, upgrade)));
    for (path, said) in [("/", "connection: close\r\n"), ("/upgrade", "connection: upgrade\r\n")] {
        let (mut client, server) = duplex(4096);
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        client.write_all(request.repeat(2).as_bytes()).await.unwrap();
        let (_stop, stopping) = watch::channel(());
        let http = Http::new(PATIENCE).one_request(PATIENCE);
        let serving = http.route(server, router.clone(), (), ShutdownSignal(stopping));
        timeout(PATIENCE, serving).await.unwrap();
        let mut answers = String::new();
        client.read_to_string(&mut answers).await.unwrap();
        assert!(answers.contains(said), "{answers}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    }
}

/// A body without an end.
struct Endless;

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 64])))))
    }
}

#[tokio::test]
async fn an_answer_that_does_not_end_in_time_is_cut_whether_or_not_it_is_read() {
    const LONGEST: Duration = Duration::from_secs(2);

    let router = Router::new().route("/", get(async || Body::new(Endless)));
    for reads in [true, false] {
        let (mut client, server) = duplex(4096);
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let (_stop, stopping) = watch::channel(());
        let http = Http::new(PATIENCE).answer(LONGEST);
        let begun = tokio::time::Instant::now();
        let serving =
            tokio::spawn(http.route(server, router.clone(), (), ShutdownSignal(stopping)));
        let mut piece = [0; 1024];
        while reads && timeout(PATIENCE, client.read(&mut piece)).await.unwrap().unwrap() > 0 {
            tokio::task::yield_now().await;
        }

        timeout(PATIENCE, serving).await.unwrap().unwrap();

        assert!(begun.elapsed() >= LONGEST, "not before");
    }
}
