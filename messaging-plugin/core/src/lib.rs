//! telmeet's decisions: what a homeserver of one network decides about rooms, events, syncs and sign-in.
//!
//! No I/O, no clock, no randomness, no database: the server reads what is known inside a transaction, asks here, and
//! writes the result in the same transaction. History never forks, since there is one server: every event has one
//! predecessor, and is authorised by the current state.
//!
//! * [`person`]: user ids and display names.
//! * [`json`]: canonical JSON of what clients send, and its limits; [`event`]: an event of room version 11;
//!   [`client_event`]: an event as clients receive it; [`relation`]: edits, reactions and threads.
//! * [`state`]: the current state of a room; [`authorise`]: who may send what; [`visibility`]: who may read what;
//!   [`create`]: the first events of a room.
//! * [`token`]: positions in syncs and histories; [`filter`]: which events a client asks for; [`unread`]: what a person
//!   is notified of; [`sliding`]: connections of simplified sliding sync; [`typing`]: who is typing;
//!   [`presence`]: who is there.
//! * [`keys`]: public keys of end-to-end encryption, and their backup.
//! * [`media`]: uploaded files.
//! * [`sign_in`]: how an app gets an access token without a password.
#![forbid(unsafe_code)]

pub mod authorise;
pub mod client_event;
pub mod create;
mod error;
pub mod event;
pub mod filter;
pub mod json;
pub mod keys;
pub mod media;
pub mod person;
pub mod presence;
pub mod relation;
pub mod sign_in;
pub mod sliding;
pub mod state;
pub mod token;
pub mod typing;
pub mod unread;
pub mod visibility;

#[cfg(test)]
mod testing;

pub use error::Error;
// Its features alone: those of the tests, so that tests and programs are compiled once.
use regex_syntax as _;
