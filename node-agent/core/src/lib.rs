//! The agent's decisions: registration, network map, names, paths, packet filter. No I/O and no clock: the daemon and the
//! device pass in events and times.
#![forbid(unsafe_code)]

pub mod disco;
pub mod domain;
pub mod drops;
pub mod endpoint;
pub mod filter;
pub mod names;
pub mod netmap;
pub mod path;
pub mod registration;
pub mod request_head;
pub mod resolv_conf;
pub mod response_head;
pub mod system_resolver;
pub mod tsmp;
