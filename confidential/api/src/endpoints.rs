//! The endpoints of the confidential chain's servers, one list for each server.
//!
//! Their bodies are sealed, signed or OpenPCC's (`docs/protocols/confidential.md`). Homes show no certificate, so what is
//! for them is for anyone: what they send is sealed, what they get is signed.

use endpoint::Raw;

use crate::names::path;

/// Of the relay.
pub mod relay {
    use super::{Raw, path};

    endpoint::declare! {
        /// Every endpoint.
        ENDPOINTS for Anyone;

        /// Passes a sealed request on, and the sealed answer back.
        PASS: POST {path::ROOT} (Raw) => Raw;
    }
}

/// Of the OHTTP gateway.
pub mod gateway {
    use super::{Raw, path};

    endpoint::declare! {
        /// Every endpoint.
        ENDPOINTS for Anyone;

        /// Opens the outer seal of a request, and passes it on.
        OPEN: POST {path::ROOT} (Raw) => Raw;
        /// Tells the signed bundle of keys.
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

        /// Takes what a node says of itself.
        NODE_EVENTS: POST {path::NODE_EVENTS} (Raw) => Raw, callers(Callers::Role("node"));
        /// Tells the evidence of nodes.
        COMPUTE_MANIFESTS: POST {path::COMPUTE_MANIFESTS} (Raw) => Raw, callers(Callers::Role("gateway"));
        /// Asks a node for fresh evidence.
        ATTEST: POST {path::ATTEST} (Raw) => Raw, callers(Callers::Role("gateway"));
        /// Passes a request on to a node.
        PASS: POST {path::ROOT} (Raw) => Raw, callers(Callers::Role("gateway"));
        /// Answers at once.
        PING: GET {path::PING} => Raw;
        /// Says that the router runs.
        HEALTH: GET {path::HEALTH} => Raw;
    }
}

/// Of what publishes the configuration.
pub mod auth {
    use super::{Raw, path};

    endpoint::declare! {
        /// Every endpoint.
        ENDPOINTS for Anyone;

        /// Tells the signed configuration, the same to everyone.
        CONFIG: GET {path::CONFIG} => Raw;
        /// Says that it runs.
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
        /// Says that the node runs.
        HEALTH: GET {path::HEALTH} => Raw, callers(Callers::Role("router"));
    }
}
