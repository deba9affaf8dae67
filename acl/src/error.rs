//! Errors and warnings about a policy, and locations in its text.

use std::fmt;

/// A position in a text: line and column count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Character in the line.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why a policy was refused. Each says where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not JSON (comments and trailing commas allowed).
    #[error("{at}: {reason}")]
    Syntax {
        /// Where.
        at: Position,
        /// What is wrong there.
        reason: String,
    },
    /// A wrong or unknown key, or an invalid rule.
    #[error("{at}: {place}{}{reason}", if place.is_empty() { "" } else { ": " })]
    Rule {
        /// Where.
        at: Position,
        /// Which one, such as `acls[2].dst[0]`; empty for the whole document.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The policy's own tests failed.
    #[error("test(s) failed: {0}")]
    Test(Failures),
}

/// The tests that failed, each with its location and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures(pub Vec<String>);

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

/// A part of a policy that has no effect, or another one than it seems to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub at: Position,
    /// Which part, such as `ssh[0]`.
    pub place: String,
    /// What the reader has to know.
    pub reason: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.at, self.place, self.reason)
    }
}

/// The result of one assertion of the policy's own tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// Where.
    pub at: Position,
    /// Which one, such as `tests[0].accept[1]`.
    pub place: String,
    /// The source, as it is written.
    pub src: String,
    /// The destination, as it is written; empty if the source matches nothing.
    pub dst: String,
    /// The protocol, as it is written; empty for TCP, UDP or ICMP.
    pub protocol: String,
    /// Whether the destination must be reachable.
    pub wanted: bool,
    /// Whether the assertion holds.
    pub passed: bool,
    /// Why it does not; empty if it does.
    pub reason: String,
}

/// A location: in the text, and in the document.
#[derive(Clone, Debug, Default)]
pub(crate) struct Location {
    pub(crate) at: Position,
    /// Such as `acls[2].dst[0]`; empty for the whole document.
    pub(crate) place: String,
}

impl Location {
    /// An error about what is at this location.
    pub(crate) fn wrong(&self, reason: impl Into<String>) -> Error {
        Error::Rule { at: self.at, place: self.place.clone(), reason: reason.into() }
    }
}

/// A string of the policy with its location.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) location: Location,
}

impl Word {
    pub(crate) fn wrong(&self, reason: impl Into<String>) -> Error {
        self.location.wrong(reason)
    }
}

/// The errors of a document, in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Error>);

impl Problems {
    pub(crate) fn add(&mut self, error: Error) {
        self.0.push(error);
    }

    /// The value, or nothing and one more problem.
    pub(crate) fn keep<T>(&mut self, read: Result<T, Error>) -> Option<T> {
        read.map_err(|error| self.add(error)).ok()
    }

    pub(crate) fn into_vec(self) -> Vec<Error> {
        self.0
    }
}

/// The errors and warnings of a document.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) problems: Problems,
    pub(crate) warnings: Vec<Warning>,
}

impl Findings {
    pub(crate) fn warn(&mut self, location: &Location, reason: &str) {
        let Location { at, place } = location.clone();
        self.warnings.push(Warning { at, place, reason: reason.to_owned() });
    }
}
