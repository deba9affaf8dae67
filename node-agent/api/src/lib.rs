//! The agent's local API: types and paths.
