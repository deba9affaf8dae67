//! `POST /machine/register`.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Json, body::Body, http::StatusCode};
use control_protocol::{
    key::NodePublic,
    register::{Login, MAX_REQUEST_LEN, RegisterRequest, RegisterResponse, User},
};
use coordinator_core::{
    model::Owner,
    network::{TAGGED, wire_id},
    registration::Refusal,
};

use super::refused::{Refused, check_version, read, unavailable};
use crate::{
    app::{App, Peer},
    registry::{self, RegisterError, RegistrationStatus},
};

/// How long a request waits for approval; the client then sends it again.
const APPROVAL_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Interval of database lookups for a device that registered at another coordinator on the same database.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(1);

pub(super) async fn register(
    Extension(peer): Extension<Arc<Peer>>,
    body: Body,
) -> Result<Json<RegisterResponse>, Refused> {
    let (request, _held): (RegisterRequest, _) = read(&peer, body, MAX_REQUEST_LEN).await?;
    check_version(request.version)?;
    let answer = if request.followup.is_empty() {
        registry::register(&peer, &request).await
    } else {
        await_approval(&peer, &request).await
    };
    match answer {
        Ok(answer) => Ok(Json(response(&peer.app, answer))),
        // Temporary: the device keeps its state and tries again.
        Err(
            error @ (RegisterError::Refused(Refusal::Full)
            | RegisterError::Busy
            | RegisterError::Often),
        ) => {
            tracing::info!(reason = %error, "registration deferred");
            Err(Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
        }
        Err(RegisterError::Refused(refusal)) => {
            tracing::info!(reason = %refusal, "registration refused");
            Ok(Json(RegisterResponse { error: refusal.to_string(), ..RegisterResponse::default() }))
        }
        Err(error) => Err(unavailable(&error)),
    }
}

/// Waits until the device is approved or rejected.
async fn await_approval(
    peer: &Peer,
    request: &RegisterRequest,
) -> Result<RegistrationStatus, RegisterError> {
    let until = tokio::time::Instant::now() + APPROVAL_TIMEOUT;
    let mut network = peer.app.hub.watch();
    loop {
        let answer = registry::register(peer, request).await?;
        if !matches!(answer, RegistrationStatus::Waiting(_)) {
            return Ok(answer);
        }
        if !waits(&peer.app.hub.snapshot(), &request.node_key) {
            // It registered at another coordinator on the same database: look there.
            tokio::time::sleep(LOOKUP_INTERVAL).await;
            peer.app.hub.refresh().await?;
            continue;
        }
        let decided = network.wait_for(|snapshot| !waits(snapshot, &request.node_key));
        let stopped = peer.app.stop.cancelled();
        tokio::select! {
            _ = decided => {}
            () = stopped => return Ok(answer),
            () = tokio::time::sleep_until(until) => return Ok(answer),
        }
    }
}

fn waits(snapshot: &crate::hub::Snapshot, node_key: &NodePublic) -> bool {
    snapshot.loaded.pending.iter().any(|pending| pending.device.node_key == *node_key)
}

fn response(app: &App, answer: RegistrationStatus) -> RegisterResponse {
    match answer {
        RegistrationStatus::Expired => {
            RegisterResponse { node_key_expired: true, ..RegisterResponse::default() }
        }
        RegistrationStatus::Waiting(ticket) => {
            RegisterResponse { auth_url: app.auth_url(&ticket), ..RegisterResponse::default() }
        }
        RegistrationStatus::Node(owner) => {
            let (id, name) = match owner {
                Owner::User(id) => {
                    let name = app.hub.snapshot().user_name(id).unwrap_or_default().to_owned();
                    (wire_id(id), name)
                }
                Owner::Tags(_) => (TAGGED.0, TAGGED.1.to_owned()),
            };
            RegisterResponse {
                user: User { id, display_name: name.clone() },
                login: Login {
                    id,
                    provider: "maru".to_owned(),
                    login_name: name.clone(),
                    display_name: name,
                },
                machine_authorized: true,
                ..RegisterResponse::default()
            }
        }
    }
}
