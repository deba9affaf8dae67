//! A TCP stream from one machine to another, which is compared by SHA-256 when it has ended.
//!
//! The sender generates the bytes and the receiver discards them, so that a stream of any length needs no memory.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::Machine;

/// How long a stream may take to open, or stand still, until it counts as broken.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that are written at once.
const PIECE: usize = 128 << 10;

/// A stream that is sent without a pause. Dropping it cuts it.
#[derive(Debug)]
pub struct Transfer {
    carried: Arc<AtomicU64>,
    /// After how many bytes the sender ends.
    end: Arc<AtomicU64>,
    sender: JoinHandle<io::Result<Sum>>,
    receiver: JoinHandle<io::Result<Sum>>,
    _ends: [End; 2],
}

impl Transfer {
    /// Begins to send from a machine to an address of the other; port 0 is any that is free there. It goes on until
    /// [`Self::finish`].
    ///
    /// # Errors
    ///
    /// The receiver does not have the address, or no connection comes about.
    pub fn start(from: &Machine, to: &Machine, address: SocketAddr) -> Result<Self> {
        let listener = to.in_network(|| TcpListener::bind(address))?;
        let address = listener.local_addr()?;
        let out = from.in_network(|| TcpStream::connect_timeout(&address, PATIENCE))?;
        out.set_write_timeout(Some(PATIENCE))?;
        let seed = u64::from(out.local_addr()?.port());
        let (input, _) = listener.accept()?;
        input.set_read_timeout(Some(PATIENCE))?;
        let ends = [End(out.try_clone()?), End(input.try_clone()?)];
        let (carried, end) = (Arc::<AtomicU64>::default(), Arc::new(AtomicU64::new(u64::MAX)));
        let (count, limit) = (Arc::clone(&carried), Arc::clone(&end));
        Ok(Self {
            carried,
            end,
            sender: thread::spawn(move || send(&out, seed, &limit)),
            receiver: thread::spawn(move || receive(&input, &count)),
            _ends: ends,
        })
    }

    /// How many bytes have arrived.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// Lets the sender end once it has sent `len` bytes, at once if it has; waits until they have arrived, and compares.
    ///
    /// # Errors
    ///
    /// The stream broke, stood still for a minute, or is not what was sent.
    #[allow(clippy::missing_panics_doc, reason = "its own threads do not panic")]
    pub fn finish(self, len: u64) -> Result<()> {
        self.end.store(len, Ordering::Relaxed);
        let sent = join(self.sender).context("the stream breaks where it is sent")?;
        let received = join(self.receiver).context("the stream breaks where it is received")?;
        ensure!(sent.len >= len, "it ended after {} of {len} bytes", sent.len);
        ensure!(
            received == sent,
            "of {} bytes {} arrived, and they are not the same",
            sent.len,
            received.len
        );
        Ok(())
    }
}

/// One end of a stream; dropping it ends the thread that uses it.
#[derive(Debug)]
struct End(TcpStream);

impl Drop for End {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// What went through one end.
#[derive(Debug, PartialEq, Eq)]
struct Sum {
    len: u64,
    hash: [u8; 32],
}

fn join(thread: JoinHandle<io::Result<Sum>>) -> io::Result<Sum> {
    match thread.join() {
        Ok(sum) => sum,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn send(mut stream: &TcpStream, mut state: u64, end: &AtomicU64) -> io::Result<Sum> {
    let (mut len, mut hash) = (0, Sha256::new());
    let mut buffer = vec![0; PIECE];
    loop {
        let left = end.load(Ordering::Relaxed).saturating_sub(len);
        let piece = &mut buffer[..usize::try_from(left).unwrap_or(PIECE).min(PIECE)];
        if piece.is_empty() {
            break;
        }
        fill(piece, &mut state);
        stream.write_all(piece)?;
        hash.update(&*piece);
        len += piece.len() as u64;
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(Sum { len, hash: hash.finalize().into() })
}

fn receive(mut stream: &TcpStream, carried: &AtomicU64) -> io::Result<Sum> {
    let (mut len, mut hash) = (0, Sha256::new());
    let mut buffer = vec![0; PIECE];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(Sum { len, hash: hash.finalize().into() }),
            read => {
                hash.update(&buffer[..read]);
                len += read as u64;
                carried.store(len, Ordering::Relaxed);
            }
        }
    }
}

/// Numbers of a linear congruential generator (Knuth's MMIX): no two parts of a stream are equal.
fn fill(piece: &mut [u8], state: &mut u64) {
    for chunk in piece.chunks_mut(size_of::<u64>()) {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        chunk.copy_from_slice(&state.to_be_bytes()[..chunk.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two ends of a connection.
    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let out = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (out, listener.accept().unwrap().0)
    }

    #[test]
    fn what_arrives_is_summed_up_as_it_was_sent() {
        let (out, input) = connection();
        let (end, carried) = (AtomicU64::new(PIECE as u64 * 3 + 5), AtomicU64::new(0));
        let (sent, received) = thread::scope(|scope| {
            let sent = scope.spawn(|| send(&out, 7, &end).unwrap());
            (receive(&input, &carried).unwrap(), sent.join().unwrap())
        });
        assert_eq!(sent, received);
        assert_eq!((sent.len, carried.into_inner()), (end.into_inner(), sent.len));
    }

    #[test]
    fn pieces_that_change_places_are_not_the_same_stream() {
        let (mut one, mut other, mut state) = ([0; 16], [0; 16], 7);
        fill(&mut one, &mut state);
        fill(&mut other, &mut state);
        let sum = |pieces: [&[u8]; 2]| {
            let (out, input) = connection();
            for piece in pieces {
                (&out).write_all(piece).unwrap();
            }
            drop(out);
            receive(&input, &AtomicU64::new(0)).unwrap()
        };
        assert_ne!(sum([&one, &other]), sum([&other, &one]));
    }
}
