//! HTTP before the relay protocol.
//!
//! It does not use hyper, because a client with `Derp-Fast-Start` gets no HTTP response: the relay's first frame follows the
//! request.

use std::io;

use control_protocol::key::NodePublic;
use derp::http::{Request, parse_request};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout_at},
};

use crate::limits;

/// Requests on one connection.
const REQUESTS_MAX: usize = 64;

/// Answers requests until one starts the relay protocol; returns the bytes after its head, or `None` if the client leaves
/// before. `buffer` has bytes that were already read.
///
/// `until` is the deadline for that request and for the proof of the client's key. Each measurement extends it; the final
/// deadline is returned.
pub(super) async fn serve<IO>(
    io: &mut IO,
    mut buffer: Vec<u8>,
    mut until: Instant,
    key: &NodePublic,
) -> io::Result<Option<(Vec<u8>, Instant)>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    for _ in 0..REQUESTS_MAX {
        let answered = timeout_at(until, serve_one(io, &mut buffer, key));
        match answered.await.map_err(|_| io::ErrorKind::TimedOut)?? {
            RequestOutcome::Left => return Ok(None),
            RequestOutcome::Begins => return Ok(Some((buffer, until))),
            RequestOutcome::Measured => until = Instant::now() + limits::RELAY_ENTRY_TIME,
        }
    }
    Ok(None)
}

/// The result of one request.
enum RequestOutcome {
    /// The client disconnected.
    Left,
    /// The relay protocol starts.
    Begins,
    /// It was answered; another may follow.
    Measured,
}

async fn serve_one<IO>(
    io: &mut IO,
    buffer: &mut Vec<u8>,
    key: &NodePublic,
) -> io::Result<RequestOutcome>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let Some((asked, len)) = read_head(io, buffer).await? else { return Ok(RequestOutcome::Left) };
    buffer.drain(..len);
    match asked {
        Request::Derp { is_fast } => {
            if !is_fast {
                io.write_all(switching(key).as_bytes()).await?;
                io.flush().await?;
            }
            return Ok(RequestOutcome::Begins);
        }
        Request::Probe => {
            let extra = "Access-Control-Allow-Origin: *\r\nCache-Control: no-store\r\n";
            answer(io, "200 OK", extra).await?;
        }
        Request::Generate204 { challenge } => {
            let extra = challenge.map(|text| format!("X-Tailscale-Response: response {text}\r\n"));
            answer(io, "204 No Content", &extra.unwrap_or_default()).await?;
        }
        Request::Other => answer(io, "404 Not Found", "").await?,
    }
    Ok(RequestOutcome::Measured)
}

async fn answer<IO: AsyncWrite + Unpin>(io: &mut IO, status: &str, extra: &str) -> io::Result<()> {
    // A 204 has no length (RFC 9110, section 8.6).
    let length = if status.starts_with("204") { "" } else { "Content-Length: 0\r\n" };
    io.write_all(format!("HTTP/1.1 {status}\r\n{extra}{length}\r\n").as_bytes()).await?;
    io.flush().await
}

fn switching(key: &NodePublic) -> String {
    let key = hex::encode(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\nDerp-Version: 2\r\n\
         Derp-Public-Key: {key}\r\n\r\n"
    )
}

async fn read_head<IO>(io: &mut IO, buffer: &mut Vec<u8>) -> io::Result<Option<(Request, usize)>>
where
    IO: AsyncRead + Unpin,
{
    loop {
        if let Some(head) = parse_request(buffer).map_err(io::Error::other)? {
            return Ok(Some(head));
        }
        if io.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn who_asks_to_relay_has_one_time_for_that_and_for_the_proof() {
        let (mut client, mut server) = tokio::io::duplex(4096);
        let until = Instant::now() + Duration::from_secs(5);
        let key = NodePublic::from_bytes([0xab; 32]);
        client.write_all(b"GET /derp HTTP/1.1\r\nUpgrade: DERP\r\n\r\n").await.unwrap();

        let served = serve(&mut server, Vec::new(), until, &key).await.unwrap();
        assert_eq!(served, Some((Vec::new(), until)));

        let soon = Instant::now() + Duration::from_millis(10);
        client.write_all(b"GET /derp HTTP/1.1\r\n").await.unwrap();
        let late = serve(&mut server, Vec::new(), soon, &key).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn two_measurements_go_over_one_connection() {
        let (mut client, mut server) = tokio::io::duplex(4096);
        let two = b"GET /derp/latency-check HTTP/1.1\r\n\r\nGET /derp HTTP/1.1\r\nUpgrade: DERP\r\n\r\nrest";
        client.write_all(two).await.unwrap();

        let soon = Instant::now() + Duration::from_secs(1);
        let key = NodePublic::from_bytes([0xab; 32]);
        let (rest, until) = serve(&mut server, Vec::new(), soon, &key).await.unwrap().unwrap();

        assert!(until > soon, "the time begins anew with a measurement");

        assert_eq!(rest, b"rest");
        drop(server);
        let mut answers = String::new();
        client.read_to_string(&mut answers).await.unwrap();
        assert!(
            answers.starts_with("HTTP/1.1 200 OK\r\n") && answers.contains("HTTP/1.1 101 "),
            "{answers}"
        );
        assert!(answers.contains(&format!("Derp-Public-Key: {}", "ab".repeat(32))));
    }
}
