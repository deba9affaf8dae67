//! Two devices in two network namespaces, joined by a cable and by a relay.
//!
//! Fails if packets do not arrive whole, if a path is called direct that is not, if a path that
//! breaks is not left within seconds, or if something passes that must not: from a removed peer,
//! past the filter, from an address that is not the peer's, a second time. It does not see NAT or
//! reordering; the walkthrough tests have a router. `rekey` puts the clock of the whole program forward, so tests run in a
//! process each (nextest) or one after another.
#![allow(clippy::disallowed_methods, reason = "a test in real namespaces runs on the real clock")]
#![allow(
    unsafe_code,
    reason = "raw ICMP sockets, an allocator, a clock; each use has a SAFETY comment"
)]
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

mod access;
mod allocations;
mod disco;
mod kernel;
mod loss;
mod offload;
mod own_ping;
mod pair;
mod paths;
mod ping;
mod rekey;
mod replay;
mod traffic;
mod whole;
