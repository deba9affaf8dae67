//! The coordinator daemon: HTTP, Noise, SQL, STUN, relay, admin API.
