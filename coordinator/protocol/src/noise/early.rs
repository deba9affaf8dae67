//! The payload that a coordinator may send before HTTP/2: a magic, a length, JSON.
//!
//! The magic is not valid HTTP/2, whose frames cannot be that long. Maru's coordinator sends no payload; its agent skips it.

use super::error::NoiseError;

/// Length of the header before the JSON, in bytes.
pub const HEADER_LEN: usize = 9;

/// Longest accepted JSON, in bytes.
pub const MAX_LEN: usize = 64 * 1024;

const MAGIC: [u8; 5] = [0xff, 0xff, 0xff, b'T', b'S'];

/// The length of the JSON after these first bytes of a channel; `None` if they are not a header.
///
/// # Errors
///
/// [`NoiseError::Malformed`] if it is longer than [`MAX_LEN`].
pub fn payload_len(header: [u8; HEADER_LEN]) -> Result<Option<usize>, NoiseError> {
    let [m0, m1, m2, m3, m4, len @ ..] = header;
    if [m0, m1, m2, m3, m4] != MAGIC {
        return Ok(None);
    }
    let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
    if len > MAX_LEN { Err(NoiseError::Malformed) } else { Ok(Some(len)) }
}

/// The header for `len` bytes of JSON.
///
/// # Errors
///
/// [`NoiseError::TooLong`] if that is above [`MAX_LEN`].
pub fn header(len: usize) -> Result<[u8; HEADER_LEN], NoiseError> {
    let len = u32::try_from(len).ok().filter(|_| len <= MAX_LEN).ok_or(NoiseError::TooLong)?;
    let [m0, m1, m2, m3, m4] = MAGIC;
    let [l0, l1, l2, l3] = len.to_be_bytes();
    Ok([m0, m1, m2, m3, m4, l0, l1, l2, l3])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is written is read again; what is not the magic is HTTP/2's; a length above the limit is refused.
        #[test]
        fn lengths_are_read_as_written(len in any::<u32>(), other in any::<[u8; HEADER_LEN]>()) {
            let len = usize::try_from(len).unwrap();
            match header(len) {
                Ok(bytes) => prop_assert_eq!(payload_len(bytes), Ok(Some(len))),
                Err(_) => {
                    prop_assert!(len > MAX_LEN);
                    let mut bytes = header(0).unwrap();
                    bytes[5..].copy_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
                    prop_assert_eq!(payload_len(bytes), Err(NoiseError::Malformed));
                }
            }
            prop_assert_eq!(payload_len(other).is_ok_and(|len| len.is_none()), other[..5] != MAGIC);
        }
    }

    #[test]
    fn the_preface_of_http2_settings_is_not_early() {
        assert_eq!(payload_len([0, 0, 0, 4, 0, 0, 0, 0, 0]), Ok(None));
    }
}
