use proptest::prelude::*;

use super::*;

/// Every frame with any content.
fn with_frame(kind: u8, key: [u8; 32], data: &[u8], number: u64, test: impl FnOnce(Frame<'_>)) {
    let key = NodePublic::from_bytes(key);
    let bytes = number.to_be_bytes();
    let half =
        |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    test(match kind % 13 {
        0 => Frame::ServerKey { key },
        1 => Frame::ClientInfo { key, sealed: data },
        2 => Frame::ServerInfo { sealed: data },
        3 => Frame::SendPacket { to: key, packet: data },
        4 => Frame::RecvPacket { from: key, packet: data },
        5 => Frame::KeepAlive,
        6 => Frame::NotePreferred { preferred: number.is_multiple_of(2) },
        7 => Frame::PeerGone { peer: key, reason: GoneReason::from(bytes[0]) },
        8 => Frame::Ping { data: bytes },
        9 => Frame::Pong { data: bytes },
        10 => Frame::Health { problem: data },
        11 => Frame::Restarting { reconnect_in_ms: half(0), try_for_ms: half(4) },
        _ => Frame::Unknown { kind: bytes[0] | 0x20, body: data },
    });
}

proptest! {
    /// Every frame is read as it was written, however the stream is cut.
    #[test]
    fn frames_survive_any_cut(
        frames in prop::collection::vec(
            (any::<u8>(), any::<[u8; 32]>(), prop::collection::vec(any::<u8>(), 0..300), any::<u64>()),
            0..8,
        ),
        piece in 1..200_usize,
    ) {
        let mut wire = Vec::new();
        for (kind, key, data, number) in &frames {
            with_frame(*kind, *key, data, *number, |frame| frame.encode(&mut wire).unwrap());
        }

        let mut decoder = Decoder::new();
        let mut expected = frames.iter();
        for bytes in wire.chunks(piece) {
            decoder.handle_bytes(bytes);
            while let Some(read) = decoder.poll_frame().unwrap() {
                let (kind, key, data, number) = expected.next().unwrap();
                with_frame(*kind, *key, data, *number, |frame| assert_eq!(read, frame));
            }
        }
        prop_assert_eq!(expected.next(), None);
    }

    /// Any bytes are read or refused; what is read is within its limit and is written as it came, but for what a
    /// later version may add at a body's end.
    #[test]
    fn any_bytes_are_read_or_refused(kind in 0..0x17_u8, len in 0..80_u32, body in prop::collection::vec(any::<u8>(), 0..100), raw in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut framed = vec![kind];
        framed.extend_from_slice(&len.to_be_bytes());
        framed.extend_from_slice(&body);
        for bytes in [framed, raw] {
            if let Ok(Some((frame, taken))) = decode(&bytes) {
                prop_assert!(taken <= bytes.len());
                let mut again = Vec::new();
                frame.encode(&mut again).unwrap();
                prop_assert!(again.len() <= taken + 1, "only a missing reason is added");
                let (read, _) = decode(&again).unwrap().unwrap();
                prop_assert_eq!(read, frame);
            }
        }
    }
}

#[test]
fn a_frame_is_written_as_the_go_relay_writes_it() {
    let key = NodePublic::from_bytes([7; 32]);
    let mut out = Vec::new();

    Frame::ServerKey { key }.encode(&mut out).unwrap();
    Frame::PeerGone { peer: key, reason: GoneReason::NotHere }.encode(&mut out).unwrap();

    let mut expected = vec![1, 0, 0, 0, 40];
    expected.extend_from_slice("DERP🔑".as_bytes());
    expected.extend_from_slice(&[7; 32]);
    expected.extend_from_slice(&[8, 0, 0, 0, 33]);
    expected.extend_from_slice(&[7; 32]);
    expected.push(1);
    assert_eq!(out, expected);
}

#[test]
fn a_packet_that_is_too_long_is_refused_before_it_comes() {
    let to = NodePublic::default();
    let packet = vec![0; MAX_PACKET_LEN + 1];
    let mut out = vec![1, 2, 3];
    let error = FrameError::TooLong { kind: SEND_PACKET, len: KEY_LEN + MAX_PACKET_LEN + 1 };

    assert_eq!(Frame::SendPacket { to, packet: &packet }.encode(&mut out), Err(error));
    assert_eq!(out, [1, 2, 3]);
    assert_eq!(decode(&[SEND_PACKET, 0, 1, 0, 33]), Err(error));
    assert!(Frame::SendPacket { to, packet: &packet[1..] }.encode(&mut out).is_ok());
}

#[test]
fn a_server_key_without_the_magic_is_refused() {
    let mut bytes = vec![1, 0, 0, 0, 40];
    bytes.extend_from_slice(&[0; 40]);

    assert_eq!(decode(&bytes), Err(FrameError::Malformed { kind: SERVER_KEY }));
}
