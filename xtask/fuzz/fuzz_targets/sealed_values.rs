//! Sealed values: what was changed on the disk, or moved to another place, does not open.
//!
//! An input says what is sealed, for which place, and how it is changed.
#![no_main]

use fuzz::{Input, edit};
use libfuzzer_sys::fuzz_target;
use store::seal::{Cell, Key, chunk::Location};

/// The parts of a place.
fn place(input: &mut Input<'_>) -> [String; 3] {
    [(); 3].map(|()| String::from_utf8_lossy(input.bytes()).into_owned())
}

fn cell([table, column, row]: &[String; 3]) -> Cell<'_> {
    Cell { table, column, row: row.as_bytes() }
}

fuzz_target!(|bytes: &[u8]| {
    let key = Key::new(&[1; 32]);
    let mut input = Input::new(bytes);
    let here = place(&mut input);
    assert!(key.open(cell(&here), bytes).is_err(), "bytes that were not sealed open");
    let elsewhere = place(&mut input);
    let value = input.bytes();
    let sealed = key.seal(cell(&here), value).unwrap();
    assert_eq!(&**key.open(cell(&here), &sealed).unwrap(), value);
    assert_eq!(key.open(cell(&elsewhere), &sealed).is_ok(), here == elsewhere);

    let chunk = Location { number: value.len() as u64, is_last: value.is_empty() };
    let sealed_chunk = key.seal_chunk(cell(&here), chunk, value).unwrap();
    assert_eq!(&**key.open_chunk(cell(&here), chunk, &sealed_chunk).unwrap(), value);
    for other in [
        Location { number: chunk.number + 1, ..chunk },
        Location { is_last: !chunk.is_last, ..chunk },
    ] {
        assert!(key.open_chunk(cell(&here), other, &sealed_chunk).is_err());
    }
    assert!(key.open(cell(&here), &sealed_chunk).is_err(), "a chunk is not a value");

    let mut changed = sealed.clone();
    edit(&mut changed, input.rest());
    assert_eq!(key.open(cell(&here), &changed).is_ok(), changed == sealed);
});
