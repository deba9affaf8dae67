//! Runs the binary.

use std::{
    env,
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output},
    time::{Duration, Instant},
};

use llm_backend::{Backend as _, Health, OpenAiCompatible, Settings, Slot};
use serde_json::Value;
use tempfile::TempDir;

/// The engine.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_maru-llm");

/// The model file.
pub(crate) fn model() -> PathBuf {
    env::var_os("MARU_TEST_MODEL")
        .map(PathBuf::from)
        .unwrap_or_else(|| panic!("set MARU_TEST_MODEL to a GGUF file"))
}

/// Runs it where it must fail, and returns its exit status and what it wrote.
pub(crate) fn fail(arguments: &[&str]) -> (Option<i32>, String) {
    let root = tempfile::tempdir().unwrap();
    let mut command = Command::new(BINARY);
    if !arguments.contains(&"--root") {
        command.arg("--root").arg(root.path());
    }
    let Output { status, stderr, .. } = command.args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// A running engine, stopped on drop.
pub(crate) struct Engine {
    child: Child,
    root: TempDir,
}

impl Engine {
    /// Starts it and waits until the model is loaded.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let engine = Self::of(tempfile::tempdir().unwrap(), &model(), arguments);
        let begin = Instant::now();
        while !engine.is_ready().await {
            assert!(begin.elapsed() < Duration::from_secs(60), "not ready: {}", engine.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        engine
    }

    /// Starts it with a model, and waits for nothing.
    pub(crate) fn of(root: TempDir, model: &Path, arguments: &[&str]) -> Self {
        let file = |name: &str| File::create(root.path().join(name)).unwrap();
        let child = Command::new(BINARY)
            .arg("--root")
            .arg(root.path())
            .arg("--model")
            .arg(model)
            .args(["--alias", "smollm2", "--threads", "1"])
            .args(arguments)
            .stdout(file("output"))
            .stderr(file("log"))
            .spawn()
            .unwrap();
        Self { child, root }
    }

    /// Whether it has its model in memory.
    pub(crate) fn maps_model(&self) -> bool {
        // There is none for a moment while it begins anew.
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.child.id()));
        maps.is_ok_and(|maps| maps.contains(".gguf"))
    }

    /// How often so many equal numbers of 32 bits stand in a row in its writable memory.
    pub(crate) fn runs_in_memory(&self, number: u32, length: usize) -> usize {
        let process = PathBuf::from(format!("/proc/{}", self.child.id()));
        let memory = File::open(process.join("mem")).unwrap();
        let wanted = number.to_ne_bytes();
        let mut found = 0;
        for line in fs::read_to_string(process.join("maps")).unwrap().lines() {
            let mut fields = line.split_whitespace();
            let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
            if !rights.starts_with("rw") {
                continue;
            }
            let (first, end) = range.split_once('-').unwrap();
            let [first, end] = [first, end].map(|at| u64::from_str_radix(at, 16).unwrap());
            let mut bytes = vec![0; usize::try_from(end - first).unwrap()];
            // A mapping may be gone by now.
            let read = memory.read_at(&mut bytes, first).unwrap_or(0);
            let mut run = 0;
            for word in bytes[..read].chunks_exact(4) {
                run = if word == wanted { run + 1 } else { 0 };
                found += usize::from(run == length);
            }
        }
        found
    }

    pub(crate) async fn is_ready(&self) -> bool {
        matches!(self.client().health().await, Ok(Health::Ready))
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.root.path().join("run/maru/inference/llm.sock")
    }

    pub(crate) fn client(&self) -> OpenAiCompatible {
        OpenAiCompatible::new(Settings::new(format!("unix://{}", self.socket().display()))).unwrap()
    }

    /// The first slot that is busy.
    pub(crate) async fn busy_slot(&self) -> Option<Slot> {
        self.client().slots().await.unwrap().into_iter().find(|slot| slot.is_processing)
    }

    pub(crate) async fn is_idle(&self) -> bool {
        self.busy_slot().await.is_none()
    }

    /// Asks without streaming; returns status and body.
    pub(crate) async fn post(&self, body: &Value) -> (u16, Value) {
        self.post_to("/v1/chat/completions", body).await
    }

    /// The same, of any path.
    pub(crate) async fn post_to(&self, path: &str, body: &Value) -> (u16, Value) {
        let client = reqwest::Client::builder()
            .tls_certs_only([])
            .unix_socket(self.socket())
            .build()
            .unwrap();
        let answer =
            client.post(format!("http://localhost{path}")).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Asks it to stop, and waits.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.end().await
    }

    /// Waits for its end.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "it does not stop");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.root.path().join("log")).unwrap()
    }

    /// What it wrote for programs.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.root.path().join("output")).unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
