//! The supervisor behind `maru up`: starts, watches and stops the services of the table as processes and containers.
//!
//! It takes the lock of an instance, removes what a killed run left, makes directories and images, finds out which limits this
//! machine enforces, bounds memory by control groups, and exchanges engines while chats go on. What a person types and
//! reads, and the first configuration, are `cli`'s; a [`Note`] passes sentences to it. Errors are sentences for that
//! person, as `cli`'s are.
#![allow(clippy::disallowed_methods, reason = "a supervisor is a shell: it reads the clock")]

pub mod binaries;
pub mod change;
pub mod children;
pub mod containers;
pub mod directories;
mod disk;
mod engine;
pub mod leftovers;
pub mod limits;
pub mod local;
mod lock;
mod log;
pub mod memory;
mod parameters;
pub mod ports;
mod processes;
pub mod ready;

pub use engine::Podman;
pub use lock::Lock;
pub use parameters::{Note, Parameters};
pub use processes::{Spec, Supervisor};
