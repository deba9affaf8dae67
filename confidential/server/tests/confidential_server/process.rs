//! A role as a process of its own, to be killed and stopped.

use std::{
    fs,
    io::Read as _,
    net::SocketAddr,
    process::{Child, ChildStderr, Command, Stdio},
};

use super::world::TestDeployment;

/// What becomes of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is gone from one moment to the next.
    Killed,
    /// It is there, and does nothing more.
    Hung,
}

/// A process that listens. Dropping it ends it.
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    child: Child,
    /// So that it can write.
    _log: ChildStderr,
}

impl Process {
    /// Starts a role with these settings beside where it listens.
    pub(crate) fn start(world: &TestDeployment, role: &str, settings: &str) -> Self {
        let address = lab::free_port().unwrap();
        let root = world.root.path();
        let file = root.join(format!("{role}.toml"));
        fs::write(&file, format!("listen = \"{address}\"\n{settings}")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_maru-confidential"))
            .arg("--root")
            .arg(root)
            .arg("--config")
            .arg(&file)
            .arg(role)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = child.stderr.take().unwrap();
        let (mut said, mut byte) = (Vec::new(), [0]);
        while !said.ends_with(b"is ready\n") {
            assert_eq!(log.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&said));
            said.push(byte[0]);
        }
        Self { address, child, _log: log }
    }

    /// Makes it fail.
    pub(crate) fn fail(&mut self, fault: Fault) {
        match fault {
            Fault::Killed => {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
            }
            Fault::Hung => {
                let pid = self.child.id().to_string();
                assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
