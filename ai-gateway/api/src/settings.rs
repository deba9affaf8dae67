//! The settings file of the gateway.

pub mod gateway;
pub mod origin;
