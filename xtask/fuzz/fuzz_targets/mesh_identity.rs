//! Who is calling: the PROXY v2 header, and what a website could put into a request.
#![no_main]

use libfuzzer_sys::fuzz_target;

use futures_util::FutureExt as _;
use fuzz::PieceStream;
use http::Request;
use mesh_identity::Header;
use mesh_listener::{Guard, Preface, read_preface};

/// What is read back is what was written; a connection gives the same, however it is cut.
fn header(cuts: &[u8], bytes: &[u8]) {
    let decoded = Header::decode(bytes);
    if let Ok(Some((header, length))) = &decoded {
        assert!(*length <= bytes.len());
        if let Ok(again) = header.encode() {
            assert_eq!(&Header::decode(&again).unwrap().unwrap().0, header);
        }
    }
    let mut connection = PieceStream::new(fuzz::pieces(cuts, bytes));
    let preface = read_preface(&mut connection).now_or_never().unwrap();
    match (preface, decoded) {
        (Ok(Preface::Mesh(read)), Ok(Some((header, length)))) => {
            assert_eq!(read, header);
            assert_eq!(connection.unread(), bytes.len() - length, "it read past the header");
        }
        (Ok(Preface::Mesh(_)), _) => panic!("a caller from nowhere"),
        (Ok(Preface::Local) | Err(_), _) => {}
    }
}

/// Only what names this service passes.
fn guard(bytes: &[u8]) {
    let guard = Guard::new(["chat.maru.internal"]);
    let names_us = || {
        let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        text.contains("chat.maru.internal") || text.contains("100.64.0.1") || text.contains("ffff:")
    };
    for (host, origin) in [(bytes, None), (b"100.64.0.1".as_slice(), Some(bytes))] {
        let mut request = Request::builder().uri("/").header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        if let Ok(request) = request.body(())
            && guard.check(&request, "100.64.0.1:80".parse().unwrap()).is_ok()
        {
            assert!(names_us());
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let (cuts, bytes) = fuzz::cuts(input);
    header(cuts, bytes);
    guard(bytes);
});
