//! The inner layer of the confidential chain with real keys: questions to nodes and their answers, changed on their way,
//! however they arrive.
#![no_main]

use std::sync::LazyLock;

use confidential_envelope::{
    Kem, Plaintext, PrivateKey, ResponseOpener, ResponseSealer, Unopenable,
    inner::{self, Candidate, REQUEST_LIMITS, RESPONSE_LIMITS, Recipient, Rek, RequestStream},
};
use fuzz::{
    Input,
    sealed::{joined, reply, texts},
};
use libfuzzer_sys::fuzz_target;

const KEMS: [Kem; 2] = [Kem::XWing, Kem::P256];

/// A node without attestation.
struct Node {
    id: u8,
    rek: Rek,
    key: PrivateKey,
}

impl Candidate for &Node {
    type Id = u8;

    fn id(&self) -> u8 {
        self.id
    }

    fn rek(&self) -> &Rek {
        &self.rek
    }
}

static NODES: LazyLock<[Node; 2]> = LazyLock::new(|| {
    KEMS.map(|kem| {
        let key = PrivateKey::generate(kem).unwrap();
        let rek = Rek::from_bytes(kem, &key.public().to_bytes()).unwrap();
        Node { id: kem.id().to_be_bytes()[1], rek, key }
    })
});

/// A question, its key for a node, and what opens the answers of that node and of the other one.
struct SealedQuestion {
    body: Vec<u8>,
    key: Vec<u8>,
    opener: ResponseOpener,
}

fn ask(node: &Node, texts: &[&[u8]], chunked: bool) -> SealedQuestion {
    let recipients = vec![Recipient::new(&node).unwrap()];
    let (body, keys, answers) = if chunked {
        let (sealer, keys, answers) = inner::seal_chunked(recipients).unwrap();
        (joined(sealer, texts), keys, answers)
    } else {
        let sealed = inner::seal(recipients, &texts.concat().into()).unwrap();
        (sealed.body, sealed.keys, sealed.answers)
    };
    let key = keys.into_iter().next().unwrap().bytes;
    SealedQuestion { body, key, opener: answers.of(&node.id).unwrap() }
}

/// What was opened of a question that arrives in these pieces, and what came of it.
fn stream(
    key: &[u8],
    pieces: &[&[u8]],
    node: &Node,
) -> (Plaintext, Result<ResponseSealer, Unopenable>) {
    let mut opened = Plaintext::default();
    let Ok(mut stream) = RequestStream::new(key, &node.key, REQUEST_LIMITS) else {
        return (opened, Err(Unopenable));
    };
    for piece in pieces {
        if stream.push(piece, &mut opened).is_err() {
            assert!(stream.push(b"", &mut Plaintext::default()).is_err(), "it goes on");
            return (opened, Err(Unopenable));
        }
    }
    let end = stream.finish(&mut opened);
    (opened, end)
}

/// Bytes that were not sealed do not open, and have a replay ID only if they are well-formed.
fn nobodys(node: &Node, mut input: Input<'_>) {
    let mut key = vec![0; if node.id == 0x10 { 120 } else { 1175 }];
    key[1..7].copy_from_slice(&[0, 0x10, 0, 1, 0, 1]);
    fuzz::edit(&mut key, input.bytes());
    let (cuts, body) = fuzz::cuts(input.rest());
    assert!(inner::open(&key, body, &node.key).is_err());
    assert!(inner::open_key(&key, true, &node.key).is_err());
    let (opened, end) = stream(&key, &fuzz::pieces(cuts, body), node);
    assert!(opened.is_empty() && end.is_err());
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let what = input.byte();
    let (node, other) = (&NODES[usize::from(what & 1)], &NODES[usize::from(what & 1 ^ 1)]);
    if what & 0x80 != 0 {
        return nobodys(node, input);
    }
    let (chunked, texts) = (what & 2 != 0, texts(&mut input));
    let asked = texts.concat();
    let SealedQuestion { body: genuine, key: genuine_key, opener } = ask(node, &texts, chunked);
    let (mut body, mut key) = (genuine.clone(), genuine_key.clone());
    fuzz::edit(&mut key, input.bytes());
    fuzz::edit(&mut body, input.bytes());
    let pieces = fuzz::pieces(input.bytes(), &body);

    let kem = KEMS[usize::from(what & 1)];
    if let Ok(name) = inner::replay_id(&key, kem) {
        let known = inner::replay_id(&genuine_key, kem).unwrap();
        let sealed = 7 + kem.encapsulated_len();
        assert_eq!(name == known, key[7..sealed] == genuine_key[7..sealed]);
    }
    assert_eq!(inner::open_key(&key, chunked, &node.key).is_ok(), key == genuine_key);
    assert!(inner::open_key(&key, !chunked, &node.key).is_err(), "of the other form");
    let (opened, end) = stream(&key, &pieces, node);
    assert!(asked.starts_with(&opened), "bytes that were not sealed were opened");
    assert!(end.is_err() || opened[..] == asked, "whole without all of it");
    let same = key == genuine_key && body == genuine;
    assert_eq!(end.is_ok(), chunked && same);
    let whole = inner::open(&key, &body, &node.key);
    assert_eq!(whole.is_ok(), !chunked && same);
    assert!(inner::open(&genuine_key, &genuine, &other.key).is_err(), "of another node");
    let response = match (whole, end) {
        (Ok(whole), _) => {
            assert_eq!(whole.plaintext[..], asked);
            whole.response
        }
        (Err(_), Ok(response)) => response,
        (Err(_), Err(_)) => return,
    };
    reply(response, opener, what & 4 != 0, RESPONSE_LIMITS, &mut input);
});
