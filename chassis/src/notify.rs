//! What the service manager is told (`sd_notify(3)`). Without `NOTIFY_SOCKET`, as under `maru up`, nothing happens.
//!
//! A daemon says that it is ready once its sockets listen, and from then on, several times in each `WatchdogSec=` of its unit,
//! that its runtime runs. The runtime itself says so: if it hangs, so does this, and systemd starts the daemon again.

use std::{env, io, os::fd::BorrowedFd};

use sd_notify::NotifyState;
use tokio::{
    runtime::Handle,
    time::{MissedTickBehavior, interval},
};

use crate::workers::Workers;

/// How often it is said in each period that the runtime runs.
const BEATS: u32 = 4;

/// Says that the sockets listen, and from now on that this runtime runs.
///
/// # Panics
///
/// Outside of a Tokio runtime.
pub fn ready() {
    watched(Vec::new());
}

/// Like [`ready`], and that the runtime of each of `workers` runs.
///
/// # Panics
///
/// Outside of a Tokio runtime.
pub fn ready_with(workers: &Workers) {
    watched(workers.runtimes());
}

/// Says that the daemon stops.
pub(crate) fn stopping() {
    say(&[NotifyState::Stopping]);
}

/// Leaves `fd` with the service manager as `name`, in place of what it has under this name. It hands it to the next process of
/// the unit: over a restart, not over a stop. Returns whether there is a service manager. One whose unit has no
/// `FileDescriptorStoreMax=` closes it.
///
/// # Errors
///
/// The service manager cannot be reached.
pub fn store_fd(name: &str, fd: BorrowedFd<'_>) -> io::Result<bool> {
    let name = NotifyState::FdName(name);
    sd_notify::notify(&[NotifyState::FdStoreRemove, name.clone()])?;
    // Not looked at: a TUN without an interface is readable with an error, and would be closed.
    let state = [NotifyState::FdStore, name, NotifyState::Custom("FDPOLL=0")];
    sd_notify::notify_with_fds(&state, &[fd])?;
    Ok(env::var_os("NOTIFY_SOCKET").is_some())
}

fn watched(runtimes: Vec<Handle>) {
    say(&[NotifyState::Ready]);
    let Some(period) = sd_notify::watchdog_enabled().filter(|period| !period.is_zero()) else {
        return;
    };
    tokio::spawn(async move {
        let mut beats = interval(period / BEATS);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            for runtime in &runtimes {
                // It fails only when the runtime is shut down, at the end.
                let _ = runtime.spawn(async {}).await;
            }
            say(&[NotifyState::Watchdog]);
        }
    });
}

fn say(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told {state:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::{fd::AsFd as _, unix::net::UnixDatagram},
        path::Path,
        process::{Child, Command},
        thread,
        time::Duration,
    };

    use rustix::process::{Pid, Signal, kill_process};
    use tokio::{runtime::Builder, time::sleep};

    use super::*;
    use crate::signal::Termination;

    /// Set in the daemon's process: where it waits, as a socket.
    const DAEMON: &str = "MARU_TEST_DAEMON";
    const TEST: &str = "notify::tests::a_daemon_is_watched_until_its_runtime_hangs_or_it_stops";
    /// The daemon's `WatchdogSec=`.
    const PERIOD: Duration = Duration::from_millis(400);

    /// The service manager, which this test plays.
    struct Systemd {
        folder: tempfile::TempDir,
        socket: UnixDatagram,
    }

    impl Systemd {
        fn start() -> (Self, Child) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("notify");
            let socket = UnixDatagram::bind(&path).unwrap();
            let daemon = Command::new(env::current_exe().unwrap())
                .args(["--exact", TEST])
                .env("NOTIFY_SOCKET", &path)
                .env("WATCHDOG_USEC", PERIOD.as_micros().to_string())
                .env(DAEMON, folder.path().join("daemon"))
                .spawn()
                .unwrap();
            (Self { folder, socket }, daemon)
        }

        fn heard(&self) -> io::Result<String> {
            let mut message = [0; 256];
            let len = self.socket.recv(&mut message)?;
            Ok(String::from_utf8_lossy(&message[..len]).into_owned())
        }

        /// Waits for a message, past beats.
        fn wait_for(&self, message: &str) {
            while self.heard().unwrap() != message {}
        }
    }

    /// Serves: with a message to its socket it hangs, with one to that of its other runtime that one does.
    fn daemon(socket: &Path) {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut termination = Termination::watch().unwrap();
            let workers = Workers::start(2.try_into().unwrap()).unwrap();
            let runtimes = workers.runtimes();
            for (runtime, name) in runtimes.iter().zip(["own", "other"]) {
                let socket = UnixDatagram::bind(socket.with_extension(name)).unwrap();
                socket.set_nonblocking(true).unwrap();
                runtime.spawn(async move {
                    let socket = tokio::net::UnixDatagram::from_std(socket).unwrap();
                    socket.recv(&mut [0]).await.unwrap();
                    say(&[NotifyState::Status("hangs")]);
                    loop {
                        thread::park();
                    }
                });
            }
            ready_with(&workers);
            termination.asked().await;
            sleep(PERIOD).await;
        });
    }

    #[test]
    fn a_daemon_is_watched_until_its_runtime_hangs_or_it_stops() {
        if let Some(socket) = env::var_os(DAEMON) {
            return daemon(Path::new(&socket));
        }
        for hanging in ["own", "other"] {
            let (systemd, mut daemon) = Systemd::start();
            assert_eq!(systemd.heard().unwrap(), "READY=1\n", "before anything else");
            for _ in 0..8 {
                assert_eq!(systemd.heard().unwrap(), "WATCHDOG=1\n");
            }
            let knock = UnixDatagram::unbound().unwrap();
            knock
                .send_to(b"x", systemd.folder.path().join("daemon").with_extension(hanging))
                .unwrap();
            systemd.wait_for("STATUS=hangs\n");
            // One may have been on its way.
            systemd.socket.set_read_timeout(Some(PERIOD)).unwrap();
            let late = (0..4).take_while(|_| systemd.heard().is_ok()).count();
            daemon.kill().unwrap();
            daemon.wait().unwrap();
            assert!(late <= 1, "{hanging} runtime hangs, and yet {late} times it runs");
        }
        let (systemd, mut daemon) = Systemd::start();
        systemd.wait_for("WATCHDOG=1\n");
        kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
        systemd.wait_for("STOPPING=1\n");
        // It still runs, and says so, while it stops.
        assert_eq!(systemd.heard().unwrap(), "WATCHDOG=1\n");
        assert!(daemon.wait().unwrap().success());
    }

    #[tokio::test]
    async fn without_a_service_manager_nothing_is_said() {
        assert!(env::var_os("NOTIFY_SOCKET").is_none());
        ready();
        stopping();
        assert!(!store_fd("tun", io::stdin().as_fd()).unwrap());
    }
}
