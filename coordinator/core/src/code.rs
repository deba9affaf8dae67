//! Short codes that identify waiting devices, on their page and at the admin's terminal.
//!
//! A code is not a secret. It is derived from the random ticket of the device, so devices cannot choose it, and it does not
//! reveal the ticket.

use sha2::{Digest as _, Sha256};

/// Letters that are not confused and form no words (RFC 8628, section 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters in a code, for 2.56 * 10^10 codes.
const LEN: usize = 8;

/// The code of the device with this ticket, such as `WDJB-MJHT`.
#[must_use]
pub fn of(ticket: &str) -> String {
    let hash: [u8; 32] =
        Sha256::new_with_prefix(b"maru-waiting-code/1\0").chain_update(ticket).finalize().into();
    let number = hash.iter().take(8).fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    let mut rest = number;
    let letters = (0..LEN).map(|_| {
        let letter = LETTERS[usize::try_from(rest % 20).unwrap_or_default()];
        rest /= 20;
        char::from(letter)
    });
    written(&letters.collect::<String>())
}

/// Parses a code, in any case and with or without the dash; `None` if it is not a code.
#[must_use]
pub fn read(text: &str) -> Option<String> {
    let letters: String = text
        .chars()
        .filter(|c| *c != '-' && !c.is_whitespace())
        .map(|c| c.to_ascii_uppercase())
        .take(LEN + 1)
        .collect();
    let is_code = letters.len() == LEN && letters.bytes().all(|byte| LETTERS.contains(&byte));
    is_code.then(|| written(&letters))
}

fn written(letters: &str) -> String {
    let (first, second) = letters.split_at(LEN / 2);
    format!("{first}-{second}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = of("0123456789abcdef");

        assert_eq!((code.len(), code.as_bytes()[4]), (9, b'-'));
        for text in [code.clone(), code.to_lowercase(), code.replace('-', ""), format!(" {code} ")]
        {
            assert_eq!(read(&text), Some(code.clone()), "{text}");
        }
        for text in ["", "7", "laptop", "WDJB-MJH", "WDJB-MJHTT", "WDJB-MJHA", "마루-마루마루마루"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn each_ticket_has_a_code_and_others_have_others(one in "[0-9a-f]{32}", two in "[0-9a-f]{32}") {
            prop_assert_eq!(read(&of(&one)), Some(of(&one)));
            prop_assert_eq!(one == two, of(&one) == of(&two));
        }

        #[test]
        fn any_text_is_a_code_or_none(text in any::<String>()) {
            if let Some(code) = read(&text) {
                prop_assert_eq!(read(&code), Some(code.clone()));
            }
        }
    }
}
