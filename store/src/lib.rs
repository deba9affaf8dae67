//! The database of a daemon: SQLite in a file, or PostgreSQL by URL, with one set of queries.
//!
//! A daemon brings its [`Schema`] and its queries; nothing here knows what is stored. [`Opened::open`] brings the tables up
//! to date, [`Store::write`] begins a write transaction, [`DatabaseLock`] keeps a second process away, [`copy()`] makes a copy for
//! a backup.
//!
//! Each write transaction first writes the one row of [`Schema::table`]. That row makes write transactions wait for each
//! other on both engines, also those of another process on the same database, so what a transaction reads is what it
//! overwrites. The same row holds the epoch of whoever has the database (see [`DatabaseLock`]): under an older one nothing is
//! written.
//!
//! The setting that names the file with the URL of a PostgreSQL database is `database_url_file` in every daemon; errors
//! name it.
//!
//! [`seal`] is how values are sealed that the database must not show; it knows nothing of the rest.
//!
//! Every function here fails if the database does, with a [`DatabaseError`]; a transaction that fails is undone when it is
//! dropped. What else makes a function fail is said with it.
#![forbid(unsafe_code)]
#![allow(clippy::missing_errors_doc, reason = "that the database may fail is said once, above")]

pub mod column;
mod copy;
mod database;
pub mod error;
mod lock;
pub mod metrics;
mod open;
mod queue;
pub mod row;
mod schema;
pub mod seal;
mod write;

pub use copy::{CopyError, copy};
pub use database::Database;
pub use error::DatabaseError;
pub use lock::{DatabaseLock, LockError};
pub use metrics::DatabaseMetrics;
pub use open::{Opened, Store};
pub use queue::Priority;
pub use schema::{Migration, Schema};
pub use write::{RevisionUpdate, WriteTransaction};
