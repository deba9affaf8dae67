//! Runs the commands of other resolvers, for a limited time.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::fs::{MemfdFlags, memfd_create};

/// Longest time for one command: a second resolver that hangs must not keep the helper.
const LIMIT: Duration = Duration::from_secs(3);
/// Pause between two looks at a running command.
const LOOK: Duration = Duration::from_millis(2);
/// Most that is read of what a command prints, in bytes.
const MAX_OUTPUT: usize = 64 * 1024;
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
        // Not a pipe: whoever the command leaves running may keep that open.
        let printed = File::from(memfd_create("printed", MemfdFlags::CLOEXEC)?);
        let mut child = Command::new(&self.0)
            .args(args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(printed.try_clone()?)
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
        let mut output = vec![0; MAX_OUTPUT];
        let len = printed.read_at(&mut output, 0)?;
        output.truncate(len);
        String::from_utf8(output).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_leaves_running_keeps_nobody_waiting() {
        let shell = Program::find("sh").unwrap();
        let printed = shell.run(&["-c", "sleep 20 & echo $!"], "").unwrap();
        let sleeper = std::fs::read(Path::new("/proc").join(printed.trim()).join("cmdline"));
        assert!(sleeper.is_ok_and(|line| !line.is_empty()), "waited for {printed}");
        shell.run(&["-c", &format!("kill {printed}")], "").unwrap();
    }
}
