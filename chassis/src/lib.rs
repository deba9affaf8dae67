//! What every daemon stands on. A module enters when several of them need it; none knows a type of a domain.
//!
//! * [`accept`]: taking connections: how many, what an error costs, and how it ends.
//! * [`args`]: arguments that daemons share.
//! * [`body`]: bodies that are held as a whole, and the memory that they take.
//! * [`browser`]: what a browser says of the page for which it asks.
//! * [`client`]: HTTP/1.1 as a client.
//! * [`confine`]: what a process, and all that it starts, may write.
//! * [`connection_limit`]: how many connections there may be, in all and of one address.
//! * [`dial`]: connecting over TCP, with TLS or without.
//! * [`durable`]: files that are whole after a power cut.
//! * [`endpoint`]: an HTTP surface as a list, from which its router is built.
//! * [`eviction`]: connections that give way to newer ones.
//! * [`failure`]: why a daemon gave up, for whoever started it.
//! * [`hang_up`]: whether the other end of a UNIX socket is gone.
//! * [`http`]: HTTP/1.1 on one connection.
//! * [`log`]: what is logged, and where to.
//! * [`pem`]: certificates and private keys in files.
//! * [`problem`]: an HTTP error as an answer.
//! * [`process`]: the limit of open files, and the ban of core dumps.
//! * [`quota`]: how much may be held at once, in all and by each holder.
//! * [`root`]: whether the folder below which an instance lives is safe to use.
//! * [`settings`]: a daemon's settings.
//! * [`signal`]: the signals that ask a daemon to stop.
//! * [`state`]: state files, with a version.
//! * [`superuser`]: what a daemon tells root alone, such as its counters.
//! * [`tls`]: TLS between machines, from files.
//! * [`unix`]: a daemon's UNIX socket, and connecting to one.
//! * [`watched`]: what files say, read again when they change.
//! * [`websocket`]: the opening handshake of a WebSocket.
//! * [`workers`]: threads that serve connections, each with a runtime of its own.
//! * [`write_timeout`]: a stream whose writes fail once none gets on.
#![forbid(unsafe_code)]

pub mod accept;
pub mod args;
pub mod body;
pub mod browser;
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
pub mod pem;
pub mod problem;
pub mod process;
pub mod quota;
pub mod root;
pub mod settings;
pub mod signal;
pub mod state;
pub mod superuser;
pub mod tls;
pub mod unix;
pub mod watched;
pub mod websocket;
pub mod workers;
pub mod write_timeout;
