//! What the processes of a confidential node read: frames, jobs, what is wanted, and what the security module says.
#![no_main]

use confidential_api::routing::ENCAPSULATED_KEY_MAX as KEY_MAX;
use futures_util::FutureExt as _;
use fuzz::PieceStream;
use libfuzzer_sys::fuzz_target;
use maru_compute::{
    frame::{self, Kind, Refusal},
    job::{JOB_MAX, Job, Media},
    nsm,
};

/// The frames of a connection that brings these pieces, up to the first that is none or is cut.
fn frames(pieces: Vec<&[u8]>) -> Vec<(Kind, Vec<u8>)> {
    let mut connection = PieceStream::new(pieces);
    let mut frames = Vec::new();
    while let Ok(frame) = frame::read(&mut connection).now_or_never().expect("all of it is there") {
        frames.push(frame);
    }
    frames
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(head) = bytes.first_chunk::<5>()
        && let Ok((_, length)) = frame::head(*head)
    {
        assert!(length <= frame::MAX);
    }
    if let Some(job) = Job::decode(bytes) {
        assert!(bytes.len() <= JOB_MAX);
        assert_eq!(&job.encode()[..], bytes);
    }
    if let Some((_, key)) = Media::read(bytes) {
        assert!((1..=KEY_MAX).contains(&key.len()) && bytes.ends_with(key));
    }
    let _ = Refusal::read(bytes);
    let _ = nsm::document(bytes);

    let (cuts, body) = fuzz::cuts(bytes);
    let read = frames(vec![body]);
    let written: Vec<u8> =
        read.iter().flat_map(|(kind, payload)| frame::encode(*kind, payload)).collect();
    assert!(body.starts_with(&written), "frames are read as they were written");
    assert_eq!(frames(fuzz::pieces(cuts, body)), read, "it depends on the cuts");
});
