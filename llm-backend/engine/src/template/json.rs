//! The filter `tojson`, as Python's `json.dumps` writes without escapes of other scripts.

use std::io;

use minijinja::{Error, ErrorKind, Value, value::Kwargs};
use serde::Serialize as _;
use serde_json::{
    Serializer,
    ser::{Formatter, PrettyFormatter},
};

/// Most spaces of an indent.
const INDENT_MAX: usize = 16;

/// `value | tojson`, `value | tojson(indent=4)`.
pub(super) fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let refused = |what: &'static str| Error::new(ErrorKind::InvalidOperation, what);
    let indent: Option<usize> = options.get("indent")?;
    let escapes: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    if escapes == Some(true) || indent.is_some_and(|indent| indent > INDENT_MAX) {
        return Err(refused("tojson has other options here"));
    }
    let mut text = Vec::new();
    let written = match indent {
        Some(indent) => {
            let spaces = [b' '; INDENT_MAX];
            let formatter = PrettyFormatter::with_indent(&spaces[..indent]);
            value.serialize(&mut Serializer::with_formatter(&mut text, formatter))
        }
        None => value.serialize(&mut Serializer::with_formatter(&mut text, OneLine)),
    };
    written.map_err(|_| refused("the value has no JSON"))?;
    String::from_utf8(text).map_err(|_| refused("the value has no JSON"))
}

/// With a space after each comma and colon.
struct OneLine;

impl Formatter for OneLine {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { to.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { to.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }
}
