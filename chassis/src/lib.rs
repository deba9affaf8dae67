//! What every daemon stands on. A module enters when three daemons need it; none knows a type of a domain.
//!
//! * [`root`]: whether the folder below which an instance lives is safe to use.
#![forbid(unsafe_code)]

pub mod root;
