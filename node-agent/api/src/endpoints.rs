//! The endpoints of the local API.

use endpoint::Callers;

use crate::{Join, Status};

endpoint::declare! {
    /// All of them.
    ENDPOINTS for Root;

    /// Returns the agent's status.
    STATUS: GET "/v1/status" => Status, callers(Callers::User);
    /// Starts joining a network; responds at once.
    JOIN: POST "/v1/join" (Join) => Status, accepted;
    /// Logs out and wipes the state.
    LEAVE: POST "/v1/leave" => Status;
}
