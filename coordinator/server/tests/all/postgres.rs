//! A PostgreSQL of our own, in a temporary directory, as an unprivileged user, on a UNIX socket.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener},
    os::unix::{fs::MetadataExt as _, net::UnixStream, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

/// Who runs it when the test is root, which PostgreSQL refuses.
const NOBODY: u32 = 65534;

/// A running database server; dropping it stops it and removes its data.
pub(crate) struct Postgres {
    dir: tempfile::TempDir,
    bin: PathBuf,
    /// Port of the forwarder in front of it, if there is one.
    forwarder: Option<u16>,
}

impl Postgres {
    pub(crate) fn start() -> Self {
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
    pub(crate) fn with_slow_commits(wait: Duration) -> Self {
        let mut server = Self::start();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        server.forwarder = Some(listener.local_addr().unwrap().port());
        let socket = server.dir.path().join(".s.PGSQL.5432");
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let Ok(database) = UnixStream::connect(&socket) else { return };
                client.set_nodelay(true).unwrap();
                let ends = (client.try_clone().unwrap(), database.try_clone().unwrap());
                thread::spawn(move || forward(client, database, wait));
                thread::spawn(move || forward(ends.1, ends.0, Duration::ZERO));
            }
        });
        server
    }

    /// The URL of its one database.
    pub(crate) fn url(&self) -> String {
        if let Some(port) = self.forwarder {
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

/// Hands on what is read; what holds a COMMIT waits first.
fn forward(mut from: impl Read, mut to: impl Write, wait: Duration) {
    let mut buffer = [0; 16 * 1024];
    let mut piece = || -> io::Result<bool> {
        let len = from.read(&mut buffer)?;
        if buffer[..len].windows(6).any(|word| word == b"COMMIT") {
            thread::sleep(wait);
        }
        to.write_all(&buffer[..len])?;
        Ok(len > 0)
    };
    while piece().unwrap_or(false) {}
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
