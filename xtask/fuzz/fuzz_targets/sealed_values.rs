//! Sealed values: what was changed on the disk, or moved to another place, does not open.
//!
//! An input says what is sealed, for which place, and how it is changed.
#![no_main]

use fuzz::{Input, edit};
use libfuzzer_sys::fuzz_target;
use store::seal::{Cell, Key};

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

    let mut changed = sealed.clone();
    edit(&mut changed, input.rest());
    assert_eq!(key.open(cell(&here), &changed).is_ok(), changed == sealed);
});
