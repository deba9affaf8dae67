//! What the processes of a confidential node read: frames, jobs, what is wanted, and what the security module says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use maru_compute::{
    frame::{self, Refusal},
    job::{Job, Media},
    nsm,
};

fuzz_target!(|bytes: &[u8]| {
    if let Some(head) = bytes.first_chunk::<5>()
        && let Ok((_, length)) = frame::head(*head)
    {
        assert!(length <= frame::MAX);
    }
    if let Some(job) = Job::decode(bytes) {
        assert_eq!(&job.encode()[..], bytes);
    }
    let _ = Media::read(bytes);
    let _ = Refusal::read(bytes);
    let _ = nsm::document(bytes);
});
