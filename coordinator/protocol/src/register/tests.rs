use proptest::prelude::*;

use super::*;

/// As the Go client (1.90) writes it, shortened.
const GO: &str = r#"{"Version":130,
"NodeKey":"nodekey:1111111111111111111111111111111111111111111111111111111111111111",
"OldNodeKey":"nodekey:0000000000000000000000000000000000000000000000000000000000000000",
"NLKey":"nlpub:0000000000000000000000000000000000000000000000000000000000000000",
"Auth":{"AuthKey":"k-1"},"Expiry":"0001-01-01T00:00:00Z","Followup":"",
"Hostinfo":{"IPNVersion":"1.90.9","OS":"linux","Hostname":"laptop","Userspace":true,"RoutableIPs":null},
"NodeKeySignature":null}"#;

/// As the Rust client (0.6) writes it.
const RUST: &str = r#"{"Version":130,
"NodeKey":"nodekey:2222222222222222222222222222222222222222222222222222222222222222",
"Auth":{"AuthKey":"k-2"},"Hostinfo":{"IpnVersion":"0.6","Hostname":"box"},"Ephemeral":true,"Timestamp":null}"#;

#[test]
fn pitfall_b_requests_of_both_stock_clients_are_read() {
    let go: RegisterRequest = serde_json::from_str(GO).unwrap();
    assert_eq!((go.version, go.auth_key(), go.old_node_key), (130, Some("k-1"), None));
    assert_eq!(go.expiry, None);
    let hostinfo = go.hostinfo.unwrap();
    assert_eq!((hostinfo.ipn_version.as_str(), hostinfo.hostname.as_str()), ("1.90.9", "laptop"));

    let rust: RegisterRequest = serde_json::from_str(RUST).unwrap();
    assert_eq!((rust.auth_key(), rust.ephemeral), (Some("k-2"), true));
    assert_eq!(rust.hostinfo.unwrap().ipn_version, "0.6");
}

#[test]
fn a_log_out_is_seen() {
    let text = GO.replace("0001-01-01T00:00:00Z", "1970-01-01T00:02:03Z");

    let request: RegisterRequest = serde_json::from_str(&text).unwrap();

    assert_eq!(request.expiry.as_deref(), Some("1970-01-01T00:02:03Z"));
}

#[test]
fn every_field_of_a_response_is_written() {
    let text = serde_json::to_string(&RegisterResponse::default()).unwrap();

    assert_eq!(
        text,
        r#"{"User":{"ID":0,"DisplayName":""},"Login":{"ID":0,"Provider":"","LoginName":"","DisplayName":""},"#.to_owned()
            + r#""NodeKeyExpired":false,"MachineAuthorized":false,"AuthURL":"","Error":""}"#
    );
}

#[test]
fn debug_output_hides_the_pre_auth_key() {
    let request: RegisterRequest = serde_json::from_str(GO).unwrap();

    let text = format!("{request:?}");

    assert!(text.contains("[redacted]") && !text.contains("k-1"), "{text}");
}

proptest! {
    /// Any bytes are read or refused, and what is read survives being written.
    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut changed = GO.as_bytes().to_vec();
        let at = at.index(changed.len());
        changed[at] = byte;
        for bytes in [bytes, changed] {
            if let Ok(request) = serde_json::from_slice::<RegisterRequest>(&bytes) {
                let again = serde_json::from_slice(&serde_json::to_vec(&request).unwrap()).unwrap();
                prop_assert_eq!(request, again);
            }
            let _ = serde_json::from_slice::<RegisterResponse>(&bytes);
        }
    }
}
