//! The little HTTP that a relay speaks before it relays.
//!
//! Not hyper's, because a client that says `Derp-Fast-Start` gets no answer at all: the relay's first frame follows its
//! request at once. Requests have no bodies here; a connection is kept open, since clients measure twice on one.

use std::{io, time::Duration};

use control_protocol::key::NodePublic;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

/// Longest head of a request, in bytes.
const HEAD_MAX: usize = 8 * 1024;
/// Most headers of a request.
const HEADERS_MAX: usize = 64;
/// How long a head may take, and a connection be idle.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// Requests on one connection.
const REQUESTS_MAX: usize = 64;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    /// To relay; whether the answer is left out.
    Derp { is_fast: bool },
    /// To measure.
    Probe,
    /// Whether the way to the internet is free, with the challenge to repeat.
    Generate204 { challenge: Option<String> },
    /// Something else.
    Other,
}

/// Answers requests until one begins to relay; then returns what came after that request's head, or `None` if the
/// client left before.
pub(super) async fn serve<IO>(io: &mut IO, key: &NodePublic) -> io::Result<Option<Vec<u8>>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = Vec::new();
    for _ in 0..REQUESTS_MAX {
        let head = timeout(HEAD_TIME, read_head(io, &mut buffer))
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        let Some((asked, len)) = head else { return Ok(None) };
        buffer.drain(..len);
        match asked {
            Asked::Derp { is_fast } => {
                if !is_fast {
                    io.write_all(switching(key).as_bytes()).await?;
                    io.flush().await?;
                }
                return Ok(Some(buffer));
            }
            Asked::Probe => {
                answer(
                    io,
                    "200 OK",
                    "Access-Control-Allow-Origin: *\r\nCache-Control: no-store\r\n",
                )
                .await?;
            }
            Asked::Generate204 { challenge } => {
                let extra =
                    challenge.map(|text| format!("X-Tailscale-Response: response {text}\r\n"));
                answer(io, "204 No Content", &extra.unwrap_or_default()).await?;
            }
            Asked::Other => answer(io, "404 Not Found", "").await?,
        }
    }
    Ok(None)
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

async fn read_head<IO>(io: &mut IO, buffer: &mut Vec<u8>) -> io::Result<Option<(Asked, usize)>>
where
    IO: AsyncRead + Unpin,
{
    loop {
        if let Some(head) = parse(buffer)? {
            return Ok(Some(head));
        }
        if buffer.len() >= HEAD_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if io.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// Reads a request's head: what it asks for, and how many bytes it takes. `None`: more are needed.
fn parse(bytes: &[u8]) -> io::Result<Option<(Asked, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let status = request.parse(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    let httparse::Status::Complete(len) = status else { return Ok(None) };
    let header = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok()).map(str::trim)
    };
    if header("transfer-encoding").is_some()
        || header("content-length").is_some_and(|len| len != "0")
    {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let path = request.path.unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let path = path
        .strip_prefix("https://")
        .and_then(|rest| rest.find('/').map(|at| &rest[at..]))
        .unwrap_or(path);
    let is_get = matches!(request.method, Some("GET" | "HEAD"));
    let asked = match path {
        // `tailscale` 0.6 asks with POST, the Go client with GET.
        "/derp"
            if (is_get || request.method == Some("POST"))
                && header("upgrade").is_some_and(|kind| kind.eq_ignore_ascii_case("derp")) =>
        {
            Asked::Derp { is_fast: header("derp-fast-start") == Some("1") }
        }
        "/derp/probe" | "/derp/latency-check" if is_get => Asked::Probe,
        "/generate_204" if is_get => {
            let plain = |text: &&str| {
                let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
                (1..=64).contains(&text.len()) && text.bytes().all(good)
            };
            Asked::Generate204 {
                challenge: header("x-tailscale-challenge").filter(plain).map(str::to_owned),
            }
        }
        _ => Asked::Other,
    };
    Ok(Some((asked, len)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(head: &str) -> Asked {
        let bytes = head.replace('\n', "\r\n");
        let (asked, len) = parse(bytes.as_bytes()).unwrap().unwrap();
        assert_eq!(len, bytes.len());
        asked
    }

    #[test]
    fn requests_are_told_apart() {
        assert_eq!(
            asked("GET /derp HTTP/1.1\nUpgrade: DERP\nConnection: Upgrade\n\n"),
            Asked::Derp { is_fast: false }
        );
        assert_eq!(
            asked("GET /derp HTTP/1.1\nUpgrade: DERP\nDerp-Fast-Start: 1\n\n"),
            Asked::Derp { is_fast: true }
        );
        assert_eq!(
            asked("GET https://relay:8444/derp HTTP/1.1\nupgrade: derp\n\n"),
            Asked::Derp { is_fast: false }
        );
        assert_eq!(asked("GET /derp HTTP/1.1\n\n"), Asked::Other);
        assert_eq!(asked("HEAD /derp/latency-check?x=1 HTTP/1.1\n\n"), Asked::Probe);
        assert_eq!(asked("GET /derp/probe HTTP/1.1\n\n"), Asked::Probe);
        assert_eq!(asked("GET / HTTP/1.1\n\n"), Asked::Other);
    }

    #[test]
    fn a_challenge_is_repeated_only_if_it_is_plain() {
        let ask = |text: &str| {
            asked(&format!("GET /generate_204 HTTP/1.1\nX-Tailscale-Challenge: {text}\n\n"))
        };

        assert_eq!(ask("ts_a.b"), Asked::Generate204 { challenge: Some("ts_a.b".to_owned()) });
        assert_eq!(ask("a b"), Asked::Generate204 { challenge: None });
    }

    #[test]
    fn a_request_with_a_body_ends_the_connection() {
        assert!(parse(b"POST /derp HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello").is_err());
        assert!(parse(b"POST /derp HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }

    #[tokio::test]
    async fn two_measurements_go_over_one_connection() {
        let (mut client, mut server) = tokio::io::duplex(4096);
        let two = b"GET /derp/latency-check HTTP/1.1\r\n\r\nGET /derp HTTP/1.1\r\nUpgrade: DERP\r\n\r\nrest";
        client.write_all(two).await.unwrap();

        let rest = serve(&mut server, &NodePublic::from_bytes([0xab; 32])).await.unwrap().unwrap();

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

    proptest! {
        #[test]
        fn any_bytes_are_a_head_or_not(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            if let Ok(Some((_, len))) = parse(&bytes) {
                prop_assert!(len <= bytes.len());
            }
        }
    }
}
