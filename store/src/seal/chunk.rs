//! Seals long values, such as files, in chunks, so that a part of one is sealed or opened in little memory.
//!
//! A value of `n` bytes has `max(1, ⌈n / CHUNK⌉)` chunks; each but the last has [`CHUNK`] bytes. The associated data of a
//! chunk contains its number and whether it is the last, so a value that was truncated, extended or reordered does not
//! open.

use zeroize::Zeroizing;

use super::{Cell, Key, OVERHEAD, OpenError, SealError};

/// Bytes of a chunk before it is sealed, except the last.
pub const CHUNK: usize = 65_536;

/// Bytes of a sealed chunk, except the last.
pub const SEALED_CHUNK: usize = CHUNK + OVERHEAD;

/// The place of a chunk in its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// Counted from 0.
    pub number: u64,
    /// Whether no chunk follows.
    pub is_last: bool,
}

impl Location {
    /// The place of chunk `number` in a value of `len` bytes; none if the value ends before.
    #[must_use]
    pub fn of(number: u64, len: u64) -> Option<Self> {
        let last = len.div_ceil(CHUNK as u64).saturating_sub(1);
        (number <= last).then_some(Self { number, is_last: number == last })
    }
}

/// Length of a value of `len` bytes when it is sealed.
#[must_use]
pub fn sealed_len(len: u64) -> u64 {
    let chunks = len.div_ceil(CHUNK as u64).max(1);
    len.saturating_add(chunks.saturating_mul(OVERHEAD as u64))
}

impl Key {
    /// Seals a chunk of the value of one cell.
    pub fn seal_chunk(
        &self,
        cell: Cell<'_>,
        location: Location,
        chunk: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.seal(Cell { row: &row(cell, location), ..cell }, chunk)
    }

    /// Opens a chunk that was sealed for this place of this cell.
    pub fn open_chunk(
        &self,
        cell: Cell<'_>,
        location: Location,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        self.open(Cell { row: &row(cell, location), ..cell }, sealed)
    }
}

/// The row, its length, and the chunk's place in it.
fn row(cell: Cell<'_>, location: Location) -> Vec<u8> {
    let mut row = b"chunk ".to_vec();
    row.extend_from_slice(&(cell.row.len() as u64).to_be_bytes());
    row.extend_from_slice(cell.row);
    row.extend_from_slice(&location.number.to_be_bytes());
    row.push(u8::from(location.is_last));
    row
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CHUNK, Location, SEALED_CHUNK, sealed_len};
    use crate::seal::{Cell, Key, OpenError};

    const FILE: Cell<'_> = Cell { table: "media", column: "file", row: b"id" };

    fn location(number: u64, is_last: bool) -> Location {
        Location { number, is_last }
    }

    #[test]
    fn a_chunk_opens_in_its_own_place() {
        let key = Key::new(&[1; 32]);
        let sealed = key.seal_chunk(FILE, location(3, false), b"chunk").unwrap();
        assert_eq!(&**key.open_chunk(FILE, location(3, false), &sealed).unwrap(), b"chunk");
        let other = Cell { row: b"other", ..FILE };
        for (cell, location) in [
            (FILE, location(2, false)),
            (FILE, location(3, true)),
            (other, location(3, false)),
            (Cell { column: "name", ..FILE }, location(3, false)),
        ] {
            assert_eq!(key.open_chunk(cell, location, &sealed), Err(OpenError::Refused));
        }
        assert_eq!(key.open(FILE, &sealed), Err(OpenError::Refused), "a chunk is not a value");
    }

    #[test]
    fn every_value_has_a_last_chunk() {
        let chunk = CHUNK as u64;
        assert_eq!(Location::of(0, 0), Some(location(0, true)));
        assert_eq!(Location::of(0, chunk), Some(location(0, true)));
        assert_eq!(Location::of(0, chunk + 1), Some(location(0, false)));
        assert_eq!(Location::of(1, chunk + 1), Some(location(1, true)));
        assert_eq!(Location::of(1, chunk), None);
        assert_eq!(Location::of(u64::MAX, u64::MAX), None);
    }

    proptest! {
        #[test]
        fn a_sealed_value_has_the_length_of_its_chunks(len in 0..1_u64 << 40) {
            let last = (0..).zip([len / CHUNK as u64, (len / CHUNK as u64).saturating_sub(1)])
                .find_map(|(_, number)| Location::of(number, len)).unwrap();
            prop_assert!(last.is_last);
            let rest = len - last.number * CHUNK as u64;
            prop_assert!(rest <= CHUNK as u64);
            let sealed = last.number * SEALED_CHUNK as u64 + rest + (SEALED_CHUNK - CHUNK) as u64;
            prop_assert_eq!(sealed_len(len), sealed);
        }
    }
}
