//! A TPM's device, with a thread of its own that waits for the driver.
//!
//! Linux bounds a command by minutes, and until its time is up neither `write` nor `poll` nor closing the file returns: each waits
//! for the lock that the command holds (`tpm_common_poll` and `tpm_common_release`, also of a file that does not block). So
//! whoever asks waits for the thread, for as long as they like; a thread that is waited for no more ends when the driver returns.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use zeroize::Zeroizing;

use super::super::answer::{ANSWER_MAX, Answer};

/// A device that is open, or about to be. Dropping it lets its thread end, and waits for nothing.
#[derive(Debug)]
pub(super) struct Device {
    commands: Sender<Vec<u8>>,
    answers: Receiver<io::Result<Answer>>,
    thread: JoinHandle<()>,
}

impl Device {
    /// Has the thread open the device in this way.
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

    /// Sends a command and waits this long for its answer. After an error it takes no other command.
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

    /// The thread, for whoever wants to know when the driver has returned.
    pub(super) fn into_thread(self) -> JoinHandle<()> {
        self.thread
    }
}

/// An error that is told for each command.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// The driver takes a command in one piece, and gives its answer in one.
fn exchange(device: &mut File, command: &[u8]) -> io::Result<Answer> {
    if device.write(command)? != command.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    let mut answer = Zeroizing::new(vec![0; ANSWER_MAX]);
    let length = device.read(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}
