//! What is a person's alone is deleted.

use ruma::UserId;

use crate::{error::Error, homeserver::Transaction};

/// Deletes the account data, receipts and filters of a person who was removed.
///
/// # Errors
///
/// [`Error::Database`].
pub(crate) async fn forget_person(tx: &mut Transaction, user: &UserId) -> Result<(), Error> {
    for query in [
        "DELETE FROM account_data WHERE user_id = $1",
        "DELETE FROM receipts WHERE user_id = $1",
        "DELETE FROM filters WHERE user_id = $1",
    ] {
        sqlx::query(query).bind(user.as_str()).execute(tx.connection()).await?;
    }
    Ok(())
}
