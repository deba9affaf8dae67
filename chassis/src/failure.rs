//! How a daemon reports a fatal error: a sentence on standard error, and a JSON record on standard output, where daemons
//! write nothing else. Where both lead to systemd's journal it is the sentence alone.

use std::{
    error::Error,
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
};

use serde::{Deserialize, Serialize};

use crate::{causes, log::journal};

/// A fatal error, as one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// What is wrong and what to do, in one sentence.
    pub failure: String,
}

impl Failure {
    /// An error and its causes, on one line without control characters.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        Self { failure: causes::line(error) }
    }

    /// What the daemon `program` writes to standard error and, unless that is a terminal, to standard output.
    #[must_use]
    pub fn output(&self, program: &str) -> FailureOutput {
        let record = serde_json::to_string(self).map(|record| format!("{record}\n"));
        FailureOutput {
            error: format!("{program}: {}\n", self.failure),
            output: record.ok().filter(|_| !std::io::stdout().is_terminal()).unwrap_or_default(),
        }
    }

    /// Reads a line of a daemon's standard output; `None` if it is not a record. The text is not trusted.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

/// A fatal error as a daemon writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureOutput {
    /// For standard error.
    pub error: String,
    /// For standard output; may be empty.
    pub output: String,
}

/// Reports an error of the daemon `program`, and returns the exit code of its `main`.
pub fn exit<E: Into<Box<dyn Error>>>(program: &str, ended: Result<(), E>) -> ExitCode {
    let Err(error) = ended else { return ExitCode::SUCCESS };
    let failure = Failure::of(error.into().as_ref());
    let output = if journal::open().is_some() {
        FailureOutput { error: journal::failure_line(&failure.failure), output: String::new() }
    } else {
        failure.output(program)
    };
    // A failed write cannot be reported.
    let _ = std::io::stderr().write_all(output.error.as_bytes());
    let _ = std::io::stdout().write_all(output.output.as_bytes());
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::Failure;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot use maru.toml")]
    struct Settings(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read: {0}")]
    struct Repeats(#[source] io::Error);

    #[test]
    fn an_error_is_one_line_that_says_each_cause_once() {
        let cause = || io::Error::other("line 2:\nunknown field");

        let said = Failure::of(&Settings(cause())).failure;
        assert_eq!(said, "cannot use maru.toml: line 2: unknown field");
        let said = Failure::of(&Repeats(io::Error::other("no space"))).failure;
        assert_eq!(said, "cannot read: no space");
        let said = Failure::of(&Settings(io::Error::other("\u{1b}[2J\u{202e}"))).failure;
        assert_eq!(said, "cannot use maru.toml: \u{fffd}[2J\u{fffd}");
    }

    #[test]
    fn a_record_is_read_and_nothing_else_is_taken_for_one() {
        let failure = Failure { failure: "no room: \"/var\"".to_owned() };
        let record = serde_json::to_string(&failure).unwrap();

        assert_eq!(Failure::read(&record), Some(failure));
        for line in
            ["", "maru-agent: no room", "{}", r#"{"failure":"a","more":1}"#, r#"{"failure":1}"#]
        {
            assert_eq!(Failure::read(line), None, "{line}");
        }
    }
}
