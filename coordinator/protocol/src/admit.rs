//! How other relays check whether a client is a node (`derper -verify-client-url`; `DERPAdmitClientRequest` in
//! `tailcfg/derpmap.go`).

use serde::{Deserialize, Serialize};

use crate::key::NodePublic;

/// Path of the request, as in Headscale.
pub const PATH: &str = "/verify";

/// Largest body of a request, in bytes.
pub const BODY_MAX: usize = 4 * 1024;

/// The request of a relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AdmitRequest {
    /// The key that its client proved.
    pub node_public: NodePublic,
    /// The client's address; ignored here.
    #[serde(default)]
    pub source: String,
}

/// The response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AdmitResponse {
    /// Whether the key is a node's.
    pub allow: bool,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_derper_writes_is_read() {
        let key = NodePublic::from_bytes([0xab; 32]);
        // As Go's encoding/json writes it; netip.Addr's zero value is an empty text.
        for source in ["192.0.2.1", "fd00::1", ""] {
            let text =
                format!(r#"{{"NodePublic":"nodekey:{}","Source":"{source}"}}"#, "ab".repeat(32));
            let request: AdmitRequest = serde_json::from_str(&text).unwrap();
            assert_eq!(request, AdmitRequest { node_public: key, source: source.to_owned() });
        }
        let answer = serde_json::to_string(&AdmitResponse { allow: true }).unwrap();
        assert_eq!(answer, r#"{"Allow":true}"#);
    }

    proptest! {
        /// Whatever comes is a request for exactly the key that it names, or none.
        #[test]
        fn anything_else_is_refused_and_nothing_panics(
            bytes: Vec<u8>,
            key: [u8; 32],
            source: String,
            at: prop::sample::Index,
            byte: u8,
        ) {
            prop_assert!(serde_json::from_slice::<AdmitRequest>(&bytes).is_err());
            let request = AdmitRequest { node_public: NodePublic::from_bytes(key), source };
            let mut text = serde_json::to_vec(&request).unwrap();
            prop_assert_eq!(serde_json::from_slice::<AdmitRequest>(&text).unwrap(), request);
            let at = at.index(text.len());
            text[at] = byte;
            if let Ok(changed) = serde_json::from_slice::<AdmitRequest>(&text) {
                let text = String::from_utf8(text).unwrap().to_ascii_lowercase();
                prop_assert!(text.contains(&changed.node_public.to_string()), "{text}");
            }
        }
    }
}
