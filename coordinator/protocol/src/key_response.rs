//! `GET /key?v=N`: the coordinator's Noise key.

use serde::{Deserialize, Serialize};

use crate::key::MachinePublic;

/// Path of the request; the query `v` names the client's capability version.
pub const PATH: &str = "/key";

/// Largest response that a client should read, in bytes.
pub const MAX_LEN: usize = 64 * 1024;

/// The response to `GET /key?v=N`.
///
/// It is not authenticated over plain HTTP: clients that know the key from an invitation must compare it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyResponse {
    /// The key of a protocol that ended with capability version 28; the zero key. The Rust client fails without it.
    #[serde(default)]
    pub legacy_public_key: MachinePublic,
    /// The key for the Noise handshake.
    pub public_key: MachinePublic,
}

impl KeyResponse {
    /// The response with this Noise key.
    #[must_use]
    pub fn new(public_key: MachinePublic) -> Self {
        Self { legacy_public_key: MachinePublic::default(), public_key }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_clients_read_it() {
        let key = MachinePublic::from_bytes([0xab; 32]);

        let text = serde_json::to_string(&KeyResponse::new(key)).unwrap();

        let expected = format!(
            r#"{{"legacyPublicKey":"mkey:{}","publicKey":"mkey:{}"}}"#,
            "00".repeat(32),
            "ab".repeat(32)
        );
        assert_eq!(text, expected);
        let read: KeyResponse =
            serde_json::from_str(&format!(r#"{{"publicKey":"{key}","more":1}}"#)).unwrap();
        assert_eq!(read.public_key, key);
    }
}
