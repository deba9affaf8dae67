//! Pads plaintexts to buckets: a length, the text, zeros up to the bucket's size.

use zeroize::Zeroizing;

/// Bytes of the length prefix.
const PREFIX: usize = 4;

/// Bytes that sealing appends.
const TAG: usize = 16;

/// Largest bucket.
const MAX_BUCKET: usize = 1 << 20;

/// Smallest bucket of a request.
pub(crate) const REQUEST: usize = 1024;

/// Smallest bucket of a reply's chunk.
pub(crate) const CHUNK: usize = 128;

/// Most bytes that can be sealed at once.
pub const MAX_TEXT: usize = MAX_BUCKET - PREFIX;

/// The plaintext is longer than [`MAX_TEXT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("longer than {MAX_TEXT} bytes")]
pub struct TooLong;

/// Pads to the next of `smallest` · 2ⁿ. Reserves capacity for a tag, so that sealing in place does not reallocate.
pub(crate) fn pad(text: &[u8], smallest: usize) -> Result<Zeroizing<Vec<u8>>, TooLong> {
    let length = u32::try_from(text.len()).map_err(|_| TooLong)?;
    if text.len() > MAX_TEXT {
        return Err(TooLong);
    }
    let bucket = (text.len() + PREFIX).max(smallest).next_power_of_two();
    let mut padded = Zeroizing::new(Vec::with_capacity(bucket + TAG));
    padded.extend_from_slice(&length.to_be_bytes());
    padded.extend_from_slice(text);
    padded.resize(bucket, 0);
    Ok(padded)
}

/// Removes the padding; `None` if it is not that of [`pad`].
pub(crate) fn unpad(mut padded: Zeroizing<Vec<u8>>, smallest: usize) -> Option<Zeroizing<Vec<u8>>> {
    let prefix = padded.first_chunk::<PREFIX>()?;
    let length = usize::try_from(u32::from_be_bytes(*prefix)).ok()?;
    let end = length.checked_add(PREFIX)?;
    if length > MAX_TEXT || padded.len() != end.max(smallest).next_power_of_two() {
        return None;
    }
    if padded.get(end..)?.iter().any(|&byte| byte != 0) {
        return None;
    }
    padded.truncate(end);
    padded.drain(..PREFIX);
    Some(padded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_fall_into_buckets() {
        for (length, bucket) in
            [(0, 128), (124, 128), (125, 256), (252, 256), (253, 512), (MAX_TEXT, MAX_BUCKET)]
        {
            assert_eq!(pad(&vec![1; length], CHUNK).unwrap().len(), bucket, "{length}");
        }
        assert_eq!(pad(&vec![1; MAX_TEXT + 1], CHUNK), Err(TooLong));
    }

    #[test]
    fn other_padding_than_ours_is_refused() {
        let good = pad(b"text", CHUNK).unwrap();
        let with = |change: fn(&mut Vec<u8>)| {
            let mut padded = good.clone();
            change(&mut padded);
            unpad(padded, CHUNK)
        };

        assert!(with(|_| ()).is_some());
        assert!(with(|padded| padded[100] = 1).is_none());
        assert!(with(|padded| padded.push(0)).is_none());
        assert!(with(|padded| padded.truncate(64)).is_none());
        assert!(with(|padded| padded[0] = 0xff).is_none());
    }

    proptest! {
        #[test]
        fn what_is_padded_is_unpadded(text in prop::collection::vec(any::<u8>(), 0..5000)) {
            let padded = pad(&text, REQUEST).unwrap();

            prop_assert_eq!(&*unpad(padded, REQUEST).unwrap(), &text);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>()) {
            let _ = unpad(Zeroizing::new(bytes), CHUNK);
        }
    }
}
