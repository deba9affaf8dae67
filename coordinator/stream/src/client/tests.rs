use proptest::prelude::*;
use tokio::io::{DuplexStream, duplex};

use super::*;
use crate::server::Handshake;

const LIMIT: Duration = Duration::from_secs(30);

fn keys() -> (MachinePrivate, MachinePrivate) {
    (MachinePrivate::from_bytes([1; 32]), MachinePrivate::from_bytes([2; 32]))
}

fn options<'a>(machine: &'a MachinePrivate, server: &MachinePrivate) -> Connect<'a> {
    Connect {
        host: "home.example:8443",
        machine,
        server: server.public(),
        version: 130,
        timeout: LIMIT,
    }
}

/// Reads the upgrade request and returns the handshake message in it.
async fn read_request(io: &mut DuplexStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(io.read_u8().await.unwrap());
    }
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("POST /ts2021 HTTP/1.1\r\nhost: home.example:8443\r\n"), "{text}");
    let line = text.lines().find_map(|line| line.strip_prefix("x-tailscale-handshake: "));
    line.unwrap().to_owned()
}

const SWITCHING: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: Tailscale-Control-Protocol\r\nConnection: upgrade\r\n\r\n";

/// Connects to something that answers these bytes and closes.
async fn answered_by(answer: Vec<u8>) -> Result<NoiseStream<DuplexStream>, ConnectError> {
    let (client, server) = keys();
    let (near, mut far) = duplex(64 * 1024);
    let connecting = options(&client, &server);
    let (connected, ()) = tokio::join!(connect(near, &connecting), async move {
        read_request(&mut far).await;
        // The client may have given up before it read all of it.
        let _ = far.write_all(&answer).await;
    });
    connected
}

#[tokio::test]
async fn records_that_follow_the_101_at_once_are_not_lost() {
    let (client, server) = keys();
    let (near, mut far) = duplex(64 * 1024);
    let connecting = options(&client, &server);
    let coordinator = async {
        let init = STANDARD.decode(read_request(&mut far).await).unwrap();
        let mut accepted = noise::respond(&server, &init).unwrap();
        let mut answer = [SWITCHING, &accepted.response].concat();
        accepted.transport.seal(b"at once", &mut answer).unwrap();
        accepted.transport.seal(b" and more", &mut answer).unwrap();
        far.write_all(&answer).await.unwrap();
        (accepted.machine, accepted.version)
    };

    let (stream, (machine, version)) = tokio::join!(connect(near, &connecting), coordinator);

    assert_eq!((machine, version), (client.public(), 130));
    let mut text = [0; 16];
    stream.unwrap().read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"at once and more");
}

#[tokio::test]
async fn a_connection_that_gives_one_byte_at_a_time_is_enough() {
    let (client, server) = keys();
    let (near, mut far) = duplex(1);
    let connecting = options(&client, &server);
    let coordinator = async {
        let handshake =
            Handshake::from_header(read_request(&mut far).await.as_bytes(), &server).unwrap();
        far.write_all(SWITCHING).await.unwrap();
        let mut stream = handshake.accept(far, LIMIT).await.unwrap();
        let mut text = [0; 4];
        stream.read_exact(&mut text).await.unwrap();
        text
    };
    let client = async {
        let mut stream = connect(near, &connecting).await.unwrap();
        stream.write_all(b"slow").await.unwrap();
        stream.flush().await.unwrap();
    };

    let ((), text) = tokio::join!(client, coordinator);

    assert_eq!(&text, b"slow");
}

#[tokio::test]
async fn a_coordinator_with_another_key_is_refused() {
    let (client, server) = keys();
    let (near, mut far) = duplex(1024);
    let connecting = options(&client, &server);
    let impostor = async {
        let init = read_request(&mut far).await;
        let other = MachinePrivate::from_bytes([3; 32]);
        let error = Handshake::from_header(init.as_bytes(), &other).unwrap_err();
        // It cannot answer, so it plays back an answer of its own to someone else.
        let (_, init) = Initiator::new(&other, &other.public(), 130).unwrap();
        let accepted = noise::respond(&other, &init).unwrap();
        far.write_all(&[SWITCHING, &accepted.response].concat()).await.unwrap();
        error
    };

    let (connected, error) = tokio::join!(connect(near, &connecting), impostor);

    assert_eq!(error, NoiseError::Handshake);
    assert!(matches!(connected, Err(ConnectError::Noise(NoiseError::Handshake))), "{connected:?}");
}

/// The frame with which a coordinator refuses a handshake.
fn refusal(hint: &str) -> Vec<u8> {
    let [high, low] = u16::try_from(hint.len()).unwrap().to_be_bytes();
    [&[3, high, low], hint.as_bytes()].concat()
}

#[tokio::test]
async fn answers_other_than_an_upgrade_are_named() {
    let refused = answered_by([SWITCHING, &refusal("not today")].concat()).await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        "the coordinator refused the Noise handshake: not today"
    );

    let refused = answered_by([SWITCHING, &refusal("")].concat()).await;
    assert!(matches!(refused, Err(ConnectError::Noise(NoiseError::Refused(_)))), "{refused:?}");

    let status = answered_by(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    assert!(matches!(status, Err(ConnectError::Status(403))), "{status:?}");

    let other =
        answered_by(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n".to_vec())
            .await;
    assert!(matches!(other, Err(ConnectError::Answer)), "{other:?}");

    let endless =
        answered_by([b"HTTP/1.1 101 OK\r\nx: ".as_slice(), &vec![b'a'; 20_000]].concat()).await;
    assert!(matches!(endless, Err(ConnectError::Answer)), "{endless:?}");

    let closed = answered_by(b"HTTP/1.1 101".to_vec()).await;
    assert!(matches!(closed, Err(ConnectError::Io(_))), "{closed:?}");
}

#[tokio::test]
async fn silence_ends_after_the_callers_time() {
    let (client, server) = keys();
    let (near, _far) = duplex(1024);
    let connecting = Connect { timeout: Duration::from_millis(20), ..options(&client, &server) };

    assert!(matches!(connect(near, &connecting).await, Err(ConnectError::Timeout)));
}

#[tokio::test]
async fn a_name_cannot_smuggle_in_a_header() {
    let (client, server) = keys();
    let (near, _far) = duplex(1024);
    let connecting = Connect { host: "a\r\nx: y", ..options(&client, &server) };

    assert!(matches!(connect(near, &connecting).await, Err(ConnectError::Host(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any answer, before or after the upgrade, is an error without a panic.
    #[test]
    fn any_answer_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), upgraded in any::<bool>()) {
        let answer = if upgraded { [SWITCHING, &bytes].concat() } else { bytes };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        prop_assert!(runtime.block_on(answered_by(answer)).is_err());
    }
}
