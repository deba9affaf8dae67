//! The endpoints of the agent.

use endpoint::{Callers, Raw};

use crate::{Authority, Join, NetCheck, Status};

endpoint::declare! {
    /// Those of the local API.
    ENDPOINTS for Root;

    /// Returns the agent's status.
    STATUS: GET "/v1/status" => Status, callers(Callers::User);
    /// Returns the certificate authority of the network's names; asks the home node if this is another node.
    AUTHORITY: GET "/v1/authority" => Authority, callers(Callers::User);
    /// Returns what the network around this device allows; asks STUN servers.
    NETCHECK: GET "/v1/netcheck" => NetCheck, callers(Callers::User);
    /// Starts joining a network; responds at once.
    JOIN: POST "/v1/join" (Join) => Status, accepted;
    /// Logs out and wipes the state.
    LEAVE: POST "/v1/leave" => Status;
}

endpoint::declare! {
    /// Those of plain HTTP on the mesh port of HTTPS: how a device comes to trust the network's certificate authority.
    TRUST for Member;

    /// Shows the page with the steps.
    TRUST_PAGE: GET "/" => Raw;
    /// Returns the root's certificate as browsers and operating systems install it.
    ROOT_FILE: GET "/maru.crt" => Raw;
    /// Returns the root's certificate in PEM.
    ROOT_PEM: GET "/root.pem" => Raw;
}
