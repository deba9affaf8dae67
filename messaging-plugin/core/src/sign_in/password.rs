//! One-time passwords, which `maru rooms login` shows for apps that know no other way to sign in.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use ruma::{OwnedUserId, UserId};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Error;

/// How long a password lives.
pub const PASSWORD_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// Wrong passwords after which the right one is void, too. It has 80 bits, so this only stops typing errors.
pub const ATTEMPTS_MAX: u32 = 5;

/// Letters and digits that are not mistaken for each other (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of a password; five bits each.
const LENGTH: usize = 16;

/// The passwords that are not used yet: one at most for each person.
#[derive(Debug, Default)]
pub struct OneTimePasswords {
    passwords: HashMap<OwnedUserId, Entry>,
}

#[derive(Debug)]
struct Entry {
    hash: [u8; 32],
    until: Instant,
    attempts: u32,
}

impl OneTimePasswords {
    /// Makes a password for a person from random bytes: four groups of four characters. It voids the one before.
    pub fn issue(&mut self, person: OwnedUserId, random: [u8; LENGTH], now: Instant) -> String {
        self.passwords.retain(|_, entry| now < entry.until);
        let characters = random.map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        let plain: String = characters.iter().collect();
        let entry = Entry {
            hash: Sha256::digest(&plain).into(),
            until: now + PASSWORD_LIFETIME,
            attempts: 0,
        };
        self.passwords.insert(person, entry);
        let groups: Vec<String> =
            characters.chunks(4).map(|group| group.iter().collect()).collect();
        groups.join("-")
    }

    /// Uses a password to sign in as `person`, from a node whose owner is `owner`. Upper and lower case are the same,
    /// and spaces and hyphens mean nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`], in the same words whatever was wrong. A try from somebody else's node changes nothing, so
    /// that nobody voids another person's password.
    pub fn redeem(
        &mut self,
        person: &UserId,
        owner: &UserId,
        text: &str,
        now: Instant,
    ) -> Result<(), Error> {
        let refused = || {
            Error::Forbidden(
                "the password is unknown, used or expired, or is for another person".to_owned(),
            )
        };
        let entry =
            self.passwords.get_mut(person).filter(|_| person == owner).ok_or_else(refused)?;
        let is_right =
            bool::from(Sha256::digest(normal(text)).ct_eq(&entry.hash)) && now < entry.until;
        entry.attempts += 1;
        if is_right || entry.attempts >= ATTEMPTS_MAX {
            self.passwords.remove(person);
        }
        is_right.then_some(()).ok_or_else(refused)
    }

    /// Voids the password of a person, such as one who was removed.
    pub fn remove(&mut self, person: &UserId) {
        self.passwords.remove(person);
    }
}

/// The password as it was made, however it was typed. Longer texts are cut: they are wrong anyway.
fn normal(text: &str) -> String {
    let typed = text.chars().filter(|c| !c.is_whitespace() && *c != '-').take(LENGTH + 1);
    typed
        .map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{ATTEMPTS_MAX, OneTimePasswords, PASSWORD_LIFETIME};
    use crate::{Error, testing::user};

    #[allow(clippy::disallowed_methods)]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_password_works_once() {
        let (mut passwords, now, kim) = (OneTimePasswords::default(), now(), user("kim"));
        let text = passwords.issue(
            kim.clone(),
            [0, 1, 2, 3, 30, 31, 32, 33, 40, 41, 42, 43, 252, 253, 254, 255],
            now,
        );
        assert_eq!(text, "0123-YZ01-89AB-WXYZ");
        assert_eq!(passwords.redeem(&kim, &kim, &text, now), Ok(()));
        assert!(matches!(passwords.redeem(&kim, &kim, &text, now), Err(Error::Forbidden(_))));
    }

    #[test]
    fn it_may_be_typed_in_any_way() {
        for typed in ["0123-yz01-89ab-wxyz", "o123 yz0l 89AB wxyz", " OI23YZ0189ABWXYZ "] {
            let (mut passwords, now, kim) = (OneTimePasswords::default(), now(), user("kim"));
            passwords.issue(
                kim.clone(),
                [0, 1, 2, 3, 30, 31, 32, 33, 40, 41, 42, 43, 252, 253, 254, 255],
                now,
            );
            assert_eq!(passwords.redeem(&kim, &kim, typed, now), Ok(()), "{typed}");
        }
    }

    #[test]
    fn it_lives_ten_minutes_and_until_the_next() {
        let (kim, start) = (user("kim"), now());
        for (age, is_good) in
            [(PASSWORD_LIFETIME - Duration::from_millis(1), true), (PASSWORD_LIFETIME, false)]
        {
            let mut passwords = OneTimePasswords::default();
            let text = passwords.issue(kim.clone(), [7; 16], start);
            assert_eq!(passwords.redeem(&kim, &kim, &text, start + age).is_ok(), is_good);
        }
        let mut passwords = OneTimePasswords::default();
        let old = passwords.issue(kim.clone(), [7; 16], start);
        let new = passwords.issue(kim.clone(), [8; 16], start);
        assert!(passwords.redeem(&kim, &kim, &old, start).is_err());
        assert!(passwords.redeem(&kim, &kim, &new, start).is_ok());
        passwords.issue(kim.clone(), [9; 16], start);
        passwords.issue(user("min"), [9; 16], start + PASSWORD_LIFETIME);
        assert_eq!(passwords.passwords.len(), 1, "expired passwords are forgotten");
    }

    #[test]
    fn it_works_from_the_persons_nodes_alone() {
        let (mut passwords, now, kim, min) =
            (OneTimePasswords::default(), now(), user("kim"), user("min"));
        let text = passwords.issue(kim.clone(), [7; 16], now);
        for _ in 0..2 * ATTEMPTS_MAX {
            assert!(passwords.redeem(&kim, &min, &text, now).is_err());
            assert!(passwords.redeem(&min, &min, &text, now).is_err());
        }
        assert!(passwords.redeem(&kim, &kim, &text, now).is_ok());
        let text = passwords.issue(kim.clone(), [7; 16], now);
        passwords.remove(&kim);
        assert!(passwords.redeem(&kim, &kim, &text, now).is_err());
    }

    #[test]
    fn guesses_are_counted() {
        let (kim, now) = (user("kim"), now());
        for (wrong, is_good) in [(ATTEMPTS_MAX - 1, true), (ATTEMPTS_MAX, false)] {
            let mut passwords = OneTimePasswords::default();
            let text = passwords.issue(kim.clone(), [7; 16], now);
            for _ in 0..wrong {
                assert!(passwords.redeem(&kim, &kim, "0000", now).is_err());
            }
            assert_eq!(passwords.redeem(&kim, &kim, &text, now).is_ok(), is_good);
        }
    }

    proptest! {
        #[test]
        fn no_other_text_works(text in ".{0,30}|[0-9A-Z-]{15,20}", random: [u8; 16]) {
            let (mut passwords, now, kim) = (OneTimePasswords::default(), now(), user("kim"));
            let issued = passwords.issue(kim.clone(), random, now);
            let is_good = super::normal(&text) == issued.replace('-', "");
            prop_assert_eq!(passwords.redeem(&kim, &kim, &text, now).is_ok(), is_good);
        }
    }
}
