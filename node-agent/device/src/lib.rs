//! TUN, UDP and WireGuard on threads of their own.
