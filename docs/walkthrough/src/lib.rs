//! End-to-end tests that take the trips which the pages beside them describe: how a device becomes a node, how a
//! question goes to the model and the reply comes back, and what else happens between several parts of Maru.
