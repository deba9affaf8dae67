//! The AI as a member of rooms: `@maru:<network>`, a Matrix client with a device of its own.
//!
//! ```text
//! telmeet ◀─ rooms/http.sock ── participant ── participant/http.sock ─▶ gateway
//!   sync, keys, messages          decrypts, decides, encrypts               settings, replies
//! ```
//!
//! It has no network and no capability. It joins rooms to which people of the network invite it, if all their members are of the
//! network, says once that it reads there, and answers: in a chat with one person always, in others where it is mentioned or
//! replied to ([`judge`]). It knows of a room what was written since it joined (in a direct chat, since it was invited), and
//! nobody's private memory or files. A reply is one message and edits of it ([`edits`]). An event is answered once, also across
//! restarts ([`ledger`]). No text is logged.
//!
//! Whoever controls telmeet can withhold, delay and reorder messages, name members of its own making, and read what is not
//! encrypted: names, reactions, who writes when. It cannot read an encrypted message, write one as somebody else, or give the AI
//! another identity of a person whom it has seen ([`device`]). A member can make the AI reply, within the gateway's limits;
//! what it can make it store is bounded ([`memory`], [`records`]).
#![allow(clippy::disallowed_methods, reason = "a daemon is a shell: it reads the clock")]

pub mod device;
pub mod edits;
pub mod gateway;
pub mod homeserver;
mod invitation;
pub mod judge;
pub mod key_store;
pub mod ledger;
pub mod memory;
pub mod participant;
pub mod records;
pub mod reply;
mod run;
mod sync;
pub mod wording;

pub use run::{RunError, endpoints, run};
