//! What several daemons share, without domain types.
#![forbid(unsafe_code)]

pub mod accept;
pub mod args;
pub mod body;
pub mod browser;
mod causes;
pub mod client;
pub mod confine;
pub mod connection_limit;
pub mod dial;
pub mod durable;
pub mod endpoint;
pub mod eviction;
pub mod failure;
pub mod hang_up;
pub mod http;
pub mod idle;
pub mod log;
pub mod notify;
pub mod page;
pub mod pem;
pub mod problem;
pub mod process;
pub mod quota;
pub mod root;
pub mod secret;
pub mod settings;
pub mod signal;
pub mod state;
pub mod steadiness;
pub mod superuser;
pub mod tls;
pub mod unix;
pub mod watched;
pub mod websocket;
pub mod workers;
pub mod write_timeout;
