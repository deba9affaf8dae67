//! The way to a TPM: one command, one answer, as bytes.
//!
//! The device is `/dev/tpmrm0`, whose driver keeps what this process has made apart from what others have, and bounds each
//! command itself (`tpm2_calc_ordinal_duration` of Linux: 2 s, and 5 minutes for a key that is made). A stand-in, such as swtpm,
//! listens on a UNIX socket that takes the same bytes; it is connected to for each command.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::{fs::FileTypeExt as _, net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
    sockopt::{Timeout, set_socket_timeout},
};
use zeroize::Zeroizing;

use super::answer::{self, ANSWER_MAX};

/// How long a stand-in may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of the largest answer, wiped: some answers are secret.
pub(super) type Answer = Zeroizing<Vec<u8>>;

/// A TPM by its path.
#[derive(Debug)]
pub(super) struct Stream {
    at: PathBuf,
    /// The device, once it is open.
    device: Option<File>,
    /// How long a stand-in may take.
    patience: Duration,
}

impl Stream {
    pub(super) const fn new(at: PathBuf) -> Self {
        Self { at, device: None, patience: PATIENCE }
    }

    pub(super) fn at(&self) -> &Path {
        &self.at
    }

    /// Lets a stand-in take this long.
    #[cfg(test)]
    pub(super) const fn patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Forgets the connection; what was made over it is gone with it.
    pub(super) fn close(&mut self) {
        self.device = None;
    }

    /// Sends a command and waits for its answer.
    pub(super) fn exchange(&mut self, command: &[u8]) -> io::Result<Answer> {
        if self.device.is_none() && is_socket(&self.at) {
            return over_socket(&self.at, self.patience, command);
        }
        let device = match &mut self.device {
            Some(device) => device,
            none => none.insert(OpenOptions::new().read(true).write(true).open(&self.at)?),
        };
        // The driver takes a command in one piece, and gives its answer in one.
        if device.write(command)? != command.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let mut answer = Zeroizing::new(vec![0; ANSWER_MAX]);
        let length = device.read(&mut answer)?;
        answer.truncate(length);
        Ok(answer)
    }
}

fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

fn over_socket(path: &Path, patience: Duration, command: &[u8]) -> io::Result<Answer> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Before it connects: where nobody accepts that waits, too.
    for way in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&socket, way, Some(patience))?;
    }
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    let mut stream = UnixStream::from(socket);
    stream.write_all(command)?;
    let mut start = [0; 6];
    stream.read_exact(&mut start)?;
    let length = answer::length(start).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut answer = Zeroizing::new(vec![0; length]);
    let (head, rest) = answer.split_at_mut(start.len());
    head.copy_from_slice(&start);
    stream.read_exact(rest)?;
    Ok(answer)
}
