//! CBOR (RFC 8949), read strictly: one value that is written back as the same bytes, no key twice.
//!
//! So lengths are definite, integers as short as they can be, and nothing follows. Nitro's documents are like that.
//! Of COSE (RFC 9052) so little is left after this that no crate of its own is needed.

use ciborium::Value;

/// Deepest nesting; a document has three levels.
const DEPTH: usize = 8;

/// Not the strict form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotStrict;

/// Reads one value that is all of `bytes`.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, NotStrict> {
    let value: Value =
        ciborium::de::from_reader_with_recursion_limit(bytes, DEPTH).map_err(|_| NotStrict)?;
    let is_strict = has_unique_keys(&value) && write(&value) == bytes;
    if is_strict { Ok(value) } else { Err(NotStrict) }
}

/// Writes a value.
pub(crate) fn write(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Nothing that was read, and nothing that is made here, cannot be written; a half-written one equals nothing.
    if ciborium::ser::into_writer(value, &mut bytes).is_err() {
        bytes.clear();
    }
    bytes
}

fn has_unique_keys(value: &Value) -> bool {
    if let Value::Map(entries) = value {
        let mut numbered = entries.iter().enumerate();
        return numbered.all(|(at, (key, value))| {
            let is_new = entries.iter().take(at).all(|(earlier, _)| earlier != key);
            is_new && has_unique_keys(key) && has_unique_keys(value)
        });
    }
    if let Value::Tag(_, inner) = value {
        return has_unique_keys(inner);
    }
    value.as_array().is_none_or(|items| items.iter().all(has_unique_keys))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_form_of_each_value_is_taken() {
        // {"a": 1, "b": [h'00', null]}
        let strict = b"\xa2\x61a\x01\x61b\x82\x41\x00\xf6";
        assert!(read(strict).is_ok());
        for (what, bytes) in [
            ("nothing", &b""[..]),
            ("cut", &strict[..strict.len() - 1]),
            ("something behind", b"\xa1\x61a\x01\x00"),
            ("a key twice", b"\xa2\x61a\x01\x61a\x02"),
            ("a key twice, deeper", b"\x81\xa2\x01\x01\x01\x02"),
            ("a map of indefinite length", b"\xbf\x61a\x01\xff"),
            ("bytes of indefinite length", b"\x5f\x41\x00\xff"),
            ("a longer integer", b"\x18\x01"),
            ("a longer length", b"\x58\x01\x00"),
            ("too deep", b"\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x00"),
        ] {
            assert_eq!(read(bytes), Err(NotStrict), "{what}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_back(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = read(&bytes) {
                prop_assert_eq!(write(&value), bytes);
            }
        }
    }
}
