//! A map stream: it follows the network, and sends what has changed for its node.

use control_protocol::map::MapResponse;

use crate::{
    map::MapDeltas,
    model::NodeId,
    network::{CompiledNetwork, Position},
    time::Millis,
};

/// The state of a node's map stream.
#[derive(Clone, Debug, Default)]
pub struct MapSession {
    deltas: MapDeltas,
    position: Option<Position>,
}

/// The node is in no map any more: it was removed, or its key has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node is in no map any more")]
pub struct NotInNetwork;

impl MapSession {
    /// The response that brings the client of node `id` to `network`; `None` if nothing has changed for it.
    ///
    /// # Errors
    ///
    /// [`NotInNetwork`]; the session is unchanged.
    pub fn next(
        &mut self,
        network: &CompiledNetwork,
        id: NodeId,
        now: Millis,
    ) -> Result<Option<MapResponse>, NotInNetwork> {
        let sent = self.deltas.sent().zip(self.position.as_ref());
        let update = sent.and_then(|(view, position)| network.update(id, view, position));
        let response = match update {
            Some(update) => self.deltas.update(update),
            None => self.deltas.next(network.view(id).ok_or(NotInNetwork)?, now),
        };
        self.position = Some(network.position());
        Ok(response)
    }

    /// The last response to a node that is [`NotInNetwork`], see [`MapDeltas::end`].
    #[must_use]
    pub fn end(self, now: Millis) -> Option<MapResponse> {
        self.deltas.end(now)
    }
}
