//! The services' output: read line by line, kept in one bounded file each.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use chassis::failure::Failure;
use jiff::Timestamp;
use messages::message;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// Size at which a log is rotated, in bytes; one older file is kept.
const LOG_MAX: u64 = 10 << 20;
/// Longest line, in bytes; a longer one is split.
const LINE_MAX: usize = 16 << 10;

/// The log file of one service.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Log {
    /// Opens the log of `service` in `folder`.
    pub(crate) fn open(folder: &Path, service: &str) -> anyhow::Result<Self> {
        let path = folder.join(format!("{service}.log"));
        let file = File::options()
            .append(true)
            .create(true)
            .open(&path)
            .with_context(|| message!("not-opened", path = path.display()))?;
        let size = file.metadata().map_or(0, |meta| meta.len());
        Ok(Self { path, file, size })
    }

    /// Adds a line; on a full disk the line is lost.
    pub(crate) fn write(&mut self, line: &str) {
        if self.size > LOG_MAX {
            let _ = std::fs::rename(&self.path, self.path.with_extension("log.1"));
            if let Ok(file) = File::options().append(true).create(true).open(&self.path) {
                self.file = file;
                self.size = 0;
            }
        }
        if writeln!(self.file, "{line}").is_ok() {
            self.size += line.len() as u64 + 1;
        }
    }
}

/// The lines of a pipe.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    from: BufReader<R>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads `from`.
    pub(crate) fn new(from: R) -> Self {
        Self { from: BufReader::with_capacity(LINE_MAX, from) }
    }

    /// The next line, safe to show on a terminal; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<String> {
        let mut line = Vec::new();
        loop {
            let part = self.from.fill_buf().await.ok()?;
            if part.is_empty() {
                return (!line.is_empty()).then(|| text(&line));
            }
            let room = LINE_MAX - line.len();
            let end = part.iter().take(room).position(|&byte| byte == b'\n');
            let taken = end.unwrap_or_else(|| part.len().min(room));
            line.extend_from_slice(&part[..taken]);
            self.from.consume(taken + usize::from(end.is_some()));
            if end.is_some() || line.len() == LINE_MAX {
                return Some(text(&line));
            }
        }
    }
}

fn text(line: &[u8]) -> String {
    common::foreign::line(String::from_utf8_lossy(line).trim_end())
}

/// The failure record that a daemon prints when it exits, safe to show on a terminal.
pub(crate) fn record(line: &str) -> Option<Failure> {
    let Failure { failure } = Failure::read(line)?;
    Some(Failure { failure: common::foreign::line(&failure) })
}

/// Time, level and the rest of a line of `tracing`; `None` if it is another line.
#[must_use]
pub fn parts(line: &str) -> Option<(Timestamp, &str, &str)> {
    let (time, rest) = line.trim_start().split_once(' ')?;
    let (level, rest) = rest.trim_start().split_once(' ')?;
    let is_level = matches!(level, "ERROR" | "WARN" | "INFO" | "DEBUG" | "TRACE");
    is_level.then_some((time.parse().ok()?, level, rest))
}

/// Whether a line is a warning or an error of `tracing`.
pub(crate) fn is_warning(line: &str) -> bool {
    matches!(parts(line), Some((_, "WARN" | "ERROR", _)))
}

#[cfg(test)]
mod tests {
    use super::{LINE_MAX, LOG_MAX, Lines, Log};

    #[tokio::test]
    async fn a_flood_without_a_line_end_is_taken_apart() {
        let mut bytes = vec![b'x'; LINE_MAX + 5];
        bytes.extend_from_slice("\n마루\n\nend".as_bytes());
        let mut lines = Lines::new(bytes.as_slice());

        let mut found = Vec::new();
        while let Some(line) = lines.next().await {
            found.push(line);
        }

        assert_eq!(found[0].len(), LINE_MAX);
        assert_eq!(found[1..], ["xxxxx", "마루", "", "end"]);
    }

    #[test]
    fn a_long_log_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(folder.path(), "agent").unwrap();

        log.write(&"x".repeat(usize::try_from(LOG_MAX).unwrap() + 1));
        log.write("new");

        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("agent.log"), "new\n");
        assert!(read("agent.log.1").len() as u64 > LOG_MAX);
    }
}
