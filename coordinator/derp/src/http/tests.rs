use proptest::prelude::*;

use super::*;

fn asked(head: &str) -> Request {
    let bytes = head.replace('\n', "\r\n");
    let (asked, len) = parse_request(bytes.as_bytes()).unwrap().unwrap();
    assert_eq!(len, bytes.len());
    asked
}

#[test]
fn requests_are_told_apart() {
    assert_eq!(
        asked("GET /derp HTTP/1.1\nUpgrade: DERP\nConnection: Upgrade\n\n"),
        Request::Derp { is_fast: false }
    );
    assert_eq!(
        asked("GET /derp HTTP/1.1\nUpgrade: DERP\nDerp-Fast-Start: 1\n\n"),
        Request::Derp { is_fast: true }
    );
    assert_eq!(
        asked("GET https://relay:8444/derp HTTP/1.1\nupgrade: derp\n\n"),
        Request::Derp { is_fast: false }
    );
    assert_eq!(asked("GET /derp HTTP/1.1\n\n"), Request::Other);
    assert_eq!(asked("HEAD /derp/latency-check?x=1 HTTP/1.1\n\n"), Request::Probe);
    assert_eq!(asked("GET /derp/probe HTTP/1.1\n\n"), Request::Probe);
    assert_eq!(asked("GET / HTTP/1.1\n\n"), Request::Other);
    assert_eq!(asked("POST /derp/probe HTTP/1.1\n\n"), Request::Other);
    assert_eq!(asked("PUT /derp HTTP/1.1\nUpgrade: DERP\n\n"), Request::Other);
}

#[test]
fn every_endpoint_is_answered() {
    for endpoint in ENDPOINTS {
        assert_ne!(asked(&format!("{endpoint} HTTP/1.1\nUpgrade: DERP\n\n")), Request::Other);
    }
}

#[test]
fn a_challenge_is_repeated_only_if_it_is_plain() {
    let ask = |text: &str| {
        asked(&format!("GET /generate_204 HTTP/1.1\nX-Tailscale-Challenge: {text}\n\n"))
    };

    assert_eq!(ask("ts_a.b"), Request::Generate204 { challenge: Some("ts_a.b".to_owned()) });
    assert_eq!(ask("a b"), Request::Generate204 { challenge: None });
}

#[test]
fn a_request_with_a_body_ends_the_connection() {
    assert!(parse_request(b"POST /derp HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello").is_err());
    assert!(parse_request(b"POST /derp HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
}

#[test]
fn only_an_upgrade_is_an_answer() {
    let switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n\r\nframes";
    assert_eq!(parse_answer(switching), Ok(Some(switching.len() - b"frames".len())));
    assert_eq!(parse_answer(&switching[..40]), Ok(None));
    assert_eq!(parse_answer(b"HTTP/1.1 404 Not Found\r\n\r\n"), Err(HttpError::Status(404)));
    assert_eq!(parse_answer(b"SSH-2.0-x\r\n"), Err(HttpError::Malformed));
}

#[test]
fn a_head_without_an_end_is_not_waited_for_for_ever() {
    let long = |start: &str, len| [start.as_bytes(), &vec![b'a'; len - start.len()]].concat();
    for (len, expected) in [(HEAD_MAX - 1, Ok(None)), (HEAD_MAX, Err(HttpError::Malformed))] {
        assert_eq!(parse_answer(&long("HTTP/1.1 101 OK\r\nx: ", len)), expected);
        let request = parse_request(&long("GET / HTTP/1.1\r\nx: ", len));
        assert_eq!(request.map(|head| head.map(|(_, len)| len)), expected);
    }
}

proptest! {
    /// Whatever comes is a head, a part of one, or refused.
    #[test]
    fn any_bytes_are_a_head_or_not(
        bytes in prop::collection::vec(any::<u8>(), 0..512),
        start in "(GET /derp HTTP/1.1|HTTP/1.1 101 x|HTTP/1.1 [0-9]{3} x)?(\r\n[a-z]{1,8}: [ -~]{0,8}){0,3}(\r\n\r\n)?",
    ) {
        for bytes in [&bytes, &[start.as_bytes(), &bytes].concat()] {
            if let Ok(Some((_, len))) = parse_request(bytes) {
                prop_assert!(len <= bytes.len());
            }
            if let Ok(Some(len)) = parse_answer(bytes) {
                prop_assert!(len <= bytes.len());
            }
        }
    }
}

#[test]
fn a_connection_for_the_relay_is_told_from_others_by_its_first_line() {
    for line in [
        "GET /derp HTTP/1.1\r\n",
        "HEAD /derp/probe?x HTTP/1.1\r\nHost: a",
        "GET /generate_204 HTTP",
    ] {
        assert!(is_for_relay(line.as_bytes()), "{line}");
    }
    for line in [
        "GET /key?v=1 HTTP/1.1\r\n",
        "GET /derpy HTTP/1.1",
        "PUT /derp HTTP/1.1",
        "GET",
        "",
        "\r\nGET /derp ",
    ] {
        assert!(!is_for_relay(line.as_bytes()), "{line}");
    }
    assert!(!is_for_relay(b"\xff\xfe /derp HTTP"));
}
