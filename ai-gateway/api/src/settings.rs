//! The settings files of the gateway and of telmeet, its plugin.

pub mod gateway;
pub mod origin;
pub mod telmeet;
