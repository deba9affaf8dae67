//! A connection whose answer was read to its end carries the next request, for a second.

use std::{os::unix::fs::MetadataExt as _, path::Path, sync::Arc, time::Duration};

use chat_vocabulary::{ChatRequest, Message};
use futures_util::{StreamExt as _, TryStreamExt as _, stream::FuturesUnordered};
use llm_backend::{Backend as _, Error, OpenAiCompatible, Settings, SocketTrust, Timeouts};
use tempfile::TempDir;
use testkit::server::{chunk, chunked, read_request};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    time::timeout,
};

const DELTA: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
const END: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
/// Longer than an idle connection is kept.
const PATIENCE: Duration = Duration::from_secs(30);

struct Server {
    directory: TempDir,
    listener: UnixListener,
    client: OpenAiCompatible,
}

fn server() -> Server {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("llm.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let client =
        OpenAiCompatible::new(Settings::new(format!("unix://{}", socket.display()))).unwrap();
    Server { directory, listener, client }
}

impl Server {
    async fn accept(&self) -> UnixStream {
        timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap().0
    }

    /// Whether no connection waits to be accepted.
    async fn is_quiet(&self) -> bool {
        timeout(Duration::from_millis(50), self.listener.accept()).await.is_err()
    }

    async fn ask(&self) -> Result<usize, Error> {
        Ok(self.client.chat(request()).await?.try_collect::<Vec<_>>().await?.len())
    }
}

fn request() -> ChatRequest {
    ChatRequest { messages: vec![Message::user("hello")], ..ChatRequest::default() }
}

/// Reads one request; nothing if the client closes before.
async fn read(stream: &mut UnixStream) -> Option<()> {
    timeout(PATIENCE, read_request(stream)).await.unwrap().ok().map(drop)
}

/// Answers with a whole stream in one piece.
async fn answer(stream: &mut UnixStream) {
    let head = chunked("200 OK", "text/event-stream").into_bytes();
    let whole = [head, chunk(DELTA), chunk(END), chunk("")].concat();
    stream.write_all(&whole).await.unwrap();
}

#[tokio::test]
async fn a_connection_whose_reply_was_whole_carries_the_next_request() {
    let server = server();
    let serve = async {
        let mut stream = server.accept().await;
        for _ in 0..3 {
            read(&mut stream).await.unwrap();
            answer(&mut stream).await;
        }
        stream
    };
    let ask = async {
        for _ in 0..3 {
            assert_eq!(server.ask().await.unwrap(), 2);
        }
    };
    let (mut stream, ()) = tokio::join!(serve, ask);

    assert_eq!(read(&mut stream).await, None, "it is closed after a while");
    assert!(server.is_quiet().await, "it was the only one");
}

#[tokio::test]
async fn a_reply_that_was_left_closes_its_connection() {
    let server = server();
    let serve = async {
        let mut stream = server.accept().await;
        read(&mut stream).await.unwrap();
        answer(&mut stream).await;
        assert_eq!(read(&mut stream).await, None, "nothing more comes over it");
        let mut next = server.accept().await;
        read(&mut next).await.unwrap();
        answer(&mut next).await;
    };
    let ask = async {
        let mut reply = server.client.chat(request()).await.unwrap();
        reply.next().await.unwrap().unwrap();
        drop(reply);
        assert_eq!(server.ask().await.unwrap(), 2);
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn a_server_that_closed_meanwhile_is_connected_to_anew() {
    let server = server();
    let serve = async {
        for _ in 0..3 {
            let mut stream = server.accept().await;
            read(&mut stream).await.unwrap();
            answer(&mut stream).await;
        }
    };
    let ask = async {
        for _ in 0..3 {
            assert_eq!(server.ask().await.unwrap(), 2);
            // The server closes as soon as it has written.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn a_request_that_a_kept_connection_swallows_goes_out_again() {
    let server = server();
    let serve = async {
        let mut stream = server.accept().await;
        read(&mut stream).await.unwrap();
        answer(&mut stream).await;
        read(&mut stream).await.unwrap();
        drop(stream);
        let mut next = server.accept().await;
        read(&mut next).await.unwrap();
        answer(&mut next).await;
    };
    let ask = async {
        assert_eq!(server.ask().await.unwrap(), 2);
        assert_eq!(server.ask().await.unwrap(), 2);
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn a_server_that_ends_at_a_request_over_an_idle_connection_counts_as_having_received_it() {
    let Server { directory: _directory, listener, client } = server();
    let ask = async || {
        let reply = client.chat(request()).await?;
        reply.try_collect::<Vec<_>>().await
    };
    let serve = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read(&mut stream).await.unwrap();
        answer(&mut stream).await;
        read(&mut stream).await.unwrap();
        drop((listener, stream));
    };
    let ask = async {
        assert_eq!(ask().await.unwrap().len(), 2);
        let error = ask().await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { arrived: true, .. }), "{error}");
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn a_server_whose_socket_was_put_aside_gets_no_more_requests() {
    let server = server();
    let socket = server.directory.path().join("llm.sock");
    let serve = async {
        let mut leaving = server.accept().await;
        read(&mut leaving).await.unwrap();
        answer(&mut leaving).await;
        assert_eq!(read(&mut leaving).await, None, "what was kept carries nothing");
    };
    let ask = async {
        assert_eq!(server.ask().await.unwrap(), 2);
        std::fs::rename(&socket, socket.with_extension("leaving")).unwrap();
        let error = server.ask().await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { arrived: false, .. }), "{error}");

        let next = UnixListener::bind(&socket).unwrap();
        let serve = async {
            let (mut stream, _) = next.accept().await.unwrap();
            read(&mut stream).await.unwrap();
            answer(&mut stream).await;
        };
        assert_eq!(tokio::join!(server.ask(), serve).0.unwrap(), 2);
    };
    tokio::join!(serve, ask);
}

/// The limit applies to all threads together.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn few_idle_connections_are_kept() {
    const AT_ONCE: usize = 20;
    let server = Arc::new(server());
    let serve = async {
        let mut streams = Vec::new();
        for _ in 0..AT_ONCE {
            let mut stream = server.accept().await;
            read(&mut stream).await.unwrap();
            streams.push(stream);
        }
        for stream in &mut streams {
            answer(stream).await;
        }
        let mut closed: FuturesUnordered<_> =
            streams.iter_mut().map(async |stream| stream.read_u8().await).collect();
        for _ in 16..AT_ONCE {
            let closed = timeout(PATIENCE, closed.next()).await.expect("it is not kept");
            assert!(closed.unwrap().is_err());
        }
        let more = timeout(Duration::from_millis(100), closed.next()).await;
        assert!(more.is_err(), "too few are kept");
    };
    let ask = async {
        let ask = |_| {
            let server = Arc::clone(&server);
            tokio::spawn(async move { server.ask().await })
        };
        let asked = futures_util::future::join_all((0..AT_ONCE).map(ask)).await;
        assert!(asked.iter().all(|asked| matches!(asked, Ok(Ok(_)))));
    };
    tokio::join!(serve, ask);
}

/// A compromised server can replace the socket in its folder, but cannot make the client connect to another server.
#[tokio::test]
async fn a_link_in_the_place_of_the_socket_and_another_users_socket_are_not_asked() {
    let server = server();
    let socket = server.directory.path().join("llm.sock");
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("llm.sock");
    let other = UnixListener::bind(&elsewhere).unwrap();
    let is_quiet = async || timeout(Duration::from_millis(50), other.accept()).await.is_err();
    let refused = async |client: &OpenAiCompatible| {
        let error = client.chat(request()).await.map(drop).unwrap_err();
        assert!(matches!(error, Error::Unreachable { arrived: false, .. }), "{error:?}");
        assert!(error.to_string().contains("another user listens there"), "{error}");
    };
    std::fs::remove_file(&socket).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &socket).unwrap();

    let own = std::fs::metadata(folder.path()).unwrap().uid();
    // Should it be asked after all, it does not answer.
    let timeouts = Timeouts { first: Duration::from_secs(1), ..Timeouts::default() };
    let expecting = |at: &Path, uid| {
        let socket = SocketTrust { uid, ..SocketTrust::default() };
        let settings = Settings::new(format!("unix://{}", at.display()));
        OpenAiCompatible::new(Settings { socket, timeouts, ..settings }).unwrap()
    };
    refused(&expecting(&socket, None)).await;
    assert!(is_quiet().await);

    refused(&expecting(&elsewhere, Some(own + 1))).await;
    let serve = async {
        // The one that was refused said nothing.
        let mut stream = timeout(PATIENCE, other.accept()).await.unwrap().unwrap().0;
        assert_eq!(read(&mut stream).await, None);
        let mut stream = timeout(PATIENCE, other.accept()).await.unwrap().unwrap().0;
        read(&mut stream).await.unwrap();
        answer(&mut stream).await;
    };
    let client = expecting(&elsewhere, Some(own));
    let ask = async { client.chat(request()).await.unwrap().try_collect::<Vec<_>>().await };
    let ((), reply) = tokio::join!(serve, ask);
    assert_eq!(reply.unwrap().len(), 2, "the control: the right user");
}
