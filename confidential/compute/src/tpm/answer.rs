//! What a TPM answers: a header of ten bytes, and the parameters of one command (*TPM 2.0 Library*, part 1, section 18).

use std::fmt;

use tpm2_protocol::{
    basic::Tpm2b,
    constant::{MAX_ECC_KEY_BYTES, TPM_MAX_COMMAND_SIZE},
    data::{TpmCc, TpmRc, TpmRcBase, TpmSt},
    frame::{TpmResponse, TpmUnmarshalBody},
};
use zeroize::Zeroizing;

/// Longest answer, in bytes.
pub const ANSWER_MAX: usize = TPM_MAX_COMMAND_SIZE;
/// Bytes of the header: tag, length and code.
pub const HEADER: usize = 10;
/// Bytes of a coordinate on P-256.
const COORDINATE: usize = 32;

/// An answer, wiped after use: some are secret.
pub(super) type Answer = Zeroizing<Vec<u8>>;

/// An answer is no success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// The TPM refused.
    Refused(Code),
    /// It is no answer to what was asked.
    Malformed,
}

/// Why a TPM refused (*TPM 2.0 Library*, part 2, section 6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    /// The code without the parameter, handle or session that it is about; none if it is unknown.
    #[must_use]
    pub fn base(self) -> Option<TpmRcBase> {
        TpmRc::try_from(self.0).ok().map(|code| code.base())
    }
}

/// As the specification names it.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match TpmRc::try_from(self.0) {
            Ok(code) => write!(f, "{code}"),
            Err(_) => write!(f, "code {:#x}", self.0),
        }
    }
}

/// How many bytes an answer has, by its first six.
///
/// # Errors
///
/// [`Bad::Malformed`] if it is shorter than its header or longer than [`ANSWER_MAX`].
pub fn length(start: [u8; 6]) -> Result<usize, Bad> {
    let [_, _, length @ ..] = start;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if (HEADER..=ANSWER_MAX).contains(&length) { Ok(length) } else { Err(Bad::Malformed) }
}

/// Whether the TPM was not ready, and wants the same command once more: it tests itself, or writes down that it was started.
#[must_use]
pub fn is_not_yet(answer: &[u8]) -> bool {
    let code = answer.get(6..HEADER).and_then(|code| code.first_chunk());
    let base = code.and_then(|code| Code(u32::from_be_bytes(*code)).base());
    matches!(base, Some(TpmRcBase::Retry | TpmRcBase::Testing | TpmRcBase::Yielded))
}

/// Reads an answer of this kind; `authorized` says whether the command was.
///
/// # Errors
///
/// [`Bad`], also if a byte is left over.
pub fn read<R: TpmUnmarshalBody>(answer: &[u8], authorized: bool) -> Result<R, Bad> {
    success(answer, R::CC, authorized)?.unmarshal().map_err(|_| Bad::Malformed)
}

/// Reads the answer of `ECDH_ZGen`: the x coordinate of the product, which is secret, so that nothing copies it.
///
/// # Errors
///
/// [`Bad`].
pub fn product(answer: &[u8]) -> Result<Zeroizing<[u8; COORDINATE]>, Bad> {
    type Coordinate = Tpm2b<MAX_ECC_KEY_BYTES>;
    let body = success(answer, TpmCc::EcdhZGen, true)?.body();
    // Length of the parameters, length of the point, x, y; the session's part is behind them.
    let (length, rest) = body.split_first_chunk().ok_or(Bad::Malformed)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    let (point, x) =
        rest.get(..length).and_then(|it| it.split_first_chunk()).ok_or(Bad::Malformed)?;
    if usize::from(u16::from_be_bytes(*point)) != x.len() {
        return Err(Bad::Malformed);
    }
    let (x, y) = Coordinate::cast_prefix(x).map_err(|_| Bad::Malformed)?;
    Coordinate::cast(y).map_err(|_| Bad::Malformed)?;
    let mut product = Zeroizing::new([0; COORDINATE]);
    // One that begins with zeros may be written without them.
    let at = COORDINATE.checked_sub(x.data().len()).ok_or(Bad::Malformed)?;
    product[at..].copy_from_slice(x.data());
    Ok(product)
}

/// The frame of an answer that is a success.
fn success(answer: &[u8], cc: TpmCc, authorized: bool) -> Result<&TpmResponse, Bad> {
    let malformed = |_| Bad::Malformed;
    let code = answer.get(6..HEADER).and_then(|code| code.first_chunk()).ok_or(Bad::Malformed)?;
    let code = u32::from_be_bytes(*code);
    if code != 0 {
        return Err(if answer.len() == HEADER { Bad::Refused(Code(code)) } else { Bad::Malformed });
    }
    let response = TpmResponse::cast(answer).map_err(malformed)?;
    response.validate(cc).map_err(malformed)?;
    let tag = if authorized { TpmSt::Sessions } else { TpmSt::NoSessions };
    if response.tag() == Ok(tag) { Ok(response) } else { Err(Bad::Malformed) }
}

#[cfg(test)]
mod tests;
