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
    task::JoinHandle,
    time::timeout,
};

use crate::{
    harness::{PATIENCE, config, relay_was_here},
    shared,
};

/// Where it keeps everything.
pub(crate) struct Root {
    folder: tempfile::TempDir,
    /// Where the database is, unless it is SQLite.
    url: Option<String>,
    _database: Option<Postgres>,
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
        let url = database.as_ref().map(Postgres::url);
        Self { folder, url, _database: database }
    }

    /// Of a coordinator that shares the database at this URL with others that have the same key.
    pub(crate) fn sharing(url: &str, key: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let etc = folder.path().join("etc/maru");
        std::fs::create_dir_all(&etc).unwrap();
        for (file, text) in [
            ("database-url", url),
            ("shared.key", key),
            ("derp.json", shared::RELAYS),
            ("etc/maru/coordinator.toml", shared::SETTINGS),
        ] {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        Self { folder, url: Some(url.to_owned()), _database: None }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn database_url(&self) -> String {
        let file = self.path().join("var/lib/maru/coordinator/db.sqlite");
        self.url.clone().unwrap_or_else(|| format!("sqlite://{}", file.display()))
    }
}

/// `maru-coordinator serve`.
pub(crate) struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
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
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = read.next_line().await {
                kept.lock().unwrap().push(line);
            }
        });
        Self { child, lines, reader }
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

    pub(crate) fn number(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Waits until it has ended by itself; what it said.
    pub(crate) async fn ends(mut self) -> Vec<String> {
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap();
        (&mut self.reader).await.unwrap();
        self.said("")
    }

    /// SIGKILL.
    pub(crate) async fn kill(mut self) {
        let ended = self.child.try_wait().unwrap();
        assert_eq!(ended, None, "it had ended by itself: {:#?}", self.said(""));
        self.child.kill().await.unwrap();
    }
}
