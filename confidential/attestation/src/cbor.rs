//! Strict CBOR (RFC 8949): one value, whose encoding is exactly the bytes that were read, without duplicate keys.
//!
//! So lengths are definite, integers are as short as possible, and no bytes follow. Nitro's documents are like that.

use ciborium::Value;

/// Maximum nesting; a document has three levels.
const DEPTH: usize = 8;

/// The bytes are not strict CBOR.
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
    // Writing to memory does not fail. If it did, the empty result would equal no input.
    if ciborium::ser::into_writer(value, &mut bytes).is_err() {
        bytes.clear();
    }
    bytes
}

fn has_unique_keys(value: &Value) -> bool {
    if let Value::Map(entries) = value {
        let is_unique = all_differ(entries.iter().map(|(key, _)| write(key)));
        let mut parts = entries.iter().flat_map(|(key, value)| [key, value]);
        return is_unique && parts.all(has_unique_keys);
    }
    if let Value::Tag(_, inner) = value {
        return has_unique_keys(inner);
    }
    value.as_array().is_none_or(|items| items.iter().all(has_unique_keys))
}

/// Whether all items differ. It sorts them: an attacker chooses how many there are.
fn all_differ<T: Ord>(items: impl Iterator<Item = T>) -> bool {
    let mut sorted: Vec<T> = items.collect();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| pair.first() != pair.last())
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, cmp::Ordering};

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

    thread_local! {
        static COMPARED: Cell<usize> = const { Cell::new(0) };
    }

    /// Counts how often it is compared.
    #[derive(Debug, Clone, Copy)]
    struct CountedComparison(u32);

    impl Ord for CountedComparison {
        fn cmp(&self, other: &Self) -> Ordering {
            COMPARED.set(COMPARED.get() + 1);
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for CountedComparison {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    impl PartialEq for CountedComparison {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other).is_eq()
        }
    }

    impl Eq for CountedComparison {}

    /// A document of 64 KiB has room for 20,000 keys, of which each pair would be 200 million.
    #[test]
    fn many_keys_are_compared_a_few_times_each() {
        const MANY: u32 = 20_000;
        let orders: [fn(u32) -> u32; 3] =
            [|at| at, |at| MANY - at, |at| at.wrapping_mul(2_654_435_761)];
        for order in orders {
            COMPARED.set(0);
            assert!(all_differ((0..MANY).map(|at| CountedComparison(order(at)))));
            let each = COMPARED.get() / MANY as usize;
            assert!(each <= 2 * MANY.ilog2() as usize, "{each} comparisons for each");
        }
        assert!(!all_differ((0..MANY).map(|at| CountedComparison(at % (MANY - 1)))));
    }

    #[test]
    fn a_key_is_found_twice_wherever_it_is_among_many() {
        let map = |keys: &[u32]| {
            let entries = keys.iter().map(|&key| (Value::from(key), Value::Null)).collect();
            write(&Value::Map(entries))
        };
        let keys: Vec<u32> = (0..5_000).collect();
        assert!(read(&map(&keys)).is_ok());
        for (one, other) in [(0, 1), (0, 4_999), (2_500, 2_501), (4_998, 4_999)] {
            let mut twice = keys.clone();
            twice[one] = twice[other];
            assert_eq!(read(&map(&twice)), Err(NotStrict), "{one} and {other}");
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
