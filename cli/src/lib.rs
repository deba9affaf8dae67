//! maru: the one command that people type, and the supervisor behind maru up.
