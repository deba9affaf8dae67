//! A write transaction.

use sqlx::{Any, AnyConnection, Transaction};
use tokio::time::Instant;

use crate::{error::DatabaseError, metrics::DatabaseMetrics, queue::WritePermit};

/// Whether a write transaction increments the revision, after which daemons reload their state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevisionUpdate {
    /// It does not, and is not in [`DatabaseMetrics`].
    Keep = 0,
    /// It does.
    Increment = 1,
}

/// A write transaction. Dropping it before [`WriteTransaction::commit`] rolls it back.
#[derive(Debug)]
pub struct WriteTransaction {
    tx: Transaction<'static, Any>,
    _turn: WritePermit,
    revision: i64,
    began: Instant,
    /// `None` if the revision stays.
    metrics: Option<DatabaseMetrics>,
}

impl WriteTransaction {
    pub(crate) fn new(
        tx: Transaction<'static, Any>,
        permit: WritePermit,
        revision: i64,
        metrics: Option<DatabaseMetrics>,
    ) -> Self {
        Self { tx, _turn: permit, revision, began: Instant::now(), metrics }
    }

    /// The revision that the database has once this is committed.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// For the queries of the transaction.
    pub fn connection(&mut self) -> &mut AnyConnection {
        &mut self.tx
    }

    /// Commits. If the database fails now, it is not known whether the change was made.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        self.tx.commit().await?;
        if let Some(metrics) = &self.metrics {
            metrics.changes.inc();
            metrics.write.observe(self.began.elapsed().as_secs_f64());
        }
        Ok(())
    }
}
