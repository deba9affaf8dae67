//! Jobs that systemd starts by timers.

/// Folder of the daily backups if nobody chose another one, below the root.
pub const BACKUPS: &str = "var/backups/maru";
/// Where the folder of the daily backups may be: the unit sees no other place to write.
pub const BACKUP_PLACES: &[&str] = &["/var/backups", "/mnt", "/media", "/srv"];

/// A job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// The name of its units, after `maru-`.
    pub name: &'static str,
    /// What it does, for people.
    pub description: &'static str,
    /// Command and arguments of `maru`.
    pub(crate) command: &'static str,
    /// Whether a device that is no home has it too.
    pub(crate) on_devices: bool,
    /// A file without which there is nothing to do.
    pub(crate) needs: Option<&'static str>,
    pub(crate) capabilities: &'static str,
    pub(crate) memory_mib: u64,
    /// Folders where it may write.
    pub(crate) writable: &'static [&'static str],
}

/// Every job; each runs once a day, or at the next start if the machine was off.
pub const JOBS: &[Job] = &[
    Job {
        name: "backup",
        description: "Maru: makes a backup, and restores it beside",
        command: "backup --verify",
        on_devices: false,
        needs: Some("/etc/maru/coordinator.toml"),
        // To read what is each daemon's and restore it beside, and to ask each one's program as its user.
        capabilities: "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_SETGID CAP_SETPCAP CAP_SETUID",
        memory_mib: 1024,
        writable: BACKUP_PLACES,
    },
    Job {
        name: "notices",
        description: "Maru: notes what expires soon",
        command: "notices",
        on_devices: true,
        needs: None,
        // To read certificates that are a daemon's.
        capabilities: "CAP_DAC_READ_SEARCH",
        memory_mib: 128,
        writable: &[],
    },
];

impl Job {
    /// The name of its timer.
    #[must_use]
    pub fn timer(&self) -> String {
        format!("maru-{}.timer", self.name)
    }

    /// The name of its service.
    #[must_use]
    pub fn service(&self) -> String {
        format!("maru-{}.service", self.name)
    }
}
