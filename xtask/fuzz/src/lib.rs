//! What the fuzz targets share: how an input is divided, and how it changes what was made before.
//!
//! `README.md` says which decoder is reached by which target.

use std::{io, task::Poll};

use serde::{Serialize, de::DeserializeOwned};

pub mod sealed;

/// An input that is read from its front; at its end it is zeros.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Begins at the front.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// A number below `end`, which is at most 256.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    /// One of these.
    pub fn pick<'b, T>(&mut self, from: &'b [T]) -> &'b T {
        &from[self.below(from.len())]
    }

    /// The next bytes, as many as a first byte says.
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.0.len());
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    /// What is left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Divides an input into places to cut and a body. It begins with the number of places, each a byte.
#[must_use]
pub fn cuts(input: &[u8]) -> (&[u8], &[u8]) {
    let mut input = Input::new(input);
    (input.bytes(), input.rest())
}

/// Cuts a body into pieces whose lengths are those bytes, again and again; a zero takes the rest.
#[must_use]
pub fn pieces<'a>(cuts: &[u8], mut body: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut lengths = cuts.iter().cycle();
    while !body.is_empty() {
        let len = match lengths.next() {
            None | Some(0) => body.len(),
            Some(&len) => usize::from(len).min(body.len()),
        };
        let (piece, rest) = body.split_at(len);
        pieces.push(piece);
        body = rest;
    }
    pieces
}

/// Changes bytes as an input says, in steps of four bytes: what, where (two bytes), with what.
pub fn edit(bytes: &mut Vec<u8>, script: &[u8]) {
    for step in script.chunks(4) {
        let mut step = Input::new(step);
        let (what, high, low) = (step.byte(), step.byte(), step.byte());
        let with = step.byte();
        let at = usize::from(u16::from_be_bytes([high, low])) % (bytes.len() + 1);
        match what % 6 {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= with.max(1)),
            1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = with),
            2 => bytes.insert(at, with),
            3 => drop(bytes.drain(at..(at + usize::from(with)).min(bytes.len()))),
            4 => bytes.truncate(at),
            _ => {
                let end = (at + usize::from(with)).min(bytes.len());
                bytes.extend_from_within(at..end);
            }
        }
    }
}

/// Decodes JSON; what was understood is understood again after it was written.
pub fn json<T: DeserializeOwned + Serialize + PartialEq>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&value).unwrap();
    let again: T = serde_json::from_slice(&written).unwrap();
    assert!(again == value, "{}", String::from_utf8_lossy(&written));
    Some(value)
}

/// A connection that delivers these pieces and then ends.
#[derive(Debug)]
pub struct PieceStream<'a>(std::vec::IntoIter<&'a [u8]>, &'a [u8]);

impl<'a> PieceStream<'a> {
    /// In this order.
    #[must_use]
    pub fn new(pieces: Vec<&'a [u8]>) -> Self {
        Self(pieces.into_iter(), &[])
    }

    /// What was not read.
    #[must_use]
    pub fn unread(self) -> usize {
        self.1.len() + self.0.map(<[u8]>::len).sum::<usize>()
    }
}

impl tokio::io::AsyncRead for PieceStream<'_> {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        into: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.1.is_empty() {
            this.1 = this.0.next().unwrap_or_default();
        }
        let (now, later) = this.1.split_at(into.remaining().min(this.1.len()));
        into.put_slice(now);
        this.1 = later;
        Poll::Ready(Ok(()))
    }
}
