//! The endpoints of the local API.

use endpoint::Callers;

use crate::{Authority, Join, Status};

endpoint::declare! {
    /// All of them.
    ENDPOINTS for Root;

    /// Returns the agent's status.
    STATUS: GET "/v1/status" => Status, callers(Callers::User);
    /// Returns the certificate authority of the network's names; asks the home node if this is another node.
    AUTHORITY: GET "/v1/authority" => Authority, callers(Callers::User);
    /// Starts joining a network; responds at once.
    JOIN: POST "/v1/join" (Join) => Status, accepted;
    /// Logs out and wipes the state.
    LEAVE: POST "/v1/leave" => Status;
}
