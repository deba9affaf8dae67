//! A TPM's device, with its own thread that waits for the driver.
//!
//! Linux limits a command to minutes. Until then `write`, `poll` and `close` block on its lock (`tpm_common_poll`,
//! `tpm_common_release`), even for a non-blocking file. So callers wait for the thread with their own timeout, and the thread
//! ends when the driver returns.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use zeroize::Zeroizing;

use super::super::answer::{ANSWER_MAX, Answer};

/// An open device. Dropping it lets its thread end, without waiting.
#[derive(Debug)]
pub(super) struct Device {
    commands: Sender<Vec<u8>>,
    answers: Receiver<io::Result<Answer>>,
    thread: JoinHandle<()>,
}

impl Device {
    /// Starts the thread, which opens the device.
    pub(super) fn start(
        open: impl FnOnce() -> io::Result<File> + Send + 'static,
    ) -> io::Result<Self> {
        let ((commands, asked), (answer, answers)) = (channel::<Vec<u8>>(), channel());
        let work = move || {
            let mut device = open();
            for command in asked {
                let said = match &mut device {
                    Ok(device) => exchange(device, &command),
                    Err(error) => Err(again(error)),
                };
                if answer.send(said).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("tpm".to_owned()).spawn(work)?;
        Ok(Self { commands, answers, thread })
    }

    /// Sends a command and waits at most this long for the response. It must not be used after an error.
    pub(super) fn exchange(&self, command: &[u8], patience: Duration) -> io::Result<Answer> {
        let gone = io::ErrorKind::BrokenPipe;
        self.commands.send(command.to_vec()).map_err(|_| gone)?;
        self.answers.recv_timeout(patience).unwrap_or_else(|error| {
            Err(match error {
                RecvTimeoutError::Timeout => io::ErrorKind::TimedOut,
                RecvTimeoutError::Disconnected => gone,
            }
            .into())
        })
    }

    /// The thread, which ends when the driver has returned.
    pub(super) fn into_thread(self) -> JoinHandle<()> {
        self.thread
    }
}

/// A copy of an error.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// The driver needs a command in one `write`, and returns the response in one `read`.
fn exchange(device: &mut File, command: &[u8]) -> io::Result<Answer> {
    if device.write(command)? != command.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    let mut answer = Zeroizing::new(vec![0; ANSWER_MAX]);
    let length = device.read(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}
