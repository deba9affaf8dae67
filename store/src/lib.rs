//! The database of a daemon: SQLite in a file, or PostgreSQL by URL, with one set of queries.
//!
//! A daemon supplies its [`Schema`] and its queries. [`Opened::open`] runs migrations, [`Store::write`] begins a write
//! transaction, [`DatabaseLock`] excludes other processes, [`copy()`] makes a copy for a backup.
//!
//! Each write transaction first updates the one row of [`Schema::table`]. This serializes write transactions on both engines,
//! also those of other processes, so a transaction never overwrites a newer state than it has read. The row also has the
//! epoch of the current owner (see [`DatabaseLock`]): transactions of older epochs fail.
//!
//! [`notices`] wake other processes that share a PostgreSQL database ([`DatabaseLock::join`]).
//!
//! In every daemon the setting `database_url_file` names the file with the URL of a PostgreSQL database.
//!
//! [`seal`] encrypts values before they are stored.
//!
//! Every function here fails if the database does, with a [`DatabaseError`]; a failed transaction is rolled back when it is
//! dropped. Functions document their other errors.
#![forbid(unsafe_code)]
#![allow(clippy::missing_errors_doc, reason = "database errors are documented once, above")]

pub mod column;
mod copy;
mod database;
pub mod error;
mod lock;
pub mod metrics;
mod migrate;
pub mod notices;
mod open;
mod queue;
mod rehearse;
pub mod row;
mod schema;
pub mod seal;
mod write;

pub use copy::{CopyError, copy};
pub use database::Database;
pub use error::DatabaseError;
pub use lock::{DatabaseLock, LockError, process_name};
pub use metrics::DatabaseMetrics;
pub use open::{Opened, Store};
pub use queue::Priority;
pub use schema::{Migration, Schema};
pub use write::{RevisionUpdate, WriteTransaction};
