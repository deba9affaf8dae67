//! One write transaction, all of it or nothing.

use sqlx::{Any, AnyConnection, Transaction};
use tokio::time::Instant;

use crate::{error::DatabaseError, metrics::DatabaseMetrics, queue::WritePermit};

/// Whether a write transaction counts the revision up. What is kept in memory is read again when it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevisionUpdate {
    /// It does not, and is in no [`DatabaseMetrics`].
    Keep = 0,
    /// It does.
    Increment = 1,
}

/// A write transaction in its permit. Nothing is written until [`WriteTransaction::commit`]; dropping it undoes it.
#[derive(Debug)]
pub struct WriteTransaction {
    tx: Transaction<'static, Any>,
    _turn: WritePermit,
    began: Instant,
    /// `None` if it is not counted.
    metrics: Option<DatabaseMetrics>,
}

impl WriteTransaction {
    pub(crate) fn new(
        tx: Transaction<'static, Any>,
        permit: WritePermit,
        metrics: Option<DatabaseMetrics>,
    ) -> Self {
        Self { tx, _turn: permit, began: Instant::now(), metrics }
    }

    /// For the queries of the transaction.
    pub fn connection(&mut self) -> &mut AnyConnection {
        &mut self.tx
    }

    /// Makes the change. If the database fails now, it is not known whether the change was made.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        self.tx.commit().await?;
        if let Some(metrics) = &self.metrics {
            metrics.changes.inc();
            metrics.write.observe(self.began.elapsed().as_secs_f64());
        }
        Ok(())
    }
}
