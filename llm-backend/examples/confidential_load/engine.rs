//! A model server whose replies are fixed: as many events as tokens were asked for, each written on its own.

use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::Failure;

/// Events of a reply for which nobody said how long it shall be.
const TOKENS: usize = 16;
/// Longest request that is read.
const REQUEST_MAX: usize = 1 << 20;

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const TOKEN: &str = r#"{"id":"a","object":"chat.completion.chunk","created":1,"model":"fixed","choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}"#;
const STOP: &str = r#"{"id":"a","object":"chat.completion.chunk","created":1,"model":"fixed","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

#[derive(Deserialize)]
struct ChatBody {
    max_tokens: Option<usize>,
}

/// Serves on a port of loopback until it is ended.
pub(crate) async fn run(port: u16) -> Result<(), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let io = listener.accept().await?.0;
        io.set_nodelay(true)?;
        // A caller that is gone is no failure.
        tokio::spawn(async move { drop(serve(io).await) });
    }
}

async fn serve(mut io: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Failure> {
    let mut buffer = Vec::with_capacity(16 << 10);
    while let Some(body) = request(&mut io, &mut buffer).await? {
        let asked: ChatBody = serde_json::from_slice(&body)?;
        io.write_all(HEAD).await?;
        for _ in 0..asked.max_tokens.unwrap_or(TOKENS) {
            io.write_all(&chunk(TOKEN)).await?;
        }
        io.write_all(&[chunk(STOP), chunk("[DONE]"), b"0\r\n\r\n".to_vec()].concat()).await?;
    }
    Ok(())
}

/// The body of the next request; none where the connection ends.
async fn request(
    io: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> Result<Option<Vec<u8>>, Failure> {
    loop {
        if let Some(at) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..at]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let end = at + 4 + length.map_or(Ok(0), |length| length.trim().parse::<usize>())?;
            if end > REQUEST_MAX {
                return Err("a request longer than is read".into());
            }
            if buffer.len() >= end {
                let body = buffer[at + 4..end].to_vec();
                buffer.drain(..end);
                return Ok(Some(body));
            }
        }
        if io.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn chunk(data: &str) -> Vec<u8> {
    let event = format!("data: {data}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}
