//! Runs processes, and restarts them until they are stopped.
//!
//! ```text
//!            spawned                exit
//!   Waiting ─────────▶ Running ───────────────▶ Waiting (twice as long, at most 30 s)
//!      │                  │
//!      └──── stop ────────┴──▶ SIGTERM, 8 s, SIGKILL ──▶ gone
//! ```
//!
//! A service that exceeds its [`DiskQuota`] is stopped, and not started until it is below the quota.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use chassis::failure::Failure;
use messages::{Message, message};
use rustix::process::{Pid, Signal, kill_process};
use services::{Service, Stage};
use tokio::{
    io::AsyncRead,
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};

use crate::{
    disk::DiskQuota,
    lock::Lock,
    log::{Lines, Log, is_warning, record},
    parameters::Note,
};

const WAIT_MIN: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(30);
/// After a run of this length the wait before the next start is short again.
const SETTLED: Duration = Duration::from_secs(60);
/// How long a process may take to stop.
const STOP: Duration = Duration::from_secs(8);
/// How many last lines of a service are shown when it fails.
const LAST_LINES: usize = 6;

/// What to run.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Name of the service.
    pub(crate) name: &'static str,
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// The whole environment; `None` inherits it.
    pub(crate) environment: Option<Vec<(String, String)>>,
    /// The stage in which it starts and stops.
    pub(crate) stage: Stage,
    /// Its disk quota.
    pub(crate) disk: DiskQuota,
}

impl Spec {
    /// The spec of `service` in the instance at `root`.
    pub(crate) fn of(
        service: &Service,
        root: &Path,
        command: Vec<String>,
        environment: Option<Vec<(String, String)>>,
    ) -> Self {
        let disk = DiskQuota::of(service, root);
        Self { name: service.name, command, environment, stage: service.start, disk }
    }
}

/// The state of a service.
#[derive(Clone, Debug, Default)]
struct State {
    /// How often it exited by itself.
    exits: u32,
    /// Its last lines at the last exit.
    last: String,
    /// Why it exited, if it printed a failure record.
    failure: Option<Failure>,
}

impl State {
    /// Why the service of this name does not start.
    fn reason(&self, name: &str) -> Message {
        match &self.failure {
            Some(Failure { failure }) => message!("service-refuses-start", name, failure),
            None => message!("service-does-not-start", name, output = self.last),
        }
    }
}

/// The last output of a process.
#[derive(Debug, Default)]
struct LastOutput {
    lines: VecDeque<String>,
    failure: Option<Failure>,
}

/// All services of a run.
pub struct Supervisor {
    logs: PathBuf,
    verbose: bool,
    note: Note,
    lock: Arc<Mutex<Lock>>,
    settled: Arc<AtomicBool>,
    running: Vec<RunningService>,
}

struct RunningService {
    name: &'static str,
    stage: Stage,
    state: watch::Receiver<State>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// A supervisor without services.
    pub fn new(root: &Path, lock: Lock, verbose: bool, note: Note) -> anyhow::Result<Self> {
        let logs = root.join("var/log/maru");
        std::fs::create_dir_all(&logs)
            .with_context(|| message!("directory-not-made", path = logs.display()))?;
        Ok(Self {
            logs,
            verbose,
            note,
            lock: Arc::new(Mutex::new(lock)),
            settled: Arc::default(),
            running: Vec::new(),
        })
    }

    /// Starts a service.
    pub fn start(&mut self, spec: Spec) -> anyhow::Result<()> {
        let log = Log::open(&self.logs, spec.name)?;
        let (state_in, state) = watch::channel(State::default());
        let (stop, stopped) = watch::channel(false);
        let (name, stage) = (spec.name, spec.stage);
        let runner = Runner {
            spec,
            log: Arc::new(Mutex::new(log)),
            verbose: self.verbose,
            note: self.note,
            lock: Arc::clone(&self.lock),
            settled: Arc::clone(&self.settled),
            state: state_in,
            stopped,
        };
        let task = tokio::spawn(runner.run());
        self.running.push(RunningService { name, stage, state, stop, task });
        Ok(())
    }

    /// Waits until `probe` succeeds; fails as soon as any service exits.
    pub async fn ready<F: Future<Output = bool>>(
        &self,
        name: &str,
        patience: Duration,
        probe: impl Fn() -> F,
    ) -> anyhow::Result<()> {
        self.wait(name, patience, probe, |_| true).await
    }

    /// The same while others run that were ready before; their exits are ignored.
    pub(crate) async fn ready_again<F: Future<Output = bool>>(
        &self,
        name: &str,
        patience: Duration,
        probe: impl Fn() -> F,
    ) -> anyhow::Result<()> {
        self.wait(name, patience, probe, |other| other == name).await
    }

    async fn wait<F: Future<Output = bool>>(
        &self,
        name: &str,
        patience: Duration,
        probe: impl Fn() -> F,
        must_run: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        let log = self.logs.join(format!("{name}.log"));
        while !probe().await {
            for running in self.running.iter().filter(|running| must_run(running.name)) {
                let state = running.state.borrow();
                if state.exits > 0 {
                    bail!(state.reason(running.name));
                }
            }
            if started.elapsed() > patience {
                let patience = format!("{patience:?}");
                bail!(message!("service-takes-too-long", name, patience, log = log.display()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Marks the start as complete: from now on a crash is reported and the service restarted.
    pub fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    /// Stops one service, if it runs. If the future is dropped early, the service stays in the list.
    pub(crate) async fn stop(&mut self, name: &str) {
        let Some(at) = self.running.iter().position(|running| running.name == name) else { return };
        let running = &mut self.running[at];
        let _ = running.stop.send(true);
        let _ = (&mut running.task).await;
        self.running.remove(at);
    }

    /// Stops every service, stage by stage, the last stage first.
    pub async fn stop_all(&mut self) {
        while let Some(last) = self.running.iter().map(|running| running.stage).max() {
            let group: Vec<_> =
                self.running.extract_if(.., |running| running.stage == last).collect();
            for running in &group {
                let _ = running.stop.send(true);
            }
            for running in group {
                let _ = running.task.await;
            }
        }
    }

    /// Empties the pid file.
    pub fn release(&self) -> anyhow::Result<()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).release()
    }
}

/// Keeps one service running.
struct Runner {
    spec: Spec,
    log: Arc<Mutex<Log>>,
    verbose: bool,
    note: Note,
    lock: Arc<Mutex<Lock>>,
    settled: Arc<AtomicBool>,
    state: watch::Sender<State>,
    stopped: watch::Receiver<bool>,
}

impl Runner {
    async fn run(mut self) {
        let mut wait = WAIT_MIN;
        loop {
            let started = Instant::now();
            let outcome = self.once().await;
            let Some(why) = outcome else { return };
            if started.elapsed() > SETTLED {
                wait = WAIT_MIN;
            }
            if self.settled.load(Ordering::Relaxed) {
                let seconds = format!("{:.1}", wait.as_secs_f32());
                (self.note)(&message!("service-restarts", name = self.spec.name, why, seconds));
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop_requested(&mut self.stopped) => return,
            }
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    /// Runs the process once; `None` if it was stopped, else why it exited.
    async fn once(&mut self) -> Option<Message> {
        let last = Arc::new(Mutex::new(LastOutput::default()));
        if let Some(why) = self.spec.disk.look().await {
            return Some(self.refused(why, &last));
        }
        let mut child = match self.spawn() {
            Ok(child) => child,
            Err(error) => return Some(self.ended(message!("process-not-started", error), &last)),
        };
        if let Some(pid) = child.id() {
            let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = lock.started(self.spec.name, pid) {
                (self.note)(&format!("{error:#}").into());
            }
        }
        let mut pumps = Vec::new();
        pumps.extend(child.stdout.take().map(|out| tokio::spawn(self.pump(out, &last))));
        pumps.extend(child.stderr.take().map(|out| tokio::spawn(self.pump(out, &last))));
        let status = tokio::select! {
            status = child.wait() => Some(status),
            () = stop_requested(&mut self.stopped) => None,
            why = self.spec.disk.fills() => {
                end(&mut child).await;
                return Some(self.refused(why, &last));
            }
        };
        let Some(status) = status else {
            end(&mut child).await;
            return None;
        };
        for pump in pumps {
            // Its children may keep the pipe open; its own output is complete by then.
            let _ = tokio::time::timeout(Duration::from_millis(500), pump).await;
        }
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        Some(self.ended(message!("process-ended", status), &last))
    }

    /// Records an exit for a reason of the supervisor's; its output does not matter.
    fn refused(&self, why: Message, last: &Mutex<LastOutput>) -> Message {
        let failure = Some(Failure { failure: why.to_string() });
        *last.lock().unwrap_or_else(PoisonError::into_inner) =
            LastOutput { lines: VecDeque::new(), failure };
        self.ended(why, last)
    }

    fn ended(&self, why: Message, last: &Mutex<LastOutput>) -> Message {
        let LastOutput { lines, failure } =
            std::mem::take(&mut *last.lock().unwrap_or_else(PoisonError::into_inner));
        let text = if lines.is_empty() {
            why.to_string()
        } else {
            lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
        };
        self.state.send_modify(|state| {
            state.exits += 1;
            state.last = text;
            state.failure = failure;
        });
        why
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let (program, args) =
            self.spec.command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        // A group of its own: Ctrl-C reaches the supervisor alone, which stops all in order.
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .current_dir("/")
            .process_group(0)
            .kill_on_drop(true);
        // Logs are for files; escape sequences are for terminals.
        command.env("NO_COLOR", "1");
        if let Some(environment) = &self.spec.environment {
            command.env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
        }
        command.spawn()
    }

    /// Copies a process's output to its log, and warnings to the terminal.
    fn pump(
        &self,
        from: impl AsyncRead + Unpin + Send + 'static,
        last: &Arc<Mutex<LastOutput>>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (name, verbose, note) = (self.spec.name, self.verbose, self.note);
        let (log, last) = (Arc::clone(&self.log), Arc::clone(last));
        async move {
            let mut lines = Lines::new(from);
            while let Some(line) = lines.next().await {
                if let Some(failure) = record(&line) {
                    last.lock().unwrap_or_else(PoisonError::into_inner).failure = Some(failure);
                    continue;
                }
                log.lock().unwrap_or_else(PoisonError::into_inner).write(&line);
                if verbose || is_warning(&line) {
                    note(&format!("{name}: {line}").into());
                }
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                last.lines.push_back(line);
                if last.lines.len() > LAST_LINES {
                    last.lines.pop_front();
                }
            }
        }
    }
}

/// Completes when the service is stopped, or the supervisor is gone.
async fn stop_requested(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Ends a process: SIGTERM, then SIGKILL.
async fn end(child: &mut Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(STOP, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

#[cfg(test)]
mod tests;
