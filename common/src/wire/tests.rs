//! Tests of versions and base64url.

use proptest::prelude::*;

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Format {
    version: Version,
    bytes: Bytes,
    id: Fixed<4>,
}

#[test]
fn another_version_is_refused_by_name_whatever_else_changed() {
    for text in [r#"{"version":2}"#, r#"{"version":2,"bytes":"","id":"AAAAAA"}"#] {
        let error = decode::<Format>(text.as_bytes()).unwrap_err();

        assert!(matches!(error, DecodeError::Version { found: 2, known: 1 }), "{error:?}");
        assert!(error.to_string().contains("version 2"), "{error}");
    }
}

#[test]
fn only_strict_base64url_of_the_right_length_is_taken() {
    for (bytes, id) in
        [("AA==", "AAAAAA"), ("+A", "AAAAAA"), ("", "AAAA"), ("", "AAAAAAA"), ("AB", "AAAAAA")]
    {
        let text = format!(r#"{{"version":1,"bytes":"{bytes}","id":"{id}"}}"#);

        assert!(matches!(decode::<Format>(text.as_bytes()), Err(DecodeError::Json(_))), "{text}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>()) {
        let _ = decode::<Format>(&bytes);
    }

    #[test]
    fn what_is_written_is_read(bytes in any::<Vec<u8>>(), id in any::<[u8; 4]>()) {
        let format = Format { version: Version, bytes: Bytes(bytes), id: Fixed(id) };

        prop_assert_eq!(decode::<Format>(&serde_json::to_vec(&format).unwrap()).unwrap(), format);
    }
}
