//! `maru watch`: what `maru-watch.service` runs. systemd watches daemons by what they tell it (`WatchdogSec=`); from a container
//! nothing of that arrives, so this asks the services in containers how they are, and kills one that hangs. Its unit starts it
//! again.
//!
//! One that closes its socket is left alone: it looks like one that stops, or has not begun to listen.
//!
//! A container may be compromised: each is asked by itself and for a limited time, and can reach no more than its own restart.

use std::{
    convert::Infallible,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use chassis::{notify, signal::Termination};
use messages::message;
use services::{Kind, SERVICES, Service};
use supervisor::ready::{self, Health};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{backup::as_root, output};

/// Time between the beginnings of two questions.
const BETWEEN: Duration = Duration::from_secs(1);
/// So many questions without an answer, of two seconds each, mean that a service hangs: at most seven seconds after it began to.
const SILENCES_MAX: u32 = 3;
/// Control groups of the units.
const GROUPS: &str = "/sys/fs/cgroup/system.slice";
/// How Podman names the control group of what runs in a container (`--cgroups=split`).
const PAYLOAD: &str = "libpod-payload-";

/// Watches the services in containers until it is stopped.
pub(crate) async fn run(root: &Path) -> anyhow::Result<ExitCode> {
    as_root("watch")?;
    let mut termination = Termination::watch().context(message!("no-signals"))?;
    let mut watches = JoinSet::new();
    for service in SERVICES.iter().filter(|service| service.kind == Kind::Container) {
        watches.spawn(watch(service, root.to_owned()));
    }
    notify::ready();
    tokio::select! {
        () = termination.asked() => Ok(ExitCode::SUCCESS),
        Some(ended) = watches.join_next() => match ended? {},
    }
}

async fn watch(service: &'static Service, root: PathBuf) -> Infallible {
    let unit = format!("{}.service", service.unit());
    let mut answers = Answers::default();
    let mut beats = interval(BETWEEN);
    // The next question follows one without an answer at once.
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        let (health, listener) = ready::ask(service, &root).await;
        if answers.hangs(health, listener) {
            output::note(message!("watch-hangs", unit = &unit));
            if let Err(error) = kill(&Path::new(GROUPS).join(&unit)) {
                output::note(message!("watch-kills-not", unit = &unit, error));
            }
        }
    }
}

/// Kills the processes of the container in a unit's control group. Podman is beside them: it notes their end, and the unit starts
/// again. A number of a process would not do, since the container could have the kernel give it to somebody else's.
fn kill(group: &Path) -> io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PAYLOAD) {
            fs::write(entry.path().join("cgroup.kill"), "1")?;
        }
    }
    Ok(())
}

/// How a service has answered so far.
#[derive(Debug, Default)]
struct Answers {
    /// The process that has answered: what starts may take long, and says nothing meanwhile.
    answered: Option<i32>,
    /// How often it has said nothing since.
    silences: u32,
}

impl Answers {
    /// Whether the service hangs, by how the process `listener` answered just now.
    fn hangs(&mut self, health: Health, listener: Option<i32>) -> bool {
        let is_same = self.answered.is_some() && (listener.is_none() || listener == self.answered);
        match health {
            Health::Ready | Health::NotReady => *self = Self { answered: listener, silences: 0 },
            Health::Silent if is_same => self.silences += 1,
            Health::Silent | Health::Away => *self = Self::default(),
        }
        self.silences == SILENCES_MAX && {
            *self = Self::default();
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After which of these answers the service was killed.
    fn killed(answers: &[(Health, Option<i32>)]) -> Vec<usize> {
        let mut before = Answers::default();
        let hangs =
            answers.iter().enumerate().filter(|(_, (health, pid))| before.hangs(*health, *pid));
        hangs.map(|(index, _)| index).collect()
    }

    #[test]
    fn a_service_that_answered_and_then_says_nothing_three_times_hangs() {
        let (ready, silent) = ((Health::Ready, Some(7)), (Health::Silent, Some(7)));
        assert_eq!(killed(&[ready, silent, silent, silent, silent, silent, silent]), [3]);
        // Its queue of connections is full.
        let full = (Health::Silent, None);
        assert_eq!(killed(&[ready, silent, full, full]), [3]);
        // Busy is not hanging.
        assert!(killed(&[ready, silent, silent, ready, silent, silent, ready]).is_empty());
        let turned_away = (Health::NotReady, Some(7));
        assert!(killed(&[turned_away, silent, silent, turned_away, silent, silent]).is_empty());
    }

    #[test]
    fn what_runs_in_the_container_is_killed_and_podman_is_not() {
        let unit = tempfile::tempdir().unwrap();
        for group in ["libpod-payload-1a2b", "runtime"] {
            fs::create_dir(unit.path().join(group)).unwrap();
        }
        kill(unit.path()).unwrap();
        let killed = |group: &str| fs::read_to_string(unit.path().join(group).join("cgroup.kill"));
        assert_eq!(killed("libpod-payload-1a2b").unwrap(), "1");
        assert!(killed("runtime").is_err() && kill(&unit.path().join("none")).is_err());
    }

    #[test]
    fn a_service_that_starts_is_left_alone() {
        let (ready, silent) = ((Health::Ready, Some(7)), (Health::Silent, Some(7)));
        let (away, other) = ((Health::Away, None), (Health::Silent, Some(8)));
        assert!(killed(&[silent, silent, silent, silent]).is_empty());
        assert!(killed(&[ready, silent, silent, away, silent, silent, silent]).is_empty());
        assert!(killed(&[ready, other, other, other, other]).is_empty());
        assert!(killed(&[(Health::Silent, None); 4]).is_empty());
    }
}
