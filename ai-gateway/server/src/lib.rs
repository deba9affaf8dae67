//! The AI gateway daemon.
