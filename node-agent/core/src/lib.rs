//! The agent's decisions: paths, peers, packet filter, names; no I/O.
