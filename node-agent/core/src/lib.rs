//! The agent's decisions: registration, network map, names, paths, peers, packet filter; no I/O.
//!
//! Nothing here opens a socket or reads a clock: the daemon and the device do, and pass
//! in what they saw and when.
#![forbid(unsafe_code)]

pub mod answer;
pub mod domain;
pub mod drops;
pub mod endpoint;
pub mod filter;
pub mod names;
pub mod netmap;
pub mod path;
pub mod registration;
pub mod resolv_conf;
