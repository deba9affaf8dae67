//! One connection that asks, request after request.

use std::time::Instant;

use mesh_identity::{Header, Identity, User, VERSION};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};

use crate::{Failure, ask::Target, now_us, response::Incoming};

/// What a connection is read from and written to.
trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// What came of one request.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// From before the request was written to the end of its answer, in microseconds.
    pub(crate) total_us: u64,
    /// To the first piece of the body.
    pub(crate) first_us: u64,
    /// How long each token was under way, if they say when they were sent.
    pub(crate) delays_us: Vec<u64>,
    /// Whether it was answered whole.
    pub(crate) is_whole: bool,
}

/// A connection.
pub(crate) struct Caller {
    io: Box<dyn Io>,
    incoming: Incoming,
}

impl Caller {
    /// Connects; where the place asks for identities, in the name of the `number`th member.
    pub(crate) async fn connect(target: &Target, number: usize) -> Result<Self, Failure> {
        let mut io: Box<dyn Io> = match (&target.unix, target.port) {
            (Some(path), _) => Box::new(UnixStream::connect(path).await?),
            (None, Some(port)) => {
                let io = TcpStream::connect(("127.0.0.1", port)).await?;
                io.set_nodelay(true)?;
                Box::new(io)
            }
            (None, None) => return Err("name --unix or --port".into()),
        };
        if target.identity {
            io.write_all(&member(number)?.encode()?).await?;
        }
        Ok(Self { io, incoming: Incoming::default() })
    }

    /// Sends a request that is written out, and waits for the answer.
    pub(crate) async fn ask(&mut self, request: &[u8], end: &str) -> Result<Outcome, Failure> {
        let begun = Instant::now();
        let mut outcome =
            Outcome { total_us: 0, first_us: 0, delays_us: Vec::new(), is_whole: false };
        self.io.write_all(request).await?;
        let mut is_whole = end.is_empty();
        // What may be the beginning of the end, which may come in two pieces.
        let mut tail = Vec::new();
        let status = self
            .incoming
            .response(&mut self.io, |piece| {
                if outcome.first_us == 0 {
                    outcome.first_us = micros(begun);
                }
                outcome.delays_us.extend(delays(piece));
                if !is_whole {
                    tail.extend_from_slice(piece);
                    is_whole = contains(&tail, end.as_bytes());
                    tail.drain(..tail.len().saturating_sub(end.len()));
                }
            })
            .await?;
        outcome.total_us = micros(begun);
        outcome.is_whole = status == 200 && is_whole;
        Ok(outcome)
    }

    /// Sends a request; gives status and body of the answer.
    pub(crate) async fn text(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>), Failure> {
        let mut body = Vec::new();
        self.io.write_all(request).await?;
        let status =
            self.incoming.response(&mut self.io, |piece| body.extend_from_slice(piece)).await?;
        Ok((status, body))
    }
}

/// The header of a member whom the agent would name: each has a node and an address of its own.
pub(crate) fn member(number: usize) -> Result<Header, Failure> {
    let (high, low) = (number / 250, number % 250 + 1);
    let identity = Identity {
        v: VERSION,
        node: node(number),
        user: Some(User { id: u64::try_from(number)? + 1, login: format!("member{number}") }),
        tags: vec![],
        service: "gateway".to_owned(),
    };
    Ok(Header {
        source: format!("100.65.{high}.{low}:40000").parse()?,
        destination: "100.64.0.1:18789".parse()?,
        identity,
        authority: None,
    })
}

/// The member's node.
pub(crate) fn node(number: usize) -> String {
    format!("node{number}")
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// How long the tokens of a piece were under way.
fn delays(piece: &[u8]) -> Vec<u64> {
    const BEFORE: &[u8] = b"\"content\":\"1";
    let now = now_us();
    let starts = piece.windows(BEFORE.len()).enumerate().filter(|(_, bytes)| *bytes == BEFORE);
    let sent = starts.filter_map(|(at, _)| {
        let digits = piece.get(at + BEFORE.len() - 1..)?;
        let length = digits.iter().position(|byte| !byte.is_ascii_digit())?;
        std::str::from_utf8(&digits[..length]).ok()?.parse::<u64>().ok()
    });
    sent.map(|sent| now.saturating_sub(sent)).collect()
}

fn contains(piece: &[u8], wanted: &[u8]) -> bool {
    piece.windows(wanted.len()).any(|bytes| bytes == wanted)
}
