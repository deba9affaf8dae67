//! The lines that a person types, also while a reply comes.

use std::{collections::VecDeque, future::pending, io::BufRead as _};

use tokio::{select, sync::mpsc};
use zeroize::Zeroizing;

/// Most lines that wait for the end of a reply.
const WAITING: usize = 16;

/// A line, with its end.
type Line = Zeroizing<String>;

/// Lines in the order in which they were typed.
#[derive(Debug)]
pub(super) struct Lines {
    typed: mpsc::Receiver<Line>,
    /// Typed during a reply.
    waiting: VecDeque<Line>,
}

impl Lines {
    /// Reads standard input on a thread, which ends with the process.
    pub(super) fn of_stdin() -> Self {
        let (sender, lines) = Self::channel();
        std::thread::spawn(move || {
            loop {
                let mut line = Line::default();
                let read = std::io::stdin().lock().read_line(&mut line);
                if !matches!(read, Ok(1..)) || sender.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        lines
    }

    pub(super) fn channel() -> (mpsc::Sender<Line>, Self) {
        let (sender, typed) = mpsc::channel(WAITING);
        (sender, Self { typed, waiting: VecDeque::new() })
    }

    /// The next line; `None` at the end, or after Ctrl-C.
    pub(super) async fn next(&mut self) -> Option<Line> {
        match self.waiting.pop_front() {
            Some(line) => Some(line),
            None => select! {
                line = self.typed.recv() => line,
                () = interrupted() => None,
            },
        }
    }

    /// Returns when the person stops the reply, by `/stop` or Ctrl-C. Other lines wait.
    pub(super) async fn stopped(&mut self) {
        loop {
            let line = select! {
                line = self.typed.recv(), if self.waiting.len() < WAITING => line,
                () = interrupted() => return,
            };
            match line {
                Some(line) if line.trim() == "/stop" => return,
                Some(line) => self.waiting.push_back(line),
                // The reply comes to its end.
                None => return pending().await,
            }
        }
    }
}

/// Returns at Ctrl-C.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        pending().await
    }
}
