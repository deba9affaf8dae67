//! Messages of the map stream.

use std::io::Read as _;

use control_protocol::{frame, map::MapResponse};

/// Longest message, decompressed.
const MAX_LEN: u64 = frame::MAX_BODY_LEN as u64;
/// Largest zstd window: 2^26 bytes.
const WINDOW_LOG_MAX: u32 = 26;

/// Reads one message of the map stream: zstd, then JSON. `None` if it is neither, or too long.
#[must_use]
pub fn decode(message: &[u8]) -> Option<MapResponse> {
    let mut decoder = zstd::Decoder::new(message).ok()?;
    decoder.window_log_max(WINDOW_LOG_MAX).ok()?;
    let mut json = Vec::new();
    let len = decoder.take(MAX_LEN + 1).read_to_end(&mut json).ok()?;
    if len as u64 > MAX_LEN {
        return None;
    }
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_is_json_in_zstd() {
        let json = br#"{"KeepAlive":true,"Unknown":1}"#;
        let message = zstd::bulk::compress(json, 1).unwrap();
        assert!(decode(&message).unwrap().keep_alive);
        assert_eq!(decode(json), None);
        assert_eq!(decode(&message[..message.len() - 1]), None);
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = |len| {
            let json = br#"{"KeepAlive":true}"#.as_slice().chain(std::io::repeat(b' '));
            zstd::stream::encode_all(json.take(len), 1).unwrap()
        };
        assert!(decode(&bomb(MAX_LEN)).is_some());
        assert!(bomb(MAX_LEN + 1).len() < 64 * 1024);
        assert_eq!(decode(&bomb(MAX_LEN + 1)), None);
    }

    proptest! {
        #[test]
        fn arbitrary_messages_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode(&bytes);
            let _ = decode(&zstd::bulk::compress(&bytes, 1).unwrap());
        }
    }
}
