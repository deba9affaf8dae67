//! The connection to a TPM.
//!
//! The device is `/dev/tpmrm0`, whose driver isolates the objects of each process and flushes them when the file is closed. An
//! emulator such as swtpm listens on a UNIX socket for the same bytes; each command has its own connection, and objects stay.

mod device;

use std::{
    fs::OpenOptions,
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use chassis::unix::Connector;
use zeroize::Zeroizing;

use super::answer::{self, Answer};
use device::Device;

/// A TPM by its path.
#[derive(Debug)]
pub(super) struct Stream {
    at: PathBuf,
    /// The device, once it is open.
    device: Option<Device>,
    /// The thread of a device that did not respond in time, until the driver returns.
    stuck: Option<JoinHandle<()>>,
}

impl Stream {
    pub(super) const fn new(at: PathBuf) -> Self {
        Self { at, device: None, stuck: None }
    }

    /// Over an open file that behaves like the device.
    #[cfg(test)]
    pub(super) fn over(device: std::fs::File) -> Self {
        let device = Device::start(move || Ok(device)).unwrap();
        Self { device: Some(device), ..Self::new("/dev/null/tpm".into()) }
    }

    pub(super) fn at(&self) -> &Path {
        &self.at
    }

    /// Whether objects of ended processes stay, as in an emulator.
    pub(super) fn keeps(&self) -> bool {
        self.device.is_none() && is_socket(&self.at)
    }

    /// Closes the connection, which flushes its objects.
    pub(super) fn close(&mut self) {
        self.device = None;
    }

    /// Sends a command and waits at most this long for the response.
    ///
    /// # Errors
    ///
    /// `TimedOut` on a timeout, and at once until the driver has returned from that command.
    pub(super) fn exchange(&mut self, command: &[u8], patience: Duration) -> io::Result<Answer> {
        if self.keeps() {
            return over_socket(&self.at, patience, command);
        }
        if self.stuck.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let device = match self.device.take() {
            Some(device) => device,
            None => {
                let at = self.at.clone();
                Device::start(move || OpenOptions::new().read(true).write(true).open(at))?
            }
        };
        let said = device.exchange(command, patience);
        match &said {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                self.stuck = Some(device.into_thread());
            }
            _ => self.device = Some(device),
        }
        said
    }
}

/// The path is not below the root.
fn connector(path: &Path) -> Connector {
    Connector::new(Path::new("/"), path)
}

fn is_socket(path: &Path) -> bool {
    connector(path).file().is_some()
}

fn over_socket(path: &Path, patience: Duration, command: &[u8]) -> io::Result<Answer> {
    let until = Instant::now() + patience;
    let mut stream = connector(path).connect_blocking(patience)?;
    stream.write_all(command)?;
    let mut start = [0; 6];
    read_until(&mut stream, until, &mut start)?;
    let length = answer::length(start).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut answer = Zeroizing::new(vec![0; length]);
    let (head, rest) = answer.split_at_mut(start.len());
    head.copy_from_slice(&start);
    read_until(&mut stream, until, rest)?;
    Ok(answer)
}

/// Reads until `into` is full.
fn read_until(stream: &mut UnixStream, until: Instant, into: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < into.len() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut into[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
