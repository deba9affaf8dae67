//! The crate `ohttp` and ours open each other's messages: `ohttp-peer` in `interop/`.
//!
//! Fails if: a question or an answer that one of them sealed, whole or in chunks, does not open to the same bytes at the
//! other, for each KEM that both have; one takes what was changed, or what was cut after its first chunks.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
};

use confidential_envelope::{
    Aead, ChunkSealer, Kem, Plaintext, PrivateKey, ResponseOpener, ResponseSealer, Unopenable,
    ohttp::{self, GatewayKey, KeyConfig},
};

/// Longer than a chunk of either, and not a multiple of one.
const LONG: usize = 40_001;

/// The peer, which exchanges lines of hexadecimal.
struct Peer {
    child: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
}

impl Peer {
    fn start(args: &[&str]) -> Self {
        let stock = std::env::var("MARU_STOCK_CLIENT").expect("`cargo xtask test` sets it");
        let mut child = Command::new(PathBuf::from(stock).with_file_name("ohttp-peer"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (says, hears) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        Self { child, says: BufReader::new(says), hears }
    }

    /// What it says next; `None` if it ended.
    fn say(&mut self) -> Option<Vec<u8>> {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| hex::decode(line.trim()).unwrap())
    }

    fn hear(&mut self, message: &[u8]) {
        writeln!(self.hears, "{}", hex::encode(message)).unwrap();
    }

    /// Whether it took everything.
    fn took_everything(mut self) -> bool {
        drop(self.hears);
        self.child.wait().unwrap().success()
    }
}

/// Whether messages are in chunks.
#[derive(Clone, Copy, Debug)]
enum Form {
    Whole,
    Chunked,
}

const FORMS: [(Form, &str); 2] = [(Form::Whole, "whole"), (Form::Chunked, "chunked")];
const KEMS: [(Kem, &str); 3] =
    [(Kem::XWing, "x-wing"), (Kem::P256, "p-256"), (Kem::X25519, "x25519")];

fn text(seed: u8) -> Vec<u8> {
    (0..LONG).map(|at| (at.wrapping_mul(31) >> 3) as u8 ^ seed).collect()
}

fn plaintext(bytes: &[u8]) -> Plaintext {
    let mut plaintext = Plaintext::default();
    plaintext.append(bytes);
    plaintext
}

/// All chunks of a message.
fn chunks(mut sealer: ChunkSealer, message: &[u8]) -> Vec<u8> {
    let (first, last) = message.split_at(message.len() / 2);
    let mut sealed = sealer.write(first).unwrap();
    sealed.extend(sealer.finish(last).unwrap());
    sealed
}

fn open_question(
    key: &Arc<GatewayKey>,
    form: Form,
    sealed: &[u8],
) -> Result<(Plaintext, ResponseSealer), ohttp::OpenError> {
    let keys = [Arc::clone(key)];
    match form {
        Form::Whole => ohttp::open(&keys, sealed).map(|opened| (opened.plaintext, opened.response)),
        Form::Chunked => {
            let mut stream = ohttp::RequestStream::new(keys.to_vec(), ohttp::REQUEST_LIMITS);
            let mut question = Plaintext::default();
            stream.push(sealed, &mut question)?;
            let response = stream.finish(&mut question)?;
            Ok((question, response))
        }
    }
}

fn seal_answer(sealer: ResponseSealer, form: Form, answer: &[u8]) -> Vec<u8> {
    match form {
        Form::Whole => sealer.seal(answer).unwrap(),
        Form::Chunked => chunks(sealer.chunked().unwrap(), answer),
    }
}

fn seal_question(config: &KeyConfig, form: Form, question: &[u8]) -> (Vec<u8>, ResponseOpener) {
    let request = ohttp::Request::new(config).unwrap();
    match form {
        Form::Whole => request.seal(&plaintext(question)).unwrap(),
        Form::Chunked => {
            let (sealer, opener) = request.chunked().unwrap();
            (chunks(sealer, question), opener)
        }
    }
}

fn open_answer(opener: ResponseOpener, form: Form, sealed: &[u8]) -> Result<Plaintext, Unopenable> {
    match form {
        Form::Whole => opener.open(sealed),
        Form::Chunked => {
            let (mut stream, mut answer) =
                (opener.chunked(ohttp::RESPONSE_LIMITS), Plaintext::default());
            stream.push(sealed, &mut answer)?;
            stream.finish(&mut answer)?;
            Ok(answer)
        }
    }
}

/// A message, changed in its last byte, and cut.
fn spoilt(sealed: &[u8]) -> [Vec<u8>; 2] {
    let mut changed = sealed.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    [changed, sealed[..sealed.len() - 20].to_vec()]
}

#[test]
#[ignore = "needs: stock"]
fn our_gateway_and_their_client_open_each_others() {
    let (question, answer) = (text(1), text(2));
    for ((kem, name), (form, word)) in
        KEMS.into_iter().flat_map(|kem| FORMS.map(|form| (kem, form)))
    {
        let private = PrivateKey::generate(kem).unwrap();
        let key = Arc::new(GatewayKey::new(3, private, vec![Aead::Aes128Gcm]).unwrap());
        let config = hex::encode(key.config().encode());
        let ask = || {
            let mut client = Peer::start(&["client", word, &config, &hex::encode(&question)]);
            let sealed = client.say().expect("a question");
            (client, sealed)
        };

        let (mut client, sealed) = ask();
        let (opened, sealer) = open_question(&key, form, &sealed).expect(name);
        assert!(*opened == *question, "{name}, {word}");
        client.hear(&seal_answer(sealer, form, &answer));
        assert!(client.say().expect(name) == answer, "{name}, {word}");
        assert!(client.took_everything());

        for spoilt in spoilt(&sealed) {
            assert!(open_question(&key, form, &spoilt).is_err(), "{name}, {word}");
        }
        let (_, sealer) = open_question(&key, form, &ask().1).unwrap();
        let [changed, _] = spoilt(&seal_answer(sealer, form, &answer));
        let (mut client, _) = ask();
        client.hear(&changed);
        assert_eq!(client.say(), None, "{name}, {word}");
    }
}

#[test]
#[ignore = "needs: stock"]
fn our_client_and_their_gateway_open_each_others() {
    let (question, answer) = (text(3), text(4));
    for ((_, name), (form, word)) in KEMS.into_iter().flat_map(|kem| FORMS.map(|form| (kem, form)))
    {
        let serve = || {
            let mut gateway = Peer::start(&["gateway", word, name, &hex::encode(&answer)]);
            let config = KeyConfig::decode(&gateway.say().expect("a key")).unwrap();
            (gateway, config)
        };

        let (mut gateway, config) = serve();
        let (sealed, opener) = seal_question(&config, form, &question);
        gateway.hear(&sealed);
        assert!(gateway.say().expect(name) == question, "{name}, {word}");
        let sealed = gateway.say().expect("an answer");
        assert!(*open_answer(opener, form, &sealed).expect(name) == *answer, "{name}, {word}");
        assert!(gateway.took_everything());

        for which in 0..2 {
            let (mut gateway, config) = serve();
            let (sealed, opener) = seal_question(&config, form, &question);
            gateway.hear(&sealed);
            gateway.say().unwrap();
            let answer = &spoilt(&gateway.say().unwrap())[which];
            assert!(open_answer(opener, form, answer).is_err(), "{name}, {word}");

            let (mut gateway, config) = serve();
            let (sealed, _) = seal_question(&config, form, &question);
            gateway.hear(&spoilt(&sealed)[which]);
            assert_eq!(gateway.say(), None, "{name}, {word}: question {which}");
        }
    }
}
