//! Variable-length integers (RFC 9000, section 16).

/// The largest value.
pub(crate) const MAX: u64 = (1 << 62) - 1;

/// The length of an integer with this first byte.
pub(crate) const fn len(first: u8) -> usize {
    1 << (first >> 6)
}

/// Reads an integer from all of `bytes`; `None` if its length is another one.
pub(crate) fn read(bytes: &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    if bytes.len() != len(first) {
        return None;
    }
    Some(rest.iter().fold(u64::from(first & 0x3f), |value, &byte| value << 8 | u64::from(byte)))
}

/// Appends the shortest encoding of a value up to [`MAX`].
pub(crate) fn write(value: u64, into: &mut Vec<u8>) {
    let value = value.min(MAX);
    let bytes = value.to_be_bytes();
    let (prefix, skip) = match value {
        0..=0x3f => (0x00, 7),
        0x40..=0x3fff => (0x40, 6),
        0x4000..=0x3fff_ffff => (0x80, 4),
        _ => (0xc0, 0),
    };
    let at = into.len();
    into.extend_from_slice(&bytes[skip..]);
    into[at] |= prefix;
}

/// Appends a length.
pub(crate) fn write_len(len: usize, into: &mut Vec<u8>) {
    write(len as u64, into);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        for (bytes, value) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ] {
            assert_eq!(read(bytes), Some(value));
            assert_eq!(read(&bytes[..bytes.len() - 1]), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in 0..=MAX) {
            let mut bytes = Vec::new();
            write(value, &mut bytes);

            prop_assert_eq!(read(&bytes), Some(value));
        }
    }
}
