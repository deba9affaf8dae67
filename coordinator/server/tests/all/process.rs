//! The coordinator as a process: its log is read, and it can be killed.

use std::{
    net::SocketAddr,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
};

use testkit::{eventually, postgres::Postgres};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::harness::{config, relay_was_here};

/// Where it keeps everything.
pub(crate) struct Root {
    folder: tempfile::TempDir,
    database: Option<Postgres>,
}

impl Root {
    /// With a database of its own or SQLite, and these settings besides; the relay has run there.
    pub(crate) async fn new(settings: &str, database: Option<Postgres>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut text = "listen = \"127.0.0.1:0\"\n".to_owned();
        if let Some(database) = &database {
            std::fs::write(folder.path().join("database-url"), database.url() + "\n").unwrap();
            text += "database_url_file = \"database-url\"\n";
        }
        let etc = folder.path().join("etc/maru");
        std::fs::create_dir_all(&etc).unwrap();
        std::fs::write(etc.join("coordinator.toml"), text + settings).unwrap();
        relay_was_here(folder.path(), &config()).await;
        Self { folder, database }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn database_url(&self) -> String {
        let file = self.path().join("var/lib/maru/coordinator/db.sqlite");
        self.database.as_ref().map_or_else(|| format!("sqlite://{}", file.display()), Postgres::url)
    }
}

/// `maru-coordinator serve`.
pub(crate) struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts it.
    pub(crate) fn start(root: &Root) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_maru-coordinator"));
        program.arg("--root").arg(root.path()).arg("serve").kill_on_drop(true);
        program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = program.spawn().unwrap();
        let mut read = BufReader::new(child.stderr.take().unwrap()).lines();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&lines);
        tokio::spawn(async move {
            while let Ok(Some(line)) = read.next_line().await {
                kept.lock().unwrap().push(line);
            }
        });
        Self { child, lines }
    }

    /// Waits until it serves, and where it does.
    pub(crate) async fn serves(&mut self) -> SocketAddr {
        let line = self.says("coordinator is ready").await;
        let (_, address) = line.split_once("address=").unwrap();
        address.split(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until it has logged a line that holds these words; the line.
    pub(crate) async fn says(&mut self, words: &str) -> String {
        eventually(&format!("it says {words:?}"), async || {
            let said = self.said(words).pop();
            let ended = self.child.try_wait().unwrap();
            assert!(said.is_some() || ended.is_none(), "it ended: {:#?}", self.said(""));
            said.ok_or_else(|| self.said(""))
        })
        .await
    }

    /// The lines so far that hold these words.
    pub(crate) fn said(&self, words: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line.contains(words)).cloned().collect()
    }

    /// SIGKILL.
    pub(crate) async fn kill(mut self) {
        let ended = self.child.try_wait().unwrap();
        assert_eq!(ended, None, "it had ended by itself: {:#?}", self.said(""));
        self.child.kill().await.unwrap();
    }
}
