//! A room as it is now.

use std::sync::Arc;

use ruma::{EventId, RoomId, UInt};
use sqlx::{AnyConnection, Row as _};
use store::{DatabaseError, column};
use telmeet_core::{event::Head, state::RoomState};

use crate::{
    error::Error,
    events::{self, StoredEvent},
    vault::Vault,
};

/// A room as it is now.
#[derive(Clone, Debug)]
pub struct Room {
    /// Its state.
    pub state: Arc<RoomState>,
    /// Its last event.
    pub head: Head,
    /// The number of its last event.
    pub sequence: u64,
}

impl Room {
    /// Reads a room from the database.
    pub(super) async fn load(
        connection: &mut AnyConnection,
        vault: &Vault,
        id: &RoomId,
    ) -> Result<Option<Self>, Error> {
        let query = "SELECT event_id, sequence FROM events WHERE room_id = $1 ORDER BY sequence DESC LIMIT 1";
        let row = sqlx::query(query).bind(id.as_str()).fetch_optional(&mut *connection).await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let event_id: String = row.try_get("event_id")?;
        let event_id = EventId::parse(event_id).map_err(|_| DatabaseError::Row("event_id"))?;
        let sequence = column::number(&row, "sequence")?;
        let depth = UInt::try_from(sequence).map_err(|_| DatabaseError::Row("sequence"))?;
        let mut state = RoomState::default();
        for StoredEvent { event, .. } in events::current_state(connection, vault, id).await? {
            state.apply(&event)?;
        }
        Ok(Some(Self { state: Arc::new(state), head: Head { event_id, depth }, sequence }))
    }
}
