//! What an update asks of the machine.

use std::{io, path::PathBuf};

/// The machine on which the update happens.
pub(super) trait Machine {
    /// Carries out a change of files.
    fn change(&mut self, change: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        change()
    }

    /// Whether services run.
    async fn is_running(&mut self) -> anyhow::Result<bool>;

    /// Stops everything.
    async fn stop(&mut self) -> anyhow::Result<()>;

    /// Stops everything but what carries the mesh's packets, and closes the services to it: connections between devices go on.
    async fn close(&mut self) -> anyhow::Result<()>;

    /// Starts the new version, and fails unless everything that ran is healthy and an engine answers. The services stay closed
    /// to the mesh: no message is taken by a version that may be taken back.
    async fn start_and_judge(&mut self) -> anyhow::Result<()>;

    /// Opens the services of the new version, which stays, to the mesh.
    async fn open(&mut self) -> anyhow::Result<()>;

    /// Tells the coordinator what this version offers, which a former one did not know of.
    async fn announce(&mut self) -> anyhow::Result<()>;

    /// Has the unit files read again.
    async fn reload(&mut self) -> anyhow::Result<()>;

    /// Starts the former version, whose files are in their places again.
    async fn start_former(&mut self) -> anyhow::Result<()>;

    /// The files of the installed package.
    fn package_files(&mut self) -> Vec<PathBuf>;
}
