//! `POST /machine/certificate`: public certificates for the names that the admin gave to a node.
//!
//! ```text
//! node ── signing request ──▶ one of its names? ── order ──▶ authority ── challenge on the public port ──▶ chain
//! ```
//!
//! A node with a modified client gets certificates for its own names alone, however it writes the request, and few of them.

use std::{sync::Arc, time::Instant};

use axum::{Extension, Json, body::Body, http::StatusCode};
use chassis::log::event;
use control_protocol::certificate::{CertificateRequest, CertificateResponse, MAX_REQUEST_LEN};
use coordinator_core::signing_request::SigningRequest;
use rustls::pki_types::{CertificateSigningRequestDer, pem::PemObject as _};

use super::{
    map::authorize,
    refused::{Refused, check_version, read},
};
use crate::app::Peer;

pub(super) async fn certificate(
    Extension(peer): Extension<Arc<Peer>>,
    body: Body,
) -> Result<Json<CertificateResponse>, Refused> {
    let (request, _held): (CertificateRequest, _) = read(&peer, body, MAX_REQUEST_LEN).await?;
    check_version(request.version)?;
    let node = authorize(&peer, &request.node_key).await?;
    let der = CertificateSigningRequestDer::from_pem_slice(request.signing_request.as_bytes())
        .map_err(|_| Refused(StatusCode::BAD_REQUEST, "not a request in PEM".to_owned()))?;
    let request = SigningRequest::decode(&der)
        .map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))?;
    let names = peer.app.hub.snapshot().compiled.certified_names(node.id);
    let (true, Some(acme)) = (names.contains(&request.name), &peer.app.acme) else {
        let name = common::foreign::short(&request.name, 100);
        tracing::warn!(node = node.id, name, "a certificate for a name of others is refused");
        let text = "this node may have no certificate for that name".to_owned();
        return Err(Refused(StatusCode::FORBIDDEN, text));
    };
    if peer.app.orders.take(&request.name, Instant::now()).is_err() {
        let text = "too many certificates were ordered for this name: retry in an hour".to_owned();
        return Err(Refused(StatusCode::TOO_MANY_REQUESTS, text));
    }
    match acme.certify(&request).await {
        Ok(chain) => Ok(Json(CertificateResponse { chain })),
        Err(error) => {
            let text = error.to_string();
            let error = &error as &dyn std::error::Error;
            let event = event::CERTIFICATE;
            tracing::warn!(%event, name = request.name, error, "no certificate for a name of the mesh");
            // The node's admin has to know why.
            Err(Refused(StatusCode::BAD_GATEWAY, text))
        }
    }
}
