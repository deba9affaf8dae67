//! User ids and display names of the network's people.
//!
//! A person's localpart is chosen from the login when telmeet first hears of the person. The caller stores it, never changes it, and
//! never gives it to anybody else, even after the person was removed.

use common::foreign;
use ruma::{OwnedUserId, UserId};

use crate::Error;

/// Longest localpart, in bytes. With the longest network name (200 bytes) a user id stays below its 255 bytes.
pub const LOCALPART_MAX: usize = 50;

/// Longest user id, in bytes (specification, appendices, "User Identifiers"). `ruma` checks it only where nothing turns on its
/// feature for longer ids, as `matrix-sdk-crypto` does.
const ID_MAX: usize = 255;

/// Longest display name, in characters.
pub const DISPLAY_NAME_MAX: usize = 100;

/// The AI's localpart.
pub const PARTICIPANT: &str = "maru";

/// Localparts that no person gets: the AI's, and those that look like a part of the system.
const RESERVED: [&str; 9] = [
    "admin",
    "home",
    PARTICIPANT,
    "maru-participant",
    "notices",
    "root",
    "server",
    "system",
    "telmeet",
];

/// The localpart for a login without a usable character.
const FALLBACK: &str = "person";

/// Chooses a localpart for a person who is new.
///
/// It is the part of the login before `@`, in lower case, with the characters that a localpart may have
/// (specification, appendices, "User Identifiers"; without `/` and `+`, which some clients do not escape in links). A
/// reserved or taken one gets a number: `kim-2`, and for `maru`, which would look like the AI with a number,
/// `person-maru`.
pub fn localpart(login: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let local = login.split('@').next().unwrap_or_default();
    let usable = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._=-".contains(c);
    let text: String =
        local.chars().map(|c| c.to_ascii_lowercase()).filter(|&c| usable(c)).collect();
    let text = text.trim_start_matches(['.', '_', '=', '-']);
    let base = if text.is_empty() {
        FALLBACK.to_owned()
    } else if is_reserved(text) {
        format!("{FALLBACK}-{text}")
    } else {
        text.to_owned()
    };
    // A localpart is ASCII, so each byte is a character.
    let cut = |suffix: &str| {
        let room = LOCALPART_MAX.saturating_sub(suffix.len()).min(base.len());
        format!("{}{suffix}", &base[..room])
    };
    let numbered = (2_u64..).map(|number| cut(&format!("-{number}")));
    std::iter::once(cut("")).chain(numbered).find(|name| !is_taken(name)).unwrap_or_default()
}

/// Whether no person can have this localpart.
#[must_use]
pub fn is_reserved(localpart: &str) -> bool {
    RESERVED.contains(&localpart)
}

/// The user id of a localpart in a network.
///
/// # Errors
///
/// [`Error::InvalidParam`] if the two do not make a user id.
pub fn user_id(localpart: &str, network: &str) -> Result<OwnedUserId, Error> {
    let id = format!("@{localpart}:{network}");
    let id = if id.len() > ID_MAX { None } else { UserId::parse(id).ok() };
    id.ok_or_else(|| Error::InvalidParam("this is not a user id of the network".to_owned()))
}

/// A display name without characters that make it look like another or change the text around it: control characters,
/// those that change the direction of text, and those without a width. Spaces are single, and none is at an end.
///
/// Joiners (U+200C, U+200D) stay between characters beyond ASCII, where scripts and emoji need them. `None` if nothing
/// is left: the localpart is shown instead.
#[must_use]
pub fn display_name(text: &str) -> Option<String> {
    let mut name = String::new();
    let mut count = 0;
    let mut is_space_pending = false;
    let mut is_joiner_pending = None;
    for c in text.chars() {
        if is_joiner(c) {
            is_joiner_pending = name.chars().last().filter(|last| !last.is_ascii()).map(|_| c);
            continue;
        }
        if c.is_whitespace() {
            is_space_pending = !name.is_empty();
            continue;
        }
        if foreign::steers(c) || is_invisible(c) {
            continue;
        }
        let space = std::mem::take(&mut is_space_pending).then_some(' ');
        let joiner = is_joiner_pending.take().filter(|_| space.is_none() && !c.is_ascii());
        let added = [space, joiner, Some(c)];
        count += added.iter().flatten().count();
        if count > DISPLAY_NAME_MAX {
            break;
        }
        name.extend(added.into_iter().flatten());
    }
    (!name.is_empty()).then_some(name)
}

/// Whether a character joins or separates its neighbours and has no width itself.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Whether a character is shown as nothing, so that two names that differ by it look the same: format characters
/// (Unicode category Cf) and fillers of Hangul.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}' | '\u{200b}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests;
