//! Deletes sessions that `session.maintenance` of `openclaw.json` keeps no longer, once an hour.

use std::time::{Duration, Instant};

use chassis::steadiness::Steadiness;
use conversations::Retention;

use super::{NotKept, Sessions};
use crate::now_ms;

/// Interval between two rounds.
const ROUND: Duration = Duration::from_secs(60 * 60);

impl Sessions {
    /// Deletes what is kept no longer by the settings of that moment, for as long as it is polled.
    pub(crate) async fn expire(&self, retention: impl Fn() -> Retention) {
        let mut rounds = tokio::time::interval(ROUND);
        let mut clock = Steadiness::new(now_ms(), Instant::now());
        loop {
            rounds.tick().await;
            let (retention, is_steady) =
                (retention(), clock.handle_round(now_ms(), Instant::now()));
            if is_steady && retention != Retention::default() {
                match self.retain(retention).await {
                    Ok(0) => {}
                    Ok(count) => {
                        tracing::info!(count, "conversations were deleted by age, number or size")
                    }
                    Err(reason) => tracing::warn!(%reason, "old conversations are not deleted"),
                }
            }
        }
    }

    /// Deletes now what is kept no longer; returns how many.
    pub(crate) async fn retain(&self, retention: Retention) -> Result<u64, NotKept> {
        let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
        Ok(self.opened().await?.retain(retention, now).await?)
    }
}
