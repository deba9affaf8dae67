//! Wire types of Tailscale's control protocol, keys, Noise handshake and frames.
