//! Sign-in: discovery, the ways by which an app gets an access token, its pages, and the apps that signed in.
//!
//! The mesh says who is calling. `telmeet_core::sign_in` has the decisions.

mod account;
pub mod devices;
mod discovery;
mod guard;
mod login;
mod oauth;
mod page;
mod password;
pub mod people;
mod refused;
pub mod removal;
pub mod state;
pub mod tokens;

pub(crate) use guard::guard;

use crate::matrix::Route;

/// The endpoints.
pub(crate) fn routes() -> Vec<Route> {
    [
        discovery::routes(),
        login::routes(),
        password::routes(),
        page::routes(),
        oauth::routes(),
        account::routes(),
        devices::routes(),
        refused::routes(),
        removal::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests;
