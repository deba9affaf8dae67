//! The tensors of a header, with ggml's rules (`gguf.cpp`): each has a unique name, a known type and a shape that fits
//! the type, and begins where the previous one ends.

use std::{collections::BTreeSet, io::BufRead};

use crate::{
    error::{Error, printable},
    reader::Reader,
};

/// Longest name, in bytes (`GGML_MAX_NAME`, without the final zero).
const NAME_MAX: u64 = 63;
/// Most dimensions of a tensor (`GGML_MAX_DIMS`).
const DIMENSIONS_MAX: u32 = 4;

/// Reads `count` tensors, and returns the position in the file at which the content of the last one ends.
pub(super) fn read<R: BufRead>(
    reader: &mut Reader<R>,
    count: u64,
    alignment: u64,
) -> Result<u64, Error> {
    if count == 0 {
        return Err(Error::Damaged);
    }
    let (mut names, mut end, mut next) = (BTreeSet::new(), 0, 0);
    for _ in 0..count {
        let name = reader.text(NAME_MAX)?.ok_or(Error::Damaged)?;
        let wrong = |problem| Error::Tensor { name: printable(&name), problem };
        if name.iter().any(u8::is_ascii_control) {
            return Err(wrong("has control characters in its name"));
        }
        let bytes = content(reader)?.map_err(wrong)?;
        if reader.u64()? != next {
            return Err(wrong("does not begin where the previous one ends"));
        }
        end = next.checked_add(bytes).ok_or(Error::Damaged)?;
        next = end.checked_next_multiple_of(alignment).ok_or(Error::Damaged)?;
        if names.contains(&name) {
            return Err(wrong("occurs twice"));
        }
        names.insert(name);
    }
    let begin = reader.read.checked_next_multiple_of(alignment).ok_or(Error::Damaged)?;
    begin.checked_add(end).ok_or(Error::Damaged)
}

/// The size of a tensor of this shape and type in bytes, or what is wrong with it.
fn content<R: BufRead>(reader: &mut Reader<R>) -> Result<Result<u64, &'static str>, Error> {
    let dimensions = reader.u32()?;
    if dimensions > DIMENSIONS_MAX {
        return Ok(Err("has more than four dimensions"));
    }
    let mut shape = [1; DIMENSIONS_MAX as usize];
    for length in shape.iter_mut().take(dimensions as usize) {
        *length = reader.u64()?;
    }
    let kind = reader.u32()?;
    let Some((numbers, bytes)) = block(kind) else { return Ok(Err("has an unknown type")) };
    if shape[0] % numbers != 0 {
        return Ok(Err("has rows that are not a multiple of its type's blocks"));
    }
    // ggml counts both in signed numbers.
    let product =
        |of: u64| shape.iter().try_fold(of, |product, &length| product.checked_mul(length));
    let fits = |number: &u64| i64::try_from(*number).is_ok();
    // A zero in the shape would make the product small although the other lengths overflow.
    let is_small = shape.iter().all(fits) && product(1).is_some_and(|number| fits(&number));
    let size = product(1).and_then(|elements| (elements / numbers).checked_mul(bytes)).filter(fits);
    Ok(size.filter(|_| is_small).ok_or("is larger than any file"))
}

/// The numbers and bytes of a block of a type; `None` for unknown and removed types (`ggml.h`, `ggml-common.h`).
const fn block(kind: u32) -> Option<(u64, u64)> {
    Some(match kind {
        // F32, I32.
        0 | 26 => (1, 4),
        // F16, I16, BF16.
        1 | 25 | 30 => (1, 2),
        // I8.
        24 => (1, 1),
        // I64, F64.
        27 | 28 => (1, 8),
        // Q4_0, IQ4_NL.
        2 | 20 => (32, 18),
        // Q4_1, Q5_0, Q5_1, Q8_0, Q8_1.
        3 => (32, 20),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        9 => (32, 36),
        // Q2_K to Q6_K, Q8_K; IQ3_S is as long as Q3_K.
        10 => (256, 84),
        11 | 21 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        15 => (256, 292),
        // IQ2_XXS, TQ2_0; IQ2_XS, IQ3_XXS, IQ1_S, IQ2_S, IQ4_XS, IQ1_M, TQ1_0.
        16 | 35 => (256, 66),
        17 => (256, 74),
        18 => (256, 98),
        19 => (256, 50),
        22 => (256, 82),
        23 => (256, 136),
        29 => (256, 56),
        34 => (256, 54),
        // MXFP4, NVFP4, Q1_0, Q2_0.
        39 => (32, 17),
        40 => (64, 36),
        41 => (128, 18),
        42 => (64, 18),
        _ => return None,
    })
}
