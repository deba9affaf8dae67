//! `element-x-client`: Element X without its screen, as a person on a device of their own.
//!
//! It is matrix-sdk and matrix-sdk-ui with the settings of the Android app. The other person may use any client: both
//! wait for each other by what they see in their rooms alone. It prints a line for each step that `MARU_STEPS` names:
//! `ok NAME`, or `not ok NAME: why`, after which it ends, since the rest needs it.

#![recursion_limit = "512"]

mod ai;
mod chat;
mod device;
mod guest;
mod host;
mod oauth;
mod walk;

use std::process::ExitCode;

use walk::{Role, Walk};

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Walk::from_environment() {
        Ok(walk) => match walk.role {
            Role::Host => host::run(&walk).await,
            Role::Guest => guest::run(&walk).await,
            Role::WithAi => ai::run(&walk).await,
        },
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}
