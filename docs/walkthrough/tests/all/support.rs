//! What several of these tests use.

pub(crate) mod answer;
pub(crate) mod app;
pub(crate) mod authority;
pub(crate) mod caller;
pub(crate) mod chain_house;
pub(crate) mod control;
pub(crate) mod echo;
pub(crate) mod expected;
pub(crate) mod keys;
pub(crate) mod memory;
pub(crate) mod network;
pub(crate) mod recording;
pub(crate) mod search;
