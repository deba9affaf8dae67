//! Responses of a TPM: a header of ten bytes, and the parameters of one command (*TPM 2.0 Library*, part 1, section 18).

use std::fmt;

use tpm2_protocol::{
    basic::Tpm2b,
    constant::{MAX_ECC_KEY_BYTES, TPM_MAX_COMMAND_SIZE},
    data::{TpmCc, TpmRc, TpmRcBase, TpmSt},
    frame::{TpmResponse, TpmUnmarshalBody},
};
use zeroize::Zeroizing;

/// Longest response, in bytes.
pub const ANSWER_MAX: usize = TPM_MAX_COMMAND_SIZE;
/// Length of the header (tag, length and code) in bytes.
pub const HEADER: usize = 10;
/// Length of a coordinate on P-256 in bytes.
const COORDINATE: usize = 32;

/// A response; zeroized, since some are secret.
pub(super) type Answer = Zeroizing<Vec<u8>>;

/// A response is not a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseError {
    /// The TPM refused.
    Refused(Code),
    /// It is not a response to the command.
    Malformed,
}

/// Why a TPM refused (*TPM 2.0 Library*, part 2, section 6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    /// The code without the number of its parameter, handle or session; `None` if it is unknown.
    #[must_use]
    pub fn base(self) -> Option<TpmRcBase> {
        TpmRc::try_from(self.0).ok().map(|code| code.base())
    }
}

/// The name in the specification.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match TpmRc::try_from(self.0) {
            Ok(code) => write!(f, "{code}"),
            Err(_) => write!(f, "code {:#x}", self.0),
        }
    }
}

/// The length of a response, by its first six bytes.
///
/// # Errors
///
/// [`ResponseError::Malformed`] if it is shorter than its header or longer than [`ANSWER_MAX`].
pub fn length(start: [u8; 6]) -> Result<usize, ResponseError> {
    let [_, _, length @ ..] = start;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if (HEADER..=ANSWER_MAX).contains(&length) { Ok(length) } else { Err(ResponseError::Malformed) }
}

/// Whether the TPM was not ready, such as during its self-test, and the command must be sent again.
#[must_use]
pub fn is_not_yet(answer: &[u8]) -> bool {
    let code = answer.get(6..HEADER).and_then(|code| code.first_chunk());
    let base = code.and_then(|code| Code(u32::from_be_bytes(*code)).base());
    matches!(base, Some(TpmRcBase::Retry | TpmRcBase::Testing | TpmRcBase::Yielded))
}

/// Decodes a response of this type; `authorized` says whether the command was.
///
/// # Errors
///
/// [`ResponseError`], also for trailing bytes.
pub fn read<R: TpmUnmarshalBody>(answer: &[u8], authorized: bool) -> Result<R, ResponseError> {
    success(answer, R::CC, authorized)?.unmarshal().map_err(|_| ResponseError::Malformed)
}

/// Decodes the response of `ECDH_ZGen`: the x coordinate of the product. It is secret, so it is not copied.
///
/// # Errors
///
/// [`ResponseError`].
pub fn product(answer: &[u8]) -> Result<Zeroizing<[u8; COORDINATE]>, ResponseError> {
    type Coordinate = Tpm2b<MAX_ECC_KEY_BYTES>;
    let body = success(answer, TpmCc::EcdhZGen, true)?.body();
    // Length of the parameters, length of the point, x, y; then the session.
    let (length, rest) = body.split_first_chunk().ok_or(ResponseError::Malformed)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    let (point, x) =
        rest.get(..length).and_then(|it| it.split_first_chunk()).ok_or(ResponseError::Malformed)?;
    if usize::from(u16::from_be_bytes(*point)) != x.len() {
        return Err(ResponseError::Malformed);
    }
    let (x, y) = Coordinate::cast_prefix(x).map_err(|_| ResponseError::Malformed)?;
    Coordinate::cast(y).map_err(|_| ResponseError::Malformed)?;
    let mut product = Zeroizing::new([0; COORDINATE]);
    // Leading zeros may be omitted.
    let at = COORDINATE.checked_sub(x.data().len()).ok_or(ResponseError::Malformed)?;
    product[at..].copy_from_slice(x.data());
    Ok(product)
}

/// The frame of a successful response.
fn success(answer: &[u8], cc: TpmCc, authorized: bool) -> Result<&TpmResponse, ResponseError> {
    let malformed = |_| ResponseError::Malformed;
    let code = answer
        .get(6..HEADER)
        .and_then(|code| code.first_chunk())
        .ok_or(ResponseError::Malformed)?;
    let code = u32::from_be_bytes(*code);
    if code != 0 {
        return Err(if answer.len() == HEADER {
            ResponseError::Refused(Code(code))
        } else {
            ResponseError::Malformed
        });
    }
    let response = TpmResponse::cast(answer).map_err(malformed)?;
    response.validate(cc).map_err(malformed)?;
    let tag = if authorized { TpmSt::Sessions } else { TpmSt::NoSessions };
    if response.tag() == Ok(tag) { Ok(response) } else { Err(ResponseError::Malformed) }
}

#[cfg(test)]
mod tests;
