//! The coordinator's decisions: registration, address allocation, map building; no I/O.
