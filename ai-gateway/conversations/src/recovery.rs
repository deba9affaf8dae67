//! A person's recovery code: it opens their conversations on another machine.

use std::{fmt, str::FromStr};

use zeroize::{Zeroize as _, Zeroizing};

/// Digits of a code: no `I`, `L`, `O`, `U` (Crockford's base 32).
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Bytes of a code: too many to be guessed, so that no slow derivation is needed.
const BYTES: usize = 20;
/// Digits between two dashes.
const GROUP: usize = 4;

/// A recovery code. Written, it has 32 digits in groups of four.
pub struct RecoveryCode(Zeroizing<[u8; BYTES]>);

/// The text is no recovery code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a recovery code has 32 letters and digits: look for a letter that is missing or was read as another"
)]
pub struct NotACode;

impl RecoveryCode {
    /// A new one.
    ///
    /// # Errors
    ///
    /// The system has no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        getrandom::fill(&mut *bytes)?;
        Ok(Self(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &*self.0
    }

    /// The code as text.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(BYTES * 2));
        for (index, digit) in digits(&self.0).enumerate() {
            if index > 0 && index % GROUP == 0 {
                text.push('-');
            }
            text.push(DIGITS[digit].into());
        }
        text
    }
}

/// Five bits each.
fn digits(bytes: &[u8; BYTES]) -> impl Iterator<Item = usize> {
    bytes.chunks(5).flat_map(|five| {
        let number = five.iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        (0..8).rev().map(move |digit| (number >> (5 * digit) & 31) as usize)
    })
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode([redacted])")
    }
}

impl FromStr for RecoveryCode {
    type Err = NotACode;

    /// Reads a code as people type it: in any case, with any spaces and dashes, `O` for `0`, `I` and `L` for `1`.
    fn from_str(text: &str) -> Result<Self, NotACode> {
        let (mut bytes, mut number, mut read) = (Zeroizing::new([0; BYTES]), 0_u64, 0);
        for char in text.chars().filter(|char| !char.is_whitespace() && *char != '-') {
            let char = match char.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                char => char,
            };
            let digit = DIGITS.iter().position(|&digit| char::from(digit) == char);
            number = number << 5 | digit.ok_or(NotACode)? as u64;
            read += 1;
            if read % 8 == 0 {
                let five = bytes.get_mut(read / 8 * 5 - 5..read / 8 * 5).ok_or(NotACode)?;
                five.copy_from_slice(&number.to_be_bytes()[3..]);
                number = 0;
            }
        }
        number.zeroize();
        if read == BYTES / 5 * 8 { Ok(Self(bytes)) } else { Err(NotACode) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = RecoveryCode(Zeroizing::new([0x08; BYTES]));
        let text = code.to_text();
        assert_eq!(*text, "1040-G208-1040-G208-1040-G208-1040-G208");
        let typed = text.to_lowercase().replace('-', " ").replace('1', "l").replace('0', "o");
        assert_eq!(typed.parse::<RecoveryCode>().unwrap().bytes(), code.bytes());
        for wrong in ["", "1040", &text[1..], &format!("{}1", *text), &text.replace('G', "U")] {
            assert_eq!(wrong.parse::<RecoveryCode>().map(|_| ()), Err(NotACode), "{wrong}");
        }
        assert!(!format!("{code:?}").contains("1040"));
    }

    proptest! {
        #[test]
        fn a_code_is_read_as_it_was_written(bytes: [u8; BYTES]) {
            let code = RecoveryCode(Zeroizing::new(bytes));
            let read: RecoveryCode = code.to_text().parse().unwrap();
            prop_assert_eq!(read.bytes(), bytes);
        }

        #[test]
        fn any_text_is_a_code_or_none(text: String) {
            if let Ok(code) = text.parse::<RecoveryCode>() {
                let again: RecoveryCode = code.to_text().parse().unwrap();
                prop_assert_eq!(again.bytes(), code.bytes());
            }
        }
    }
}
