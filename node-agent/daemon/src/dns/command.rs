//! Runs the commands of other resolvers, for a limited time.

use std::{
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// Longest time for one command: a second resolver that hangs must not keep the helper.
const LIMIT: Duration = Duration::from_secs(3);
/// Pause between two looks at a running command.
const LOOK: Duration = Duration::from_millis(2);
/// Most that is read of what a command prints, in bytes.
const MAX_OUTPUT: u64 = 64 * 1024;
/// Where commands are. The folders belong to root, whatever the environment says.
const FOLDERS: [&str; 5] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/run/current-system/sw/bin"];

/// A command of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Program(PathBuf);

impl Program {
    /// Finds it by its name.
    pub(crate) fn find(name: &str) -> Option<Self> {
        FOLDERS
            .iter()
            .map(|folder| Path::new(folder).join(name))
            .find(|path| path.exists())
            .map(Self)
    }

    /// Whether it is another program under this name.
    pub(crate) fn is_link_to(&self, name: &str) -> bool {
        self.0.canonicalize().is_ok_and(|path| path.file_name().is_some_and(|found| found == name))
    }

    /// Runs it with this input; returns what it printed. It has `sbin` in its search path, and nothing else of the environment.
    ///
    /// # Errors
    ///
    /// It does not start, fails or takes more than [`LIMIT`].
    pub(crate) fn run(&self, args: &[&str], input: &str) -> io::Result<String> {
        let mut child = Command::new(&self.0)
            .args(args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        // Less than a pipe holds, so this waits for nobody.
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(input.as_bytes());
        }
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if began.elapsed() > LIMIT {
                child.kill()?;
                child.wait()?;
                return Err(io::ErrorKind::TimedOut.into());
            }
            sleep(LOOK);
        };
        if !status.success() {
            return Err(io::Error::other(format!("{} ended with {status}", self.0.display())));
        }
        let mut output = String::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(MAX_OUTPUT).read_to_string(&mut output)?;
        }
        Ok(output)
    }
}
