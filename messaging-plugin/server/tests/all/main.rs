//! The program itself.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]
#![allow(clippy::disallowed_methods, reason = "a test of a process waits on the real clock")]

mod bad_network;
mod daemon;
mod full_disk;
mod killed;
mod process;
mod room;
mod thumbnails;
