//! The supervisor behind `maru up`: starts, watches and stops the services of the table as processes and containers.
//!
//! It takes the lock of an instance, removes what a killed run left, makes directories and images, detects which limits this
//! machine enforces, bounds memory by control groups, and changes the engines' model while chats go on. The command line
//! and the first configuration are in `cli`; a [`Note`] shows sentences there. Errors are sentences for the administrator,
//! as in `cli`, and no function documents them again.
#![allow(
    clippy::missing_errors_doc,
    reason = "an error is one sentence that says what failed and what to do"
)]
#![allow(clippy::disallowed_methods, reason = "a supervisor is a shell: it reads the clock")]

pub mod binaries;
pub mod change;
pub mod containers;
pub mod directories;
mod disk;
mod engine;
pub mod leftovers;
pub mod limits;
pub mod local;
mod lock;
pub mod log;
pub mod memory;
mod parameters;
pub mod ports;
mod processes;
pub mod ready;

pub use engine::Podman;
pub use lock::Lock;
pub use parameters::{Note, Parameters};
pub use processes::{Spec, Supervisor};
