use http::{HeaderMap, HeaderValue, Method, StatusCode, header, uri::PathAndQuery};
use proptest::prelude::*;

use super::*;
use crate::{
    Plaintext,
    fixture::{any_cuts, pieces},
};

const MOST: u64 = 10_000;

fn request() -> RequestHead {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.append("x-two", HeaderValue::from_static("a"));
    headers.append("x-two", HeaderValue::from_static("b"));
    RequestHead {
        method: Method::POST,
        scheme: Scheme::Http,
        authority: "confsec.invalid".to_owned(),
        path: PathAndQuery::from_static("/v1/chat/completions?a=b"),
        headers,
    }
}

/// Reads a message that arrives in these pieces: its head, content and trailers.
fn read<H: Head>(pieces: &[&[u8]]) -> Result<(Option<H>, Vec<u8>, HeaderMap), Malformed> {
    let (mut decoder, mut events) = (Decoder::<H>::new(MOST), Vec::new());
    for piece in pieces {
        if let Err(error) = decoder.push(piece, &mut events) {
            assert_eq!(decoder.push(b"", &mut events), Err(error), "failed for good");
            return Err(error);
        }
    }
    decoder.finish(&mut events)?;
    let (mut head, mut content, mut trailers) = (None, Vec::new(), HeaderMap::new());
    for event in events {
        match event {
            Event::Head(read) => head = Some(read),
            Event::Content(piece) => content.extend_from_slice(&piece),
            Event::Trailers(read) => trailers = read,
        }
    }
    Ok((head, content, trailers))
}

/// A message of indeterminate length with this content.
fn streamed<H: Head>(head: &H, content: &[&[u8]], multiple: usize) -> Vec<u8> {
    let (mut encoder, start) = Encoder::new(head, multiple);
    let mut message = start.to_vec();
    for piece in content {
        message.extend_from_slice(&encoder.content(piece));
    }
    message.extend_from_slice(&encoder.finish());
    message
}

#[test]
fn a_request_is_read_as_it_was_written_and_padded() {
    for multiple in [0, 1, 514] {
        let whole = encode(&request(), b"{}", multiple);
        let streamed = streamed(&request(), &[b"{", b"", b"}"], multiple);
        for message in [&whole[..], &streamed] {
            assert_eq!(message.len() % multiple.max(1), 0);
            let (head, content, trailers) = read(&[message]).unwrap();
            assert_eq!(head, Some(request()));
            assert_eq!((&content[..], trailers.len()), (&b"{}"[..], 0));
        }
    }
}

#[test]
fn a_response_is_read_behind_informational_ones_and_with_trailers() {
    // 102 with a field, 103 without, 200 with a field; content in two chunks; a trailer; padding.
    let message =
        b"\x03\x40\x66\x01a\x01b\0\x40\x67\0\x40\xc8\x01c\x01d\0\x02he\x03llo\0\x01t\x01u\0\0\0";
    let (head, content, trailers) = read::<ResponseHead>(&[message]).unwrap();

    let head = head.unwrap();
    assert_eq!((head.status, head.headers.len()), (StatusCode::OK, 1));
    assert_eq!((&content[..], trailers["t"].as_bytes()), (&b"hello"[..], &b"u"[..]));
    // The same of known length.
    let message = b"\x01\x40\x66\x04\x01a\x01b\x40\xc8\x04\x01c\x01d\x05hello\x04\x01t\x01u\0";
    let (known, content, trailers) = read::<ResponseHead>(&[message]).unwrap();
    assert_eq!((known, &content[..], trailers.len()), (Some(head), &b"hello"[..], 1));
    let many = [b"\x01".to_vec(), b"\x40\x66\0".repeat(5), b"\x40\xc8".to_vec()].concat();
    assert_eq!(read::<ResponseHead>(&[&many]), Err(Malformed));
}

#[test]
fn empty_parts_at_the_end_may_be_missing_and_nothing_else() {
    // The examples of RFC 9458, without fields, content and trailers.
    let get = b"\x00\x03GET\x05https\x0bexample.com\x01/";
    assert!(read::<RequestHead>(&[get]).is_ok());
    assert!(read::<ResponseHead>(&[b"\x01\x40\xc8"]).is_ok());

    // After the control data, after the fields, and before the trailers; what seals a message says whether it is whole.
    let control =
        1 + [4, 4, 15, request().path.as_str().len()].map(|text| 1 + text).iter().sum::<usize>();
    let fields = control + (2 + 12 + 16) + 2 * (2 + 5 + 1) + 1;
    for message in [&encode(&request(), b"{}", 1)[..], &streamed(&request(), &[b"{}"], 1)] {
        for end in 0..message.len() {
            let whole = [control, fields, message.len() - 1].contains(&end);
            assert_eq!(read::<RequestHead>(&[&message[..end]]).is_ok(), whole, "{end}");
        }
    }
}

#[test]
fn what_http_2_calls_malformed_is_refused() {
    let with = |field: &[u8], value: &[u8]| {
        let line = [&[field.len() as u8][..], field, &[value.len() as u8], value].concat();
        let message = [&b"\x01\x40\xc8"[..], &[line.len() as u8], &line, b"\x02hi\0"].concat();
        read::<ResponseHead>(&[&message]).is_ok()
    };
    assert!(with(b"a", b"b") && with(b"a", b"") && with(b"content-length", b"2"));
    for (field, value) in [
        (&b"A"[..], &b"b"[..]),
        (b":status", b"200"),
        (b"a b", b"c"),
        (b"", b"b"),
        (b"a", b" b"),
        (b"a", b"b\t"),
        (b"a", b"b\r\nc: d"),
        (b"a", b"\0"),
        (b"connection", b"close"),
        (b"transfer-encoding", b"chunked"),
        (b"keep-alive", b"1"),
        (b"content-length", b"3"),
        (b"content-length", b"+2"),
        (b"content-length", b"99999999999999999999"),
    ] {
        assert!(!with(field, value), "{field:?} {value:?}");
    }
    let control = |message: &[u8]| read::<RequestHead>(&[message]).is_ok();
    assert!(control(b"\0\x04POST\x04http\0\x01/"));
    for message in [
        &b"\0\x04PO T\x04http\0\x01/"[..],
        b"\0\x04POST\x03ftp\0\x01/",
        b"\0\x04POST\x04http\x03a@b\x01/",
        b"\0\x04POST\x04http\x03a b\x01/",
        b"\0\x04POST\x04http\0\0",
        b"\0\x04POST\x04http\0\x02a/",
        b"\0\x04POST\x04http\0\x03/#a",
        b"\x01\x40\xc8",
        b"\x04",
    ] {
        assert!(!control(message), "{message:?}");
    }
    for status in [b"\x01\x40\x63", b"\x01\x42\x58", b"\x01\x00\x00"] {
        assert_eq!(read::<ResponseHead>(&[status]), Err(Malformed));
    }
}

#[test]
fn padding_is_zeros_and_lengths_are_bounded() {
    let mut padded = encode(&request(), b"{}", 514).to_vec();
    padded[513] = 1;
    assert_eq!(read::<RequestHead>(&[&padded]), Err(Malformed));
    let most = usize::try_from(MOST).unwrap();
    assert!(read::<RequestHead>(&[&encode(&request(), &vec![1; most], 1)]).is_ok());
    assert_eq!(read::<RequestHead>(&[&encode(&request(), &vec![1; most + 1], 1)]), Err(Malformed));
    let mut head = request();
    head.headers = (0..=MAX_FIELDS)
        .map(|at| (format!("x-{at}").parse().unwrap(), HeaderValue::from_static("1")))
        .collect();
    assert_eq!(read::<RequestHead>(&[&encode(&head, b"", 1)]), Err(Malformed));
    head.headers = HeaderMap::new();
    head.headers.insert("x-long", HeaderValue::from_str(&"a".repeat(MAX_HEAD)).unwrap());
    assert_eq!(read::<RequestHead>(&[&encode(&head, b"", 1)]), Err(Malformed));
    assert_eq!(read::<RequestHead>(&[&streamed(&head, &[], 1)]), Err(Malformed));
    // Refused by its length, before it arrives.
    assert_eq!(read::<RequestHead>(&[b"\0\xff\xff\xff\xff\xff\xff\xff\xff"]), Err(Malformed));
    assert!(Decoder::<RequestHead>::new(MOST).push(b"\0\x40\x41", &mut Vec::new()).is_err());
}

/// A request of 2 MiB may hold a million chunks of one byte each.
#[test]
fn chunks_of_content_that_arrive_together_are_one_event() {
    const CHUNKS: usize = 9_000;
    let (mut encoder, start) = Encoder::new(&request(), 1);
    let mut message = start.to_vec();
    for _ in 0..CHUNKS {
        message.extend_from_slice(&encoder.content(b"a"));
    }
    message.extend_from_slice(&encoder.finish());
    let (mut decoder, mut events) = (Decoder::<RequestHead>::new(MOST), Vec::new());

    decoder.push(&message, &mut events).unwrap();

    let [Event::Head(head), Event::Content(content)] = &events[..] else {
        panic!("{} events", events.len())
    };
    assert_eq!((head, &content[..]), (&request(), &[b'a'; CHUNKS][..]));
    // What was taken away is not appended to.
    let (mut encoder, start) = Encoder::new(&request(), 1);
    let (mut decoder, mut events) = (Decoder::<RequestHead>::new(MOST), Vec::new());
    decoder.push(&start, &mut events).unwrap();
    for piece in [b"one", b"two"] {
        events.clear();
        decoder.push(&encoder.content(piece), &mut events).unwrap();
        assert_eq!(events, [Event::Content(piece.to_vec().into())]);
    }
}

#[test]
fn fields_of_a_connection_are_not_written_and_nothing_is_shown() {
    let mut head = request();
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    let message = encode(&head, b"", 1);

    assert_eq!(read::<RequestHead>(&[&message]).unwrap().0, Some(request()));
    assert!(!format!("{head:?}").contains("json"));
    let mut events = Vec::new();
    Decoder::<RequestHead>::new(MOST).push(&message, &mut events).unwrap();
    assert!(!format!("{events:?}").contains("json"));
    assert_eq!(format!("{:?}", Plaintext::from(b"text".to_vec())), "[redacted]");
}

proptest! {
    #[test]
    fn a_message_is_the_same_however_it_arrives(
        content in prop::collection::vec(any::<u8>(), 0..600),
        written in any_cuts(), arriving in any_cuts(),
    ) {
        let streamed = streamed(&request(), &pieces(&written, &content), 514);
        let whole = encode(&request(), &content, 514);
        for message in [&streamed[..], &whole] {
            let read = read::<RequestHead>(&pieces(&arriving, message)).unwrap();

            prop_assert_eq!(read.0, Some(request()));
            prop_assert_eq!(&read.1, &content);
        }
    }

    #[test]
    fn arbitrary_bytes_are_the_same_however_they_arrive(
        at in any::<prop::sample::Index>(), noise in prop::collection::vec(any::<u8>(), 0..40),
        known in any::<bool>(), cuts in any_cuts(),
    ) {
        let message = if known { encode(&request(), b"{}", 1).to_vec() }
            else { streamed(&request(), &[b"{", b"}"], 1) };
        let bytes = [&message[..at.index(message.len() + 1)], &noise].concat();

        prop_assert_eq!(read::<RequestHead>(&pieces(&cuts, &bytes)), read::<RequestHead>(&[&bytes]));
        prop_assert_eq!(read::<ResponseHead>(&pieces(&cuts, &noise)), read::<ResponseHead>(&[&noise]));
    }
}
