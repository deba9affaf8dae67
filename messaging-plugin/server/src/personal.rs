//! What belongs to one person: account data, push rules, receipts, the profile; and what people see of each other outside
//! events: who is typing and who is there, profiles, the directory of the network's people.

pub(crate) mod account_data;
mod config;
mod export;
pub(crate) mod filters;
mod forget;
mod owner;
pub(crate) mod presence;
pub(crate) mod profile;
pub(crate) mod push_rules;
mod push_rules_api;
mod pushers;
pub(crate) mod receipts;
pub(crate) mod typing;

pub(crate) use self::forget::forget_person;
use crate::matrix::Route;

/// The endpoints of this part.
pub(crate) fn routes() -> Vec<Route> {
    [
        config::routes(),
        export::routes(),
        filters::routes(),
        presence::routes(),
        profile::routes(),
        push_rules_api::routes(),
        pushers::routes(),
        receipts::routes(),
        typing::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests;
