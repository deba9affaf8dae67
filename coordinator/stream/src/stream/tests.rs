use control_protocol::{
    key::MachinePrivate,
    noise::{Initiator, early, respond},
};
use futures_util::FutureExt as _;
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    runtime::Runtime,
};

use super::*;

/// Two ends of a channel, made without a connection.
fn transports() -> (Transport, Transport) {
    let (client, server) =
        (MachinePrivate::from_bytes([1; 32]), MachinePrivate::from_bytes([2; 32]));
    let (initiator, init) = Initiator::new(&client, &server.public(), 130).unwrap();
    let accepted = respond(&server, &init).unwrap();
    (initiator.finish(&accepted.response).unwrap(), accepted.transport)
}

/// A client and a coordinator over a connection that holds so many bytes.
fn streams(capacity: usize) -> (NoiseStream<DuplexStream>, NoiseStream<DuplexStream>) {
    let (near, far) = duplex(capacity);
    let (client, server) = transports();
    (NoiseStream::new(near, client, &[], true), NoiseStream::new(far, server, &[], false))
}

/// A client whose connection already holds these bytes, and has ended.
fn client_after(transport: Transport, wire: Vec<u8>) -> NoiseStream<io::Cursor<Vec<u8>>> {
    NoiseStream::new(io::Cursor::new(wire), transport, &[], true)
}

fn sealed(transport: &mut Transport, texts: &[&[u8]]) -> Vec<u8> {
    let mut wire = Vec::new();
    texts.iter().for_each(|text| transport.seal(text, &mut wire).unwrap());
    wire
}

#[test]
fn a_silent_connection_holds_no_buffers() {
    Runtime::new().unwrap().block_on(async {
        let (mut client, mut server) = streams(9000);
        for text in [b"one", b"two"] {
            client.write_all(text).await.unwrap();
            client.flush().await.unwrap();
            let mut read = [0; 3];
            server.read_exact(&mut read).await.unwrap();
            assert_eq!(&read, text);

            assert!(server.read(&mut read).now_or_never().is_none(), "there is no more");

            let held = (client.send.buffer.capacity(), server.receive.buffer.capacity());
            assert_eq!(held, (0, 0));
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Bytes arrive as written in both directions at once, whatever fits into the connection or into one read.
    #[test]
    fn bytes_arrive_as_written(
        there in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12_000), 0..6),
        back in prop::collection::vec(any::<u8>(), 9..40_000),
        capacity in 1..9000_usize,
        read_len in 1..9000_usize,
    ) {
        Runtime::new().unwrap().block_on(async {
            let (client, server) = streams(capacity);
            let (mut client_read, mut client_write) = tokio::io::split(client);
            let (mut server_read, mut server_write) = tokio::io::split(server);
            let expected = there.concat();

            let send_there = async {
                for text in &there {
                    client_write.write_all(text).await.unwrap();
                    client_write.flush().await.unwrap();
                }
                client_write.shutdown().await.unwrap();
            };
            let send_back = async {
                server_write.write_all(&back).await.unwrap();
                server_write.shutdown().await.unwrap();
            };
            let ((), (), at_server, at_client) = tokio::join!(
                send_there,
                send_back,
                read_all(&mut server_read, read_len),
                read_all(&mut client_read, read_len),
            );

            assert_eq!(at_server, expected);
            assert_eq!(at_client, back);
        });
    }

    /// What a coordinator sends early is skipped however records cut it; anything else is passed on.
    #[test]
    fn only_early_bytes_are_skipped(
        early_len in prop::option::of(0..100_usize),
        rest in prop::collection::vec(any::<u8>(), 9..60),
        cuts in prop::collection::vec(0..170_usize, 0..5),
        read_len in 1..20_usize,
    ) {
        let mut text = Vec::new();
        if let Some(len) = early_len {
            text.extend_from_slice(&early::header(len).unwrap());
            text.resize(early::HEADER_LEN + len, b' ');
        }
        // As HTTP/2 does, what follows never starts like the early payload.
        text.push(0);
        text.extend_from_slice(&rest);
        let (client, mut server) = transports();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.sort_unstable();
        cuts.push(text.len());
        let mut wire = Vec::new();
        let mut start = 0;
        for cut in cuts {
            server.seal(&text[start..cut], &mut wire).unwrap();
            start = cut;
        }

        let read = Runtime::new().unwrap().block_on(read_all(&mut client_after(client, wire), read_len));

        prop_assert_eq!(&read[..1], &[0]);
        prop_assert_eq!(&read[1..], &rest);
    }

    /// Any bytes on the connection end in an error, without a panic.
    #[test]
    fn any_bytes_are_refused(wire in prop::collection::vec(any::<u8>(), 1..200), record in any::<bool>()) {
        let mut wire = wire;
        if record {
            wire.splice(..0, [4, 0, 40]);
        }
        let (client, _) = transports();
        let mut text = Vec::new();
        let read = Runtime::new().unwrap().block_on(client_after(client, wire).read_to_end(&mut text));
        prop_assert!(read.is_err() && text.is_empty());
    }
}

async fn read_all<IO: AsyncRead + Unpin>(io: &mut IO, len: usize) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; len]);
    loop {
        match io.read(&mut buffer).await.unwrap() {
            0 => return all,
            len => all.extend_from_slice(&buffer[..len]),
        }
    }
}

#[tokio::test]
async fn a_changed_record_is_an_error_for_good() {
    let (client, mut server) = transports();
    let mut wire = sealed(&mut server, &[b"0123456789", b"changed", b"after"]);
    let at = wire.len() - 30;
    wire[at] ^= 1;
    let mut stream = client_after(client, wire);
    let mut text = [0; 10];
    stream.read_exact(&mut text).await.unwrap();

    for _ in 0..3 {
        assert_eq!(stream.read(&mut text).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

#[tokio::test]
async fn an_end_inside_a_record_is_an_error_and_one_between_records_is_not() {
    let (client, mut server) = transports();
    let wire = sealed(&mut server, &[b"0123456789"]);
    let mut text = Vec::new();
    assert_eq!(client_after(client, wire).read_to_end(&mut text).await.unwrap(), 10);

    let (client, mut server) = transports();
    let mut wire = sealed(&mut server, &[b"0123456789", b"cut"]);
    wire.pop();
    let error = client_after(client, wire).read_to_end(&mut text).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);

    let (client, mut server) = transports();
    let wire = sealed(&mut server, &[&early::header(5).unwrap(), b"1234"]);
    let error = client_after(client, wire).read_to_end(&mut text).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "inside an early payload");
}

#[tokio::test]
async fn what_came_with_the_handshake_is_read_first() {
    let (client, mut server) = transports();
    let wire = sealed(&mut server, &[b"first record", b"second record"]);
    let (received, later) = wire.split_at(20);
    let mut stream = NoiseStream::new(io::Cursor::new(later.to_vec()), client, received, true);
    let mut text = String::new();

    stream.read_to_string(&mut text).await.unwrap();

    assert_eq!(text, "first recordsecond record");
}

#[tokio::test]
async fn a_writer_waits_for_its_reader_with_a_bounded_buffer() {
    let (mut client, mut server) = streams(100);
    let text = vec![7; 1 << 20];

    // The pipe is in memory: what one look at it does not finish waits for the reader.
    let stalled = client.write_all(&text).now_or_never();

    assert!(stalled.is_none(), "nobody reads");
    assert!(client.send.buffer.len() <= SEND_LEN, "{} bytes wait", client.send.buffer.len());
    let mut first = [0; 1000];
    tokio::select! {
        biased;
        flushed = client.flush() => panic!("flushed without a reader: {flushed:?}"),
        read = server.read_exact(&mut first) => read.map(drop).unwrap(),
    }
    assert_eq!(first, [7; 1000]);
}

#[tokio::test]
async fn every_frame_is_within_the_limit() {
    let (client, _) = transports();
    let mut stream = NoiseStream::new(io::Cursor::new(Vec::new()), client, &[], true);
    stream.write_all(&vec![1; 100_000]).await.unwrap();
    stream.flush().await.unwrap();
    let wire = stream.io.into_inner();

    let mut rest = wire.as_slice();
    let mut count = 0;
    while let Some(header) = rest.first_chunk() {
        rest = &rest[noise::frame_len(*header).unwrap()..];
        count += 1;
    }
    assert!(rest.is_empty());
    assert_eq!(count, 100_000_usize.div_ceil(MAX_PLAINTEXT_LEN));
}
