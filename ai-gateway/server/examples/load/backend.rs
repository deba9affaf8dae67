//! A model server whose answers cost next to nothing.

use std::{
    fmt::Write as _,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, UnixListener},
    time::{Instant, sleep_until},
};

use crate::{Failure, now_us};

/// Tokens of an answer of model `fast`.
const FAST_TOKENS: usize = 16;
/// Tokens of an answer of model `paced`.
pub(crate) const PACED_TOKENS: usize = 64;
/// Time between two of them.
const PACE: Duration = Duration::from_millis(20);

/// Bytes of the last chat that was asked.
static LAST: AtomicUsize = AtomicUsize::new(0);

const MODELS: &str =
    r#"{"object":"list","data":[{"id":"fast","object":"model"},{"id":"paced","object":"model"}]}"#;
const WHOLE: &str = r#"{"id":"a","object":"chat.completion","created":1,"model":"fast","choices":[{"index":0,"message":{"role":"assistant","content":"one two three four five six seven eight nine ten"},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":16,"total_tokens":36}}"#;
const HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const USAGE: &str = r#"{"id":"a","object":"chat.completion.chunk","created":1,"model":"fast","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":16,"total_tokens":36}}"#;

/// Where it listens.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A UNIX socket
    #[arg(long)]
    unix: PathBuf,
    /// A port of 127.0.0.1
    #[arg(long)]
    port: u16,
}

#[derive(Deserialize)]
struct ChatBody {
    model: String,
    #[serde(default)]
    stream: bool,
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let unix = UnixListener::bind(args.unix)?;
    let tcp = TcpListener::bind(("127.0.0.1", args.port)).await?;
    loop {
        tokio::select! {
            io = unix.accept() => spawn(io?.0),
            io = tcp.accept() => {
                let io = io?.0;
                io.set_nodelay(true)?;
                spawn(io);
            }
        }
    }
}

fn spawn(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    // A caller that is gone is no failure.
    tokio::spawn(async move { drop(serve(io).await) });
}

async fn serve(mut io: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(16 << 10);
    loop {
        let Some((is_get, end)) = request(&mut io, &mut buffer).await? else { return Ok(()) };
        let head = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(0) + 4;
        if is_get && buffer.starts_with(b"GET /last") {
            io.write_all(json(&LAST.load(Ordering::Relaxed).to_string()).as_bytes()).await?;
        } else if is_get {
            io.write_all(json(MODELS).as_bytes()).await?;
        } else {
            LAST.store(end - head, Ordering::Relaxed);
            match serde_json::from_slice::<ChatBody>(&buffer[head..end]) {
                Ok(asked) if asked.stream && asked.model.ends_with("paced") => {
                    paced(&mut io).await?
                }
                Ok(asked) if asked.stream => io.write_all(fast().as_bytes()).await?,
                Ok(_) => io.write_all(json(WHOLE).as_bytes()).await?,
                Err(_) => return io.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await,
            }
        }
        buffer.drain(..end);
    }
}

/// Reads until a request is whole; whether it is a GET, and where it ends.
async fn request(
    io: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> std::io::Result<Option<(bool, usize)>> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(buffer).map_err(std::io::Error::other)?;
        if let httparse::Status::Complete(head) = parsed {
            let length =
                request.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
            let length = length.and_then(|h| std::str::from_utf8(h.value).ok()?.parse().ok());
            let end = head + length.unwrap_or(0_usize);
            if buffer.len() >= end {
                return Ok(Some((request.method == Some("GET"), end)));
            }
        }
        if io.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn json(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// All of a streamed answer.
fn fast() -> String {
    let mut text = HEAD.to_owned();
    for _ in 0..FAST_TOKENS {
        chunk(&mut text, &delta("word "));
    }
    end(&mut text);
    text
}

/// A streamed answer whose tokens say when they were sent.
async fn paced(io: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
    io.write_all(HEAD.as_bytes()).await?;
    let begun = Instant::now();
    let mut due = begun;
    for _ in 0..PACED_TOKENS {
        sleep_until(due).await;
        due += PACE;
        let mut text = String::new();
        chunk(&mut text, &delta(&now_us().to_string()));
        io.write_all(text.as_bytes()).await?;
    }
    let mut text = String::new();
    end(&mut text);
    io.write_all(text.as_bytes()).await
}

fn delta(text: &str) -> String {
    format!(
        r#"{{"id":"a","object":"chat.completion.chunk","created":1,"model":"fast","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]}}"#
    )
}

fn chunk(text: &mut String, data: &str) {
    let event = format!("data: {data}\n\n");
    let _ = write!(text, "{:x}\r\n{event}\r\n", event.len());
}

fn end(text: &mut String) {
    let stop = r#"{"id":"a","object":"chat.completion.chunk","created":1,"model":"fast","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    for data in [stop, USAGE, "[DONE]"] {
        chunk(text, data);
    }
    text.push_str("0\r\n\r\n");
}
