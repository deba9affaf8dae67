//! What every daemon stands on. A module enters when three daemons need it; none knows a type of a domain.
//!
//! * [`confine`]: what a process, and all that it starts, may write.
//! * [`endpoint`]: an HTTP surface as a list, from which its router is built.
//! * [`failure`]: why a daemon gave up, for whoever started it.
//! * [`problem`]: an HTTP error as an answer.
//! * [`root`]: whether the folder below which an instance lives is safe to use.
#![forbid(unsafe_code)]

pub mod confine;
pub mod endpoint;
pub mod failure;
pub mod problem;
pub mod root;
