//! A node of OpenPCC's Go packages `messages` and `twoway`, v0.0.80, opens our inner requests, and we its answers:
//! `openpcc-peer` in `interop/openpcc`.
//!
//! Fails if: a question, whole or in chunks, to a key of P-256 or X-Wing does not open to the same request there; its
//! answer, of known length or in chunks, does not open here; either takes what was changed or cut.

use std::{
    io::{BufRead, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use confidential_api::names::{header, host};
use confidential_envelope::{
    Kem, Plaintext, ResponseOpener, Unopenable,
    bhttp::{self, RequestHead, ResponseHead, Scheme},
    inner::{self, Candidate, Recipient, Rek},
};
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};
use serde_json::{Value, json};

/// The node, which says a line of JSON for each that it hears.
struct Node {
    child: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
    rek: Rek,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The key alone: who it is of is not asked here.
struct TestCandidate<'a>(&'a Rek);

impl Candidate for TestCandidate<'_> {
    type Id = u8;

    fn id(&self) -> u8 {
        1
    }

    fn rek(&self) -> &Rek {
        self.0
    }
}

/// A sealed question.
struct Sealed {
    media: &'static str,
    key: Vec<u8>,
    body: Vec<u8>,
    opener: ResponseOpener,
}

impl Node {
    fn start(kem: Kem, name: &str) -> Self {
        let folder =
            std::env::var_os("MARU_STOCK_OPENPCC").expect("`cargo xtask interop openpcc` sets it");
        let mut child = Command::new(PathBuf::from(folder).join("openpcc-peer"))
            .args(["node", "-kem", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut says = BufReader::new(child.stdout.take().unwrap());
        let hears = child.stdin.take().unwrap();
        let key = hex::decode(line(&mut says)["key"].as_str().expect("a key")).unwrap();
        Self { child, says, hears, rek: Rek::from_bytes(kem, &key).unwrap() }
    }

    fn seal(&self, question: &Plaintext, chunked: bool) -> Sealed {
        let to = vec![Recipient::new(&TestCandidate(&self.rek)).unwrap()];
        if !chunked {
            let inner::Sealed { body, mut keys, answers } = inner::seal(to, question).unwrap();
            let (key, opener) = (keys.remove(0).bytes, answers.of(&1).unwrap());
            return Sealed { media: inner::REQUEST, key, body, opener };
        }
        let (mut sealer, mut keys, answers) = inner::seal_chunked(to).unwrap();
        let (first, last) = question.split_at(inner::PADDING);
        let mut body = sealer.write(first).unwrap();
        body.extend(sealer.finish(last).unwrap());
        let (key, opener) = (keys.remove(0).bytes, answers.of(&1).unwrap());
        Sealed { media: inner::CHUNKED_REQUEST, key, body, opener }
    }

    /// What it says of a question.
    fn ask(&mut self, media: &str, key: &[u8], body: &[u8]) -> Value {
        let asked = json!({ "type": media, "key": hex::encode(key), "body": hex::encode(body) });
        writeln!(self.hears, "{asked}").unwrap();
        line(&mut self.says)
    }
}

fn line(says: &mut impl BufRead) -> Value {
    let mut line = String::new();
    says.read_line(&mut line).unwrap();
    serde_json::from_str(&line).expect("a line of JSON")
}

/// A question; one that is to be streamed has its answer in chunks.
fn question(content: &str) -> Plaintext {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::BADGE, HeaderValue::from_static("a-badge"));
    let head = RequestHead {
        method: Method::POST,
        scheme: Scheme::Https,
        authority: host::WORKER.to_owned(),
        path: "/v1/chat/completions".parse().unwrap(),
        headers,
    };
    bhttp::encode(&head, content.as_bytes(), inner::PADDING)
}

fn open(opener: ResponseOpener, media: &str, sealed: &[u8]) -> Result<Plaintext, Unopenable> {
    if media == inner::RESPONSE {
        return opener.open(sealed);
    }
    assert_eq!(media, inner::CHUNKED_RESPONSE);
    let (mut stream, mut opened) = (opener.chunked(inner::RESPONSE_LIMITS), Plaintext::default());
    stream.push(sealed, &mut opened)?;
    stream.finish(&mut opened)?;
    Ok(opened)
}

#[test]
#[ignore = "needs: openpcc"]
fn a_node_of_openpccs_opens_our_questions_and_we_its_answers() {
    for (kem, name) in [(Kem::P256, "p-256"), (Kem::XWing, "x-wing")] {
        let mut node = Node::start(kem, name);
        for (chunked, stream) in [(false, false), (false, true), (true, false), (true, true)] {
            let content = format!("{{\"stream\":{stream},\"is\":\"{}\"}}", "long ".repeat(300));
            let sealed = node.seal(&question(&content), chunked);
            let said = node.ask(sealed.media, &sealed.key, &sealed.body);
            let expected = json!({
                "event": "opened", "method": "POST", "host": host::WORKER,
                "path": "/v1/chat/completions", "badge": "a-badge", "content": content,
                "type": if stream { inner::CHUNKED_RESPONSE } else { inner::RESPONSE },
                "answer": said["answer"],
            });
            assert_eq!(said, expected, "{name}, in chunks: {chunked}");

            let answer = hex::decode(said["answer"].as_str().unwrap()).unwrap();
            let opened = open(sealed.opener, said["type"].as_str().unwrap(), &answer).unwrap();
            let (head, echoed) = bhttp::decode::<ResponseHead>(&opened, 1 << 20).unwrap();
            assert_eq!((head.status.as_u16(), &echoed[..]), (200, content.as_bytes()));
            assert_eq!(head.headers[CONTENT_TYPE], "application/json");
        }
    }
}

#[test]
#[ignore = "needs: openpcc"]
fn neither_takes_what_was_changed_or_cut() {
    for (kem, name) in [(Kem::P256, "p-256"), (Kem::XWing, "x-wing")] {
        let mut node = Node::start(kem, name);
        for chunked in [false, true] {
            let content = format!("{{\"stream\":{chunked},\"is\":\"{}\"}}", "long ".repeat(300));
            let spoilt = |bytes: &[u8]| {
                let mut changed = bytes.to_vec();
                *changed.last_mut().unwrap() ^= 1;
                [changed, bytes[..bytes.len() - 30].to_vec()]
            };

            let sealed = node.seal(&question(&content), chunked);
            for body in spoilt(&sealed.body) {
                let said = node.ask(sealed.media, &sealed.key, &body);
                assert_eq!(said["event"], "refused", "{name}: {said}");
            }
            let said = node.ask(sealed.media, &spoilt(&sealed.key)[0], &sealed.body);
            assert_eq!(said["event"], "refused", "{name}: {said}");

            for which in 0..2 {
                let sealed = node.seal(&question(&content), chunked);
                let said = node.ask(sealed.media, &sealed.key, &sealed.body);
                let answer = hex::decode(said["answer"].as_str().unwrap()).unwrap();
                let media = said["type"].as_str().unwrap();
                assert!(open(sealed.opener, media, &spoilt(&answer)[which]).is_err(), "{name}");
            }
        }
    }
}
