//! The participant's process between a real telmeet and a scripted gateway, met by people with devices of their own.
//!
//! They fail if an encrypted chat is not answered, if a restart changes the AI's identity or answers a message twice, if a
//! reply that was interrupted stays open, or if text is found on the participant's disk. They do not see what stock apps show.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "nothing to do but fail")]
#![allow(clippy::disallowed_methods, reason = "tests of daemons run on the real clock")]

mod direct;
mod gateway;
mod group;
mod home;
mod hostile;
mod interrupted;
mod person;
mod strangers;
mod versions;
