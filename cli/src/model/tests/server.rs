//! A web server for one file: it knows ranges, and cuts replies when it is told to.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use testkit::server::{self, read_request};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

/// What it serves, and what it was asked.
#[derive(Debug)]
pub(super) struct Shared {
    /// The file and its `ETag`.
    pub(super) content: Mutex<(Vec<u8>, &'static str)>,
    /// A reply ends after so many bytes of its body.
    pub(super) cut_after: AtomicUsize,
    /// How long it says that the body is, if not as long as it is.
    pub(super) claims: AtomicU64,
    /// Whether it says what it sends, by an `ETag`.
    pub(super) tells: AtomicBool,
    /// Whether there is nothing at the path.
    pub(super) missing: AtomicBool,
    /// The `Range` of each request.
    pub(super) ranges: Mutex<Vec<Option<String>>>,
}

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) shared: Arc<Shared>,
    pub(super) url: String,
    _server: server::Server,
}

impl Server {
    pub(super) async fn start(content: Vec<u8>) -> Self {
        let shared = Arc::new(Shared {
            content: Mutex::new((content, "\"one\"")),
            cut_after: AtomicUsize::new(usize::MAX),
            claims: AtomicU64::new(0),
            tells: AtomicBool::new(true),
            missing: AtomicBool::new(false),
            ranges: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        let (server, address) = server::Server::tcp(move |io| {
            let shared = Arc::clone(&served);
            // A client that leaves early is no fault.
            async move { drop(serve(io, &shared).await) }
        })
        .await;
        Self { shared, url: format!("http://{address}/sea.gguf"), _server: server }
    }
}

async fn serve(mut io: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let request = read_request(&mut io).await?;
    let range = request.header("range").map(str::to_owned);
    shared.ranges.lock().unwrap().push(range.clone());
    let (content, tag) = shared.content.lock().unwrap().clone();
    let from = range
        .filter(|_| request.header("if-range") == Some(tag))
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let len = content.len();
    let (status, body) = match from {
        _ if shared.missing.load(Ordering::SeqCst) => ("404 Not Found", &content[..0]),
        Some(from) if from >= len => ("416 Range Not Satisfiable", &content[..0]),
        Some(from) => ("206 Partial Content", &content[from..]),
        None => ("200 OK", &content[..]),
    };
    let begins = len - body.len();
    let claims = match shared.claims.load(Ordering::SeqCst) {
        0 => body.len() as u64,
        claims => claims,
    };
    let tells = shared.tells.load(Ordering::SeqCst);
    let tag = if tells { format!("ETag: {tag}\r\n") } else { String::new() };
    let head = format!(
        "HTTP/1.1 {status}\r\n{tag}Content-Length: {claims}\r\n\
         Content-Range: bytes {begins}-{}/{len}\r\nConnection: close\r\n\r\n",
        len.saturating_sub(1),
    );
    io.write_all(head.as_bytes()).await?;
    let cut = shared.cut_after.load(Ordering::SeqCst).min(body.len());
    io.write_all(&body[..cut]).await
}
