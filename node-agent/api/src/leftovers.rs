//! Where the agent records what it changed in this machine, below the root: what is there while it does not run was left behind.

/// The folder; root's alone to write.
pub const FOLDER: &str = "var/lib/maru/resolver";
/// How programs are led to the agent's resolver: `METHOD INTERFACE`.
pub const RECORD: &str = "var/lib/maru/resolver/method";
/// The original `/etc/resolv.conf`.
pub const RESOLV_CONF: &str = "var/lib/maru/resolver/resolv.conf.before";
