//! Random texts: ids and secrets.

use ruma::{OwnedRoomId, RoomId};

use crate::error::Error;

/// Letters and digits; 64 of them, so that each takes six bits of a random byte.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Characters of an id: 132 bits.
const ID: usize = 22;
/// Characters of a secret, such as an access token: 258 bits.
const SECRET: usize = 43;

/// Characters of a push message's id.
pub const MESSAGE_ID: usize = 12;

/// A text that nobody guesses, for ids.
///
/// # Errors
///
/// [`Error::Seal`] if the system has no random bytes, as for the other functions.
pub fn id() -> Result<String, Error> {
    text(ID)
}

/// A text that nobody guesses, for access tokens.
pub fn secret() -> Result<String, Error> {
    text(SECRET)
}

/// The id of a push message: letters and digits alone, as ntfy's have.
pub fn message_id() -> Result<String, Error> {
    let number = number()? >> 16;
    Ok(format!("{number:0MESSAGE_ID$x}"))
}

/// The id of a new room.
pub fn room_id(network: &str) -> Result<OwnedRoomId, Error> {
    let id = format!("!{}:{network}", id()?);
    RoomId::parse(id).map_err(|_| Error::invalid("the network's name does not make a room id"))
}

/// Random bytes.
///
/// # Errors
///
/// [`Error::Seal`] if the system has none.
pub fn bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(store::seal::SealError::Random)?;
    Ok(bytes)
}

/// A number that nobody guesses.
pub fn number() -> Result<u64, Error> {
    Ok(u64::from_le_bytes(bytes()?))
}

fn text(length: usize) -> Result<String, Error> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(store::seal::SealError::Random)?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 64)])).collect())
}
