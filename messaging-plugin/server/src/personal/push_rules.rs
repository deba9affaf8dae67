//! A person's push rules, which are stored as account data (specification, client-server API, "Push Rules").

use ruma::{UserId, events::push_rules::PushRulesEventContent, push::Ruleset};
use serde_json::value::{RawValue, to_raw_value};
use sqlx::AnyConnection;
use store::DatabaseError;

use super::account_data;
use crate::{error::Error, homeserver::Transaction, vault::Vault};

/// The type of the account data.
pub(crate) const KIND: &str = account_data::PUSH_RULES;
/// Most rules that a person has beside the defaults. An app that mutes a room makes one.
const RULES_MAX: usize = 500;

/// The rules of a person: the defaults, unless the person changed them.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`].
pub(crate) async fn read(
    connection: &mut AnyConnection,
    vault: &Vault,
    user: &UserId,
) -> Result<Ruleset, Error> {
    let defaults = Ruleset::server_default(user);
    let Some(stored) = account_data::get(connection, vault, user, None, KIND).await? else {
        return Ok(defaults);
    };
    let stored: PushRulesEventContent =
        serde_json::from_str(stored.get()).map_err(|_| DatabaseError::Row("content_sealed"))?;
    let mut rules = stored.global;
    // Those of another version have other defaults.
    rules.update_with_server_default(defaults);
    Ok(rules)
}

/// Stores the rules, which the person's syncs then show.
///
/// # Errors
///
/// [`Error::Core`] if there are too many; [`Error::Database`].
pub(crate) async fn write(
    transaction: &mut Transaction,
    user: &UserId,
    rules: &Ruleset,
) -> Result<(), Error> {
    let count = rules.iter().filter(|rule| !rule.is_server_default()).count();
    if count > RULES_MAX {
        return Err(telmeet_core::Error::TooLarge { what: "the push rules", max: "500" }.into());
    }
    account_data::set(transaction, user, None, KIND, &content(rules)?).await
}

/// As the content of account data.
///
/// # Errors
///
/// [`Error::Core`] if it cannot be written as JSON.
pub(crate) fn content(rules: &Ruleset) -> Result<Box<RawValue>, Error> {
    let content = PushRulesEventContent::new(rules.clone());
    to_raw_value(&content).map_err(|_| Error::bad_json("the push rules cannot be written as JSON"))
}
