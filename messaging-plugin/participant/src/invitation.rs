//! The AI joins where it is invited.

use ruma::{RoomId, UserId};
use serde_json::{Value, json, value::RawValue};

use crate::{
    homeserver::segment,
    participant::{Error, Participant},
};

/// Most rooms.
const ROOMS: usize = 256;

impl Participant {
    /// Joins a room to which somebody of the network invites, of whose state the invitation shows these events.
    pub(crate) async fn handle_invitation(
        &self,
        room: &RoomId,
        shown: &[Box<RawValue>],
    ) -> Result<(), Error> {
        let mut events = shown.iter().filter_map(|it| serde_json::from_str::<Value>(it.get()).ok());
        let own = events.find(|event| {
            event["type"] == "m.room.member" && event["state_key"] == self.me.as_str()
        });
        let inviter = own.and_then(|event| UserId::parse(event["sender"].as_str()?).ok());
        let is_of_network = inviter.is_some_and(|it| it.server_name() == self.me.server_name());
        let joined = self.homeserver.get("/_matrix/client/v3/joined_rooms").await?;
        let count = joined["joined_rooms"].as_array().map_or(0, Vec::len);
        if !is_of_network || count >= ROOMS {
            tracing::warn!(%room, count, "an invitation is refused");
            return self.leave(room).await;
        }
        let path = format!("/_matrix/client/v3/join/{}", segment(room.as_str()));
        match self.homeserver.post(&path, json!({})).await {
            Ok(_) => tracing::info!(%room, "the AI joined a room"),
            // The invitation was taken back.
            Err(error) if error.is_final() && !error.is_signed_out() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if let Some(view) = self.view(room).await? {
            self.tell(room, &view).await?;
        }
        Ok(())
    }
}
