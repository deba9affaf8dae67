//! Where the agent records what it changed in this machine, below the root: what is there while it does not run was left behind.

/// The folder; root's alone to write.
pub const FOLDER: &str = "var/lib/maru/resolver";
/// How programs are led to the agent's resolver: `METHOD INTERFACE`.
pub const RECORD: &str = "var/lib/maru/resolver/method";
/// The chain of its nftables table that lets nothing leave outside the tunnel: the kill switch of an exit node's user.
pub const KILL_SWITCH: &str = "leaving";
/// The original `/etc/resolv.conf`.
pub const RESOLV_CONF: &str = "var/lib/maru/resolver/resolv.conf.before";
