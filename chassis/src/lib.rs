//! What every daemon stands on. A module enters when three daemons need it; none knows a type of a domain.
//!
//! * [`confine`]: what a process, and all that it starts, may write.
//! * [`endpoint`]: an HTTP surface as a list, from which its router is built.
//! * [`failure`]: why a daemon gave up, for whoever started it.
//! * [`problem`]: an HTTP error as an answer.
//! * [`log`]: what is logged, and where to.
//! * [`process`]: the limit of open files, and the ban of core dumps.
//! * [`root`]: whether the folder below which an instance lives is safe to use.
//! * [`signal`]: the signals that ask a daemon to stop.
#![forbid(unsafe_code)]

pub mod confine;
pub mod endpoint;
pub mod failure;
pub mod problem;
pub mod log;
pub mod process;
pub mod root;
pub mod signal;
