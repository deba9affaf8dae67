//! What sealing costs: prints, as JSON, the median microseconds of each step for both suites.
//!
//! Everything runs on one thread, with the system's randomness, as client and gateway do it: sealing includes the
//! device's signature, opening its verification and the replay check. How many requests are opened in a second is
//! measured on one thread and on two, which is the most that a gateway with two processors could answer.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::print_stdout, reason = "the result is what it prints")]

use std::{
    error::Error,
    hint::black_box,
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use ai_gateway_api::{
    memory::OwnMemory,
    sealed::{ReplyPart, Request},
};
use ed25519_dalek::SigningKey;
use hpke_envelope::{
    Suite,
    client::{self, Keys},
    gateway::{KeyRing, Limits, Settings},
};
use uuid::Uuid;

/// Requests measured per suite.
const REQUESTS: u32 = 1000;
/// Chunks of each reply.
const CHUNKS: u32 = 64;
/// Bytes of the question; it is padded to 1 KiB.
const QUESTION: usize = 400;
/// Bytes of one chunk's event, as one token makes it; it is padded to 128 bytes.
const EVENT: usize = 40;
/// 2026-11-21, 14:00 UTC: the wire's clock is an argument, so it stands still here.
const NOW: u64 = 1_795_269_600_000;

/// Microseconds of each step, one entry per request.
#[derive(Default)]
struct Samples {
    seal: Vec<f64>,
    open: Vec<f64>,
    seal_chunk: Vec<f64>,
    open_chunk: Vec<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut results = serde_json::Map::new();
    for suite in Suite::ALL {
        results.insert(suite.to_string(), measure(suite)?);
    }
    let report = serde_json::json!({
        "requests": REQUESTS, "chunks_per_reply": CHUNKS, "question_bytes": QUESTION,
        "event_bytes": EVENT, "suites": results,
    });
    println!("{report}");
    Ok(())
}

fn measure(suite: Suite) -> Result<serde_json::Value, Box<dyn Error>> {
    let most = Limits { total: 1 << 20, per_device: 1 << 20 };
    let settings = Settings { replay: most, ..Settings::default() };
    let mut ring = KeyRing::new(SigningKey::from_bytes(&[1; 32]), settings, 0, NOW)?;
    let document = ring.document(NOW)?;
    let keys = Keys::verify(&document, ring.identity(), 0)?;
    let mut samples = Samples::default();
    let mut size = 0;
    for number in 0..REQUESTS {
        size = exchange(&mut ring, &keys, suite, number, &mut samples)?;
    }
    let rates = [1, 2].map(|threads| opened_in_a_second(&mut ring, &keys, suite, threads));
    let [one, two] = rates;
    Ok(serde_json::json!({
        "opened_per_s": [one?, two?],
        "seal_request_us": median(samples.seal),
        "open_request_us": median(samples.open),
        "seal_chunk_us": median(samples.seal_chunk),
        "open_chunk_us": median(samples.open_chunk),
        "request_bytes": size,
    }))
}

/// How many requests so many threads open in a second, as a gateway's do.
fn opened_in_a_second(
    ring: &mut KeyRing,
    keys: &Keys,
    suite: Suite,
    threads: u32,
) -> Result<f64, Box<dyn Error>> {
    let device = SigningKey::from_bytes(&[3; 32]);
    let key = keys.select(suite, NOW).ok_or("the gateway has no key of this suite")?;
    let first = REQUESTS * (threads + 1);
    let requests: Vec<Request> = (first..first + REQUESTS)
        .map(|number| {
            let sealed = client::seal(&device, key, request_id(number), &[b'?'; QUESTION], NOW)?;
            Ok(sealed.0)
        })
        .collect::<Result<_, hpke_envelope::client::SealError>>()?;
    let ring = Mutex::new(ring);
    let open = |requests: &[Request]| {
        requests.iter().all(|request| {
            let ring = || ring.lock().unwrap_or_else(PoisonError::into_inner);
            let Ok(prepared) = ring().prepare(request, NOW) else { return false };
            let Ok((opened, entry)) = prepared.open(request, OwnMemory) else { return false };
            black_box(opened);
            ring().remember(entry, NOW).is_ok()
        })
    };
    let share = requests.len().div_ceil(usize::try_from(threads)?);
    let start = Instant::now();
    let all = thread::scope(|scope| {
        let open = &open;
        let parts: Vec<_> =
            requests.chunks(share).map(|part| scope.spawn(move || open(part))).collect();
        parts.into_iter().all(|part| part.join().unwrap_or(false))
    });
    let seconds = start.elapsed().as_secs_f64();
    if !all {
        return Err("a request was not opened".into());
    }
    Ok((f64::from(REQUESTS) / seconds).round())
}

/// One question and its reply; returns the bytes of the request as it is sent.
fn exchange(
    ring: &mut KeyRing,
    keys: &Keys,
    suite: Suite,
    number: u32,
    samples: &mut Samples,
) -> Result<usize, Box<dyn Error>> {
    let device = SigningKey::from_bytes(&[2; 32]);
    let key = keys.select(suite, NOW).ok_or("the gateway has no key of this suite")?;

    let start = Instant::now();
    let sealed = client::seal(&device, key, request_id(number), &[b'?'; QUESTION], NOW)?;
    samples.seal.push(micros(start));
    let (request, mut reply) = black_box(sealed);

    let start = Instant::now();
    let opened = ring.open(&request, NOW, OwnMemory)?;
    samples.open.push(micros(start));
    let mut sealer = opened.reply;
    reply.handle(&ReplyPart::Start(sealer.start()))?;

    let start = Instant::now();
    let chunks =
        (0..CHUNKS).map(|_| sealer.chunk(&[b'!'; EVENT])).collect::<Result<Vec<_>, _>>()?;
    samples.seal_chunk.push(micros(start) / f64::from(CHUNKS));
    let chunks: Vec<ReplyPart> = chunks.into_iter().map(ReplyPart::Chunk).collect();

    let start = Instant::now();
    for chunk in &chunks {
        black_box(reply.handle(chunk)?);
    }
    samples.open_chunk.push(micros(start) / f64::from(CHUNKS));
    Ok(serde_json::to_vec(&request)?.len())
}

/// A UUID version 7 of [`NOW`], told apart by its number.
fn request_id(number: u32) -> Uuid {
    let mut random = [0; 10];
    random[6..].copy_from_slice(&number.to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(NOW, &random).into_uuid()
}

fn micros(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e6
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).map_or(f64::NAN, |middle| (middle * 100.0).round() / 100.0)
}
