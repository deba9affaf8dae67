//! The endpoints of the confidential chain's servers, one list for each server.
//!
//! Their bodies are sealed, signed or OpenPCC's (`docs/protocols/confidential.md`). Homes have no client certificates, so
//! their endpoints are for anyone: requests are sealed, responses are signed.

use endpoint::Raw;

use crate::names::path;

/// Of the relay.
pub mod relay {
    use super::{Raw, path};

    endpoint::declare! {
        /// Every endpoint.
        ENDPOINTS for Anyone;

        /// Forwards a sealed request and the sealed response.
        PASS: POST {path::ROOT} (Raw) => Raw;
    }
}

/// Of the OHTTP gateway.
pub mod gateway {
    use super::{Raw, path};

    endpoint::declare! {
        /// Every endpoint.
        ENDPOINTS for Anyone;

        /// Opens the outer encryption of a request, and forwards it.
        OPEN: POST {path::ROOT} (Raw) => Raw;
        /// Serves the signed bundle of keys.
        BUNDLE: GET {path::BUNDLE} => Raw;
    }
}

/// Of the router.
pub mod router {
    use endpoint::Callers;

    use super::{Raw, path};

    endpoint::declare! {
        /// Every endpoint.
        ENDPOINTS for Certified;

        /// Receives events of nodes.
        NODE_EVENTS: POST {path::NODE_EVENTS} (Raw) => Raw, callers(Callers::Role("node"));
        /// Lists nodes with their evidence.
        COMPUTE_MANIFESTS: POST {path::COMPUTE_MANIFESTS} (Raw) => Raw, callers(Callers::Role("gateway"));
        /// Requests fresh evidence of a node.
        ATTEST: POST {path::ATTEST} (Raw) => Raw, callers(Callers::Role("gateway"));
        /// Forwards a request to a node.
        PASS: POST {path::ROOT} (Raw) => Raw, callers(Callers::Role("gateway"));
        /// Responds at once.
        PING: GET {path::PING} => Raw;
        /// Checks the health of the router.
        HEALTH: GET {path::HEALTH} => Raw;
    }
}

/// Of auth.
pub mod auth {
    use super::{Raw, path};

    endpoint::declare! {
        /// Every endpoint.
        ENDPOINTS for Anyone;

        /// Serves the signed configuration, the same to every client.
        CONFIG: GET {path::CONFIG} => Raw;
        /// Checks the health of auth.
        HEALTHZ: GET {path::HEALTHZ} => Raw;
    }
}

/// Of a compute node.
pub mod node {
    use endpoint::Callers;

    use super::{Raw, path};

    endpoint::declare! {
        /// Every endpoint.
        ENDPOINTS for Certified;

        /// Answers a sealed request.
        ASK: POST {path::ROOT} (Raw) => Raw, callers(Callers::Role("router"));
        /// Makes fresh evidence.
        ATTEST: POST {path::ATTEST} (Raw) => Raw, callers(Callers::Role("router"));
        /// Checks the health of the node.
        HEALTH: GET {path::HEALTH} => Raw, callers(Callers::Role("router"));
    }
}
