//! Public keys of end-to-end encryption (specification, client-server API, "End-to-End Encryption").
//!
//! Clients verify every key themselves, since they do not trust the server. What is checked here keeps one client's
//! mistakes from the others: a key belongs to the person and device that upload it, is signed as its kind needs, and is
//! small.
//!
//! * [`signed`]: JSON objects with signatures; [`device`]: the identity keys of a device; [`one_time`]: one-time and
//!   fallback keys; [`cross_signing`]: a person's identity.
//! * [`backup`]: backed up sessions.

pub mod backup;
pub mod cross_signing;
pub mod device;
pub mod one_time;
pub mod signed;
