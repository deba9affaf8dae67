//! Heads of a service that has no pages, cut anywhere, as the agent reads them before a browser does.
#![no_main]

use common::media;
use libfuzzer_sys::fuzz_target;
use node_agent_core::{
    request_head::{RequestedName, called},
    response_head::{HEAD_MAX, judge},
};

/// What every head that is passed on says, written by us alone.
fn is_safe(head: &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 80];
    let mut read = httparse::Response::new(&mut fields);
    assert_eq!(read.parse(head), Ok(httparse::Status::Complete(head.len())));
    let of = |name: &str| -> Vec<&[u8]> {
        let is = |it: &&httparse::Header<'_>| it.name.eq_ignore_ascii_case(name);
        read.headers.iter().filter(is).map(|it| it.value).collect()
    };
    assert_eq!(of("connection"), [b"close"]);
    assert_eq!(of("x-content-type-options"), [b"nosniff"]);
    assert_eq!(of("content-security-policy"), [b"default-src 'none'; sandbox"]);
    let types = of("content-type");
    assert!(types.len() <= 1 && types.iter().all(|it| media::is_no_page(it)));
    let empty = read.code == Some(204) || of("content-length") == [b"0"];
    assert!(types.len() == 1 || (empty && of("transfer-encoding").is_empty()));
    assert!(matches!(read.code, Some(200..300 | 400..600)));
}

fuzz_target!(|bytes: &[u8]| {
    let (cuts, bytes) = fuzz::cuts(bytes);
    let whole = judge(bytes);
    let name = called(bytes);
    if let Ok(Some(head)) = &whole {
        assert!(head.len <= bytes.len().min(HEAD_MAX));
        if head.last {
            is_safe(&head.bytes);
        } else {
            assert_eq!(head.bytes, b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }
    // However it comes, the same is said of it.
    let mut received = Vec::new();
    let mut is_named = false;
    for piece in fuzz::pieces(cuts, bytes) {
        received.extend_from_slice(piece);
        if !is_named && called(&received) != RequestedName::Incomplete {
            is_named = true;
            assert_eq!(called(&received), name);
        }
        let judged = judge(&received);
        if judged != Ok(None) {
            assert_eq!(judged, whole);
            break;
        }
    }
});
