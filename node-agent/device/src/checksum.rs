//! The internet checksum (RFC 1071), as IP, TCP and UDP use it.

/// Adds `bytes` to a sum of big-endian 16-bit words; an odd last byte is the upper half of a word.
/// Only the last of several pieces may have an odd length.
pub(crate) fn add(sum: u32, bytes: &[u8]) -> u32 {
    // The sum does not depend on the byte order (RFC 1071, section 2B): native words are added, four bytes at once, and only the
    // result is swapped.
    let (words, rest) = bytes.as_chunks::<4>();
    let mut wide: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    wide += u64::from(u32::from_ne_bytes(last));
    while wide >> 16 != 0 {
        wide = (wide & 0xffff) + (wide >> 16);
    }
    sum + u32::from(u16::from_be_bytes((wide as u16).to_ne_bytes()))
}

/// Folds a sum into 16 bits.
pub(crate) fn fold(mut sum: u32) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The sum of the pseudo-header of `len` bytes of TCP or UDP (RFC 9293, section 3.1; RFC 8200, section 8.1).
/// `addresses` are source and destination, as in the IP header.
pub(crate) fn pseudo_header(addresses: &[u8], protocol: u8, len: usize) -> u32 {
    let len = len as u32;
    add(u32::from(protocol) + (len >> 16) + (len & 0xffff), addresses)
}

/// The checksum over a transport header and its content. The checksum field is zero, or the result is to be compared with 0.
pub(crate) fn transport(addresses: &[u8], protocol: u8, transport: &[u8]) -> u16 {
    !fold(add(pseudo_header(addresses, protocol, transport.len()), transport))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn adds_as_the_definition_says(first: u16, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut slow = u64::from(first);
            for pair in bytes.chunks(2) {
                slow += u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
            }
            let slow = if slow == 0 { 0 } else { (slow - 1) % 0xffff + 1 };
            prop_assert_eq!(u64::from(fold(add(u32::from(first), &bytes))), slow);
        }
    }
}
