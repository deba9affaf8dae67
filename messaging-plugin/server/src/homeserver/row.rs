//! The one row of the table `homeserver`.

use sqlx::{AnyConnection, AnyPool, Row as _};
use store::{DatabaseError, column};
use telmeet_core::token::{Clock, Position};

use crate::error::Error;

/// Inserts the one row, or checks that the database belongs to this network.
pub(super) async fn begin(pool: &AnyPool, network: &str) -> Result<(), Error> {
    let insert = "INSERT INTO homeserver (id, network, revision, epoch, generation, position) \
         VALUES (1, $1, 0, 0, 1, 0) ON CONFLICT DO NOTHING";
    sqlx::query(insert).bind(network).execute(pool).await?;
    let row = sqlx::query("SELECT network FROM homeserver WHERE id = 1").fetch_one(pool).await?;
    let stored: String = row.try_get("network")?;
    if stored == network {
        return Ok(());
    }
    tracing::error!(stored, network, "the database belongs to another network");
    Err(Error::Database(DatabaseError::Row("network: the database belongs to another network")))
}

/// The present generation, and the last position that was given out.
pub(super) async fn read_clock(connection: &mut AnyConnection) -> Result<Clock, Error> {
    let query = "SELECT generation, position FROM homeserver WHERE id = 1";
    let row = sqlx::query(query).fetch_one(connection).await?;
    let generation = column::number(&row, "generation")?;
    let latest: Position = column::number(&row, "position")?;
    let generation = u32::try_from(generation).map_err(|_| DatabaseError::Row("generation"))?;
    Ok(Clock { generation, latest })
}
