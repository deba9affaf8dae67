use proptest::prelude::*;

use super::*;

/// Judges a head of these lines.
fn of(lines: &[&str]) -> Result<Option<Head>, Refusal> {
    judge(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes())
}

/// What is passed on, as text.
fn passed(lines: &[&str]) -> String {
    let head = of(lines).expect("no refusal").expect("it is whole");
    assert!(head.last);
    String::from_utf8(head.bytes).unwrap()
}

const OK: &str = "HTTP/1.1 200 OK";

#[test]
fn answers_without_a_page_are_passed_on_and_end_the_connection() {
    for kind in ["application/json", "text/event-stream", "text/plain; charset=utf-8"] {
        let said = passed(&[OK, &format!("Content-Type: {kind}"), "transfer-encoding: chunked"]);
        assert_eq!(
            said,
            format!(
                "HTTP/1.1 200 \r\nContent-Type: {kind}\r\ntransfer-encoding: chunked\r\n\
                 connection: close\r\nx-content-type-options: nosniff\r\n\
                 content-security-policy: default-src 'none'; sandbox\r\n\r\n"
            )
        );
    }
    let error = passed(&["HTTP/1.1 502 Bad", "content-type: application/problem+json"]);
    assert!(error.starts_with("HTTP/1.1 502 \r\n"), "{error}");
    passed(&["HTTP/1.1 405 No", "content-length: 0", "allow: GET"]);
    passed(&["HTTP/1.1 204 Done"]);
}

#[test]
fn what_could_be_a_page_is_refused() {
    for kind in ["text/html", "image/svg+xml", "application/json, text/html", ""] {
        let kind = format!("content-type: {kind}");
        assert_eq!(of(&[OK, &kind]), Err(Refusal::Type), "{kind}");
        assert_eq!(of(&["HTTP/1.1 404 No", &kind, "content-length: 0"]), Err(Refusal::Type));
    }
    let json = "content-type: application/json";
    assert_eq!(of(&[OK, json, "Content-Type: text/html"]), Err(Refusal::Type), "two");
    for nothing in [&[OK][..], &[OK, "content-length: 5"]] {
        assert_eq!(of(nothing), Err(Refusal::Type), "no type, and a body");
    }
    for length in ["content-length: 5", "transfer-encoding: chunked"] {
        assert_eq!(of(&[OK, "content-length: 0", length]), Err(Refusal::Type), "{length}");
    }
}

#[test]
fn only_answers_and_errors_of_http_1_1_are_passed_on() {
    let json = "content-type: application/json";
    for status in [101, 102, 103, 301, 302, 304, 307, 308, 600, 999] {
        let line = format!("HTTP/1.1 {status} Other");
        assert_eq!(of(&[&line, json]), Err(Refusal::Status(status)));
    }
    for line in ["HTTP/1.0 200 OK", "HTTP/2 200 OK", "<html>", "ICY 200 OK", "HTTP/1.1 2 OK"] {
        assert_eq!(of(&[line, json]), Err(Refusal::NotHttp), "{line}");
    }
    for smuggled in ["content-type : application/json", " text/html", "a b: c", "a: \0"] {
        assert_eq!(of(&[OK, json, smuggled]), Err(Refusal::NotHttp), "{smuggled}");
    }
    let hints = of(&["HTTP/1.1 100 Continue", "link: </a>; rel=preload"]).unwrap().unwrap();
    assert_eq!((&*hints.bytes, hints.last), (&b"HTTP/1.1 100 Continue\r\n\r\n"[..], false));
}

#[test]
fn what_would_undo_it_is_left_out() {
    let said = passed(&[
        OK,
        "content-type: text/plain",
        "Connection: keep-alive",
        "KEEP-ALIVE: timeout=9",
        "x-content-type-options: none",
        "Content-Security-Policy: script-src *",
        "refresh: 0; url=http://evil.example",
        "upgrade: h2c",
        "retry-after: 2",
    ]);
    assert_eq!(said.matches(": ").count(), 5, "{said}");
    assert!(said.contains("retry-after: 2\r\n"), "{said}");
}

#[test]
fn a_head_has_an_end() {
    let long = format!("{OK}\r\ncontent-type: text/plain\r\na: {}", "b".repeat(HEAD_MAX));
    assert_eq!(judge(long.as_bytes()), Err(Refusal::TooLong));
    assert_eq!(judge(&[long.as_bytes(), b"\r\n\r\n"].concat()), Err(Refusal::TooLong));
    let many = [OK].into_iter().chain(["a: b"; FIELDS_MAX + 1]).collect::<Vec<_>>();
    assert_eq!(of(&many), Err(Refusal::TooLong));
    assert_eq!(judge(b""), Ok(None));
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "content-type: text/html",
            "content-type: application/json",
            "Content-Type: text/plain",
            "content-length: 0",
            "content-length: 7",
            "connection: keep-alive",
            "x-content-type-options: x",
        ])
        .prop_map(str::to_owned),
        "[a-z-]{1,12}: ?[ -~]{0,12}",
        "\\PC{0,20}",
    ]
}

proptest! {
    /// However a head is made, and wherever it is cut: what is passed on has at most one type, which is no page's, and is
    /// the last on its connection; the same is said of it once it is whole, and what follows changes nothing.
    #[test]
    fn no_page_is_passed_on(
        status in prop_oneof![Just(200_u16), any::<u16>()],
        lines in prop::collection::vec(line(), 0..8),
        end in prop::sample::select(vec!["\r\n", "\n", "\r"]),
        rest in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let head = format!("HTTP/1.1 {status} OK{end}{}{end}{end}", lines.join(end));
        let all = [head.as_bytes(), &rest].concat();
        let judged = judge(&all);
        for at in 0..head.len() {
            match judge(&all[..at]) {
                Ok(None) => {}
                Ok(Some(early)) => prop_assert_eq!(Ok(Some(early)), judged.clone()),
                Err(early) => prop_assert_eq!(Err(early), judged.clone()),
            }
        }
        let Ok(Some(passed)) = judged else { return Ok(()) };
        prop_assert!(passed.len <= all.len());
        if !passed.last {
            return Ok(());
        }
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut again = httparse::Response::new(&mut fields);
        prop_assert_eq!(again.parse(&passed.bytes), Ok(httparse::Status::Complete(passed.bytes.len())));
        let of = |name| values(again.headers, name).collect::<Vec<_>>();
        prop_assert_eq!(of("connection"), [b"close"]);
        prop_assert_eq!(of("x-content-type-options"), [b"nosniff"]);
        let types = of("content-type");
        prop_assert!(types.len() <= 1);
        prop_assert!(!String::from_utf8_lossy(&types.concat()).to_ascii_lowercase().contains("html,"));
        prop_assert!(is_of_a_type(again.headers) || is_empty(again.code.unwrap(), again.headers));
    }

    /// Any bytes at all.
    #[test]
    fn any_bytes_will_do(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Some(head)) = judge(&bytes) {
            prop_assert!(head.len <= bytes.len());
        }
    }
}
