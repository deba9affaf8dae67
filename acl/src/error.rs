//! Why a policy is refused, and what there is to know of one that is not.

use std::fmt;

use crate::position::Position;

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
    /// A wrong or unknown key, or a rule that means nothing.
    #[error("{at}: {place}{}{reason}", if place.is_empty() { "" } else { ": " })]
    Rule {
        /// Where.
        at: Position,
        /// Which one, such as `acls[2].dst[0]`; empty for the whole document.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Tests of the policy's own fail.
    #[error("test(s) failed: {0}")]
    Test(Failures),
}

/// The tests that fail, each with its place and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures(pub Vec<String>);

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

/// What a policy says and does not do, or does otherwise than one may think.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub at: Position,
    /// Which part, such as `ssh[0]`.
    pub place: String,
    /// What there is to know.
    pub reason: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.at, self.place, self.reason)
    }
}

/// How one assertion of the policy's own tests came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// Where.
    pub at: Position,
    /// Which one, such as `tests[0].accept[1]`.
    pub place: String,
    /// The source, as it is written.
    pub src: String,
    /// The destination, as it is written; empty if the source is nobody.
    pub dst: String,
    /// The protocol, as it is written; empty for TCP, UDP or ICMP.
    pub protocol: String,
    /// Whether it is to be reached.
    pub wanted: bool,
    /// Whether it is as wanted.
    pub passed: bool,
    /// Why not; empty if it is.
    pub reason: String,
}

impl fmt::Display for TestResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.at, self.place, self.reason)
    }
}
