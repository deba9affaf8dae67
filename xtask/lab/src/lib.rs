//! Named machines made of namespaces, for tests, demonstrations and benches.
//!
//! A [`Machine`] has a network, a mount and a process namespace of its own: other interfaces, an own
//! `/run`, an own writable layer over `/etc` (so its resolver is not the host's) and an own set of
//! processes. Nothing has a name on the host: interfaces are made inside, and a machine holds on to a
//! pipe of the process that made it, so that everything in it ends when that process ends, however
//! that happens. It needs root, and `bash`, `unshare`, `nsenter`, `mount` and `ip`.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let home = lab::Machine::new("home")?;
//! let laptop = lab::Machine::new("laptop")?;
//! lab::link((&home, "eth0", "10.0.0.1/24"), (&laptop, "eth0", "10.0.0.2/24"))?;
//! laptop.sh("ping -c1 10.0.0.1")?;
//! # Ok(())
//! # }
//! ```
#![allow(clippy::disallowed_methods, reason = "a test connects to what it started")]

mod binaries;
pub mod clean;
pub mod confidential;
mod deployment;
pub mod dial;
mod family;
pub mod inside;
mod instance;
pub mod internet;
pub mod location;
mod machine;
pub mod nat;
mod port;
mod process;
pub mod resolvers;
pub mod rough;
pub mod search;
pub mod site;
pub mod stock;
pub mod swtpm;
pub mod topology;
pub mod transfer;
pub mod wireguard;

pub use binaries::{binaries, binary};
pub use deployment::{Deployment, Member};
pub use instance::{BIN, Instance, ROOT, STOP, stream};
pub use machine::{Machine, link};
pub use port::free_port;
pub use process::Process;
