//! Test support: deterministic randomness, keys, and candidates without attestation.

use std::{convert::Infallible, path::Path};

use hpke::rand_core::{TryCryptoRng, TryRng};
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{Kem, PrivateKey, inner::Candidate, inner::Rek};

/// Returns these bytes once.
pub(crate) struct FixedRng(pub(crate) Vec<u8>);

/// Returns SHA-256 of a counter.
pub(crate) struct CountingRng(pub(crate) u64);

macro_rules! rng {
    ($rng:ty, $fill:expr) => {
        impl TryRng for $rng {
            type Error = Infallible;

            fn try_next_u32(&mut self) -> Result<u32, Infallible> {
                unreachable!("only bytes are drawn")
            }

            fn try_next_u64(&mut self) -> Result<u64, Infallible> {
                unreachable!("only bytes are drawn")
            }

            fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
                let fill: fn(&mut Self, &mut [u8]) = $fill;
                fill(self, into);
                Ok(())
            }
        }

        impl TryCryptoRng for $rng {}
    };
}

rng!(FixedRng, |given, into| into
    .copy_from_slice(&given.0.drain(..into.len()).collect::<Vec<_>>()));
rng!(CountingRng, |repeatable, into| {
    for block in into.chunks_mut(32) {
        repeatable.0 += 1;
        block.copy_from_slice(&Sha256::digest(repeatable.0.to_be_bytes())[..block.len()]);
    }
});

/// A node without attestation.
#[derive(Clone, Debug)]
pub(crate) struct TestCandidate {
    pub(crate) id: u8,
    pub(crate) rek: Rek,
}

impl TestCandidate {
    pub(crate) fn new(id: u8, key: &PrivateKey) -> Self {
        let public = key.public();
        Self { id, rek: Rek::from_bytes(public.kem(), &public.to_bytes()).unwrap() }
    }
}

impl Candidate for TestCandidate {
    type Id = u8;

    fn id(&self) -> u8 {
        self.id
    }

    fn rek(&self) -> &Rek {
        &self.rek
    }
}

pub(crate) fn key(kem: Kem, seed: u8) -> PrivateKey {
    PrivateKey::derive(kem, &Zeroizing::new([seed; 32]))
}

/// Test vectors of other implementations.
pub(crate) fn shared(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A field of hexadecimal digits.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

/// The plaintext lengths of the chunks behind a head, and of the last one.
pub(crate) fn chunk_lengths(mut sealed: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    loop {
        let len = crate::varint::len(sealed[0]);
        let (length, rest) = sealed.split_at(len);
        let length = usize::try_from(crate::varint::read(length).unwrap()).unwrap();
        let length = if length == 0 { rest.len() } else { length };
        lengths.push(length - crate::aead::TAG);
        sealed = &rest[length..];
        if sealed.is_empty() {
            return lengths;
        }
    }
}

/// Seals a message in chunks of these lengths, the last of which ends it.
pub(crate) fn seal_as(
    mut sealer: crate::ChunkSealer,
    mut plaintext: &[u8],
    lengths: &[usize],
) -> Vec<u8> {
    let mut sealed = Vec::new();
    let (last, middle) = lengths.split_last().unwrap();
    for length in middle {
        let (now, later) = plaintext.split_at(*length);
        sealed.extend(sealer.write(now).unwrap());
        plaintext = later;
    }
    assert_eq!(plaintext.len(), *last);
    sealed.extend(sealer.finish(plaintext).unwrap());
    sealed
}

/// Cuts bytes into pieces of these lengths, again and again; a zero takes the rest.
pub(crate) fn pieces<'a>(cuts: &[u8], mut body: &'a [u8]) -> Vec<&'a [u8]> {
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

pub(crate) fn any_cuts() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..8)
}
