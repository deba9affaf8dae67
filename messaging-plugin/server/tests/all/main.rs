//! The program itself.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]
#![allow(clippy::disallowed_methods, reason = "a test of a process waits on the real clock")]

mod daemon;
mod killed;
mod process;
mod thumbnails;
