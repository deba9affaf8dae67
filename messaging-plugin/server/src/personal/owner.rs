//! Whose data a path names.

use ruma::UserId;

use crate::{error::Error, session::Session};

/// Checks that a path names the person who asks.
///
/// # Errors
///
/// [`Error::Core`] if it names somebody else, whether there is such a person or not.
pub(crate) fn check(session: &Session, user: &UserId) -> Result<(), Error> {
    if session.user == user {
        return Ok(());
    }
    Err(Error::forbidden("this belongs to another person"))
}
