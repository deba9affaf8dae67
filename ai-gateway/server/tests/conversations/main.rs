//! Conversations that are kept, by the program itself.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]
#![allow(clippy::disallowed_methods, reason = "a test of a process waits on the real clock")]

mod full_disk;
mod killed;
mod process;
