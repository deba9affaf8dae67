//! DERP relay frames, relay server and client cores, and STUN; no I/O.
