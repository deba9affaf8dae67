//! The endpoints of the agent.

use endpoint::{Callers, Raw};

use crate::{Authority, Join, NetCheck, Pong, Status, Whois};

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
    /// Takes the tunnel down; the node stays a member, and paused over a restart of the agent.
    PAUSE: POST "/v1/pause" => Status;
    /// Brings the tunnel up again.
    RESUME: POST "/v1/resume" => Status;
    /// Returns the node that has a name, mesh address or stable id.
    WHOIS: GET "/v1/whois/{node}" => Whois, callers(Callers::User);
    /// Pings a peer once, inside the tunnel.
    PING: POST "/v1/ping/{node}" => Pong, callers(Callers::User), read_only;
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
