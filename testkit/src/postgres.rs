//! A PostgreSQL of the test's own, in a temporary directory, as an unprivileged user, on a UNIX socket.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::unix::{fs::MetadataExt as _, net::UnixStream, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Who runs it when the test is root, which PostgreSQL refuses.
const NOBODY: u32 = 65534;

/// A running database server; dropping it stops it and removes its data.
#[derive(Debug)]
pub struct Postgres {
    dir: tempfile::TempDir,
    bin: PathBuf,
    /// What is in front of it, if anything.
    forwarder: Option<Forwarder>,
}

/// Stands between a server and its clients.
#[derive(Clone, Debug)]
struct Forwarder {
    port: u16,
    /// How long each commit waits.
    wait: Duration,
    /// Whether the client's connection ends with the next commit.
    loses_commit: Arc<AtomicBool>,
}

impl Postgres {
    /// Starts Debian's newest one, which a test that needs it declares: `#[ignore = "needs: postgres"]`.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Self { bin: bin(), dir, forwarder: None };
        if is_root() {
            std::os::unix::fs::chown(server.dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = server.data();
        server.run(
            "initdb",
            &["-D", &data, "-U", "maru", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"],
        );
        let socket = server.dir.path().display();
        let options =
            format!("-c listen_addresses= -c unix_socket_directories={socket} -c fsync=off");
        let log = server.dir.path().join("log").display().to_string();
        server.run("pg_ctl", &["-D", &data, "-o", &options, "-l", &log, "-w", "-t", "60", "start"]);
        server
    }

    /// One behind a forwarder that lets each commit wait for so long.
    pub fn with_slow_commits(wait: Duration) -> Self {
        let mut server = Self::start();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let forwarder = Forwarder { port, wait, loses_commit: Arc::default() };
        server.forwarder = Some(forwarder.clone());
        let socket = server.dir.path().join(".s.PGSQL.5432");
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let Ok(database) = UnixStream::connect(&socket) else { return };
                client.set_nodelay(true).unwrap();
                let forwarder = forwarder.clone();
                let (mut from, mut to) =
                    (database.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || forwarder.forward(&client, database));
                thread::spawn(move || io::copy(&mut from, &mut to));
            }
        });
        server
    }

    /// Restarts it, as after a crash.
    pub fn restart(&self) {
        let data = self.data();
        let log = self.dir.path().join("log").display().to_string();
        let restart = ["-D", &data, "-l", &log, "-m", "immediate", "-w", "-t", "60", "restart"];
        self.run("pg_ctl", &restart);
    }

    /// The next commit is made, and who asked for it loses the connection before the answer.
    pub fn loses_next_commit(&self) {
        let forwarder = self.forwarder.as_ref().expect("it is behind a forwarder");
        forwarder.loses_commit.store(true, Ordering::SeqCst);
    }

    /// The URL of its one database.
    pub fn url(&self) -> String {
        if let Some(Forwarder { port, .. }) = self.forwarder {
            return format!("postgres://maru@127.0.0.1:{port}/postgres?sslmode=disable");
        }
        format!("postgres://maru@localhost/postgres?host={}", self.dir.path().display())
    }

    fn data(&self) -> String {
        self.dir.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(self.dir.path()).env("TZ", "UTC").stdin(std::process::Stdio::null());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self
            .command("pg_ctl")
            .args(["-D", &self.data(), "-m", "immediate", "-w", "stop"])
            .output();
    }
}

impl Forwarder {
    /// Hands on what the client sends; what holds a COMMIT waits first.
    fn forward(&self, mut client: &TcpStream, mut database: UnixStream) {
        let mut buffer = [0; 16 * 1024];
        let mut piece = || -> io::Result<bool> {
            let len = client.read(&mut buffer)?;
            if buffer[..len].windows(6).any(|word| word == b"COMMIT") {
                thread::sleep(self.wait);
                if self.loses_commit.swap(false, Ordering::SeqCst) {
                    client.shutdown(Shutdown::Both)?;
                }
            }
            database.write_all(&buffer[..len])?;
            Ok(len > 0)
        };
        while piece().unwrap_or(false) {}
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The newest of Debian's packages.
fn bin() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let bins = versions.map(|version| version.unwrap().path().join("bin"));
    bins.filter(|bin| Path::new(bin).join("initdb").exists())
        .max()
        .expect("PostgreSQL's server is installed")
}
