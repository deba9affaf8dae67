//! One write transaction, all of it or nothing.

use sqlx::{Any, AnyConnection, Transaction};
use tokio::time::Instant;

use crate::{error::DatabaseError, queue::WritePermit, times::Times};

/// Whether a write transaction counts the revision up. What is kept in memory is read again when it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It does not, and is in no [`Times`].
    No = 0,
    /// It does.
    Yes = 1,
}

/// A write transaction in its turn. Nothing is written until [`Write::commit`]; dropping it undoes it.
#[derive(Debug)]
pub struct Write {
    tx: Transaction<'static, Any>,
    _turn: WritePermit,
    began: Instant,
    /// `None` if it is not counted.
    times: Option<Times>,
}

impl Write {
    pub(crate) fn new(
        tx: Transaction<'static, Any>,
        turn: WritePermit,
        times: Option<Times>,
    ) -> Self {
        Self { tx, _turn: turn, began: Instant::now(), times }
    }

    /// For the queries of the transaction.
    pub fn connection(&mut self) -> &mut AnyConnection {
        &mut self.tx
    }

    /// Makes the change. If the database fails now, it is not known whether the change was made.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        self.tx.commit().await?;
        if let Some(times) = &self.times {
            times.changes.inc();
            times.change.observe(self.began.elapsed().as_secs_f64());
        }
        Ok(())
    }
}
