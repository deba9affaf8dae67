//! `POST /machine/register`.

use std::time::Duration;

use axum::{Json, body::Body, extract::State, http::StatusCode};
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
    registry::{self, Answer, RegisterError},
};

/// How long a request that follows up on an approval is held; the client then asks again.
const HELD: Duration = Duration::from_secs(10 * 60);

/// How often the database is asked about a device that waits at another coordinator on the same database.
const ELSEWHERE: Duration = Duration::from_secs(1);

pub(super) async fn register(
    State(peer): State<Peer>,
    body: Body,
) -> Result<Json<RegisterResponse>, Refused> {
    let (request, _held): (RegisterRequest, _) = read(&peer, body, MAX_REQUEST_LEN).await?;
    check_version(request.version)?;
    let answer = if request.followup.is_empty() {
        registry::register(&peer, &request).await
    } else {
        held(&peer, &request).await
    };
    match answer {
        Ok(answer) => Ok(Json(response(&peer.app, answer))),
        // Nothing about this device: it shall ask again, and keep what it has until then.
        Err(
            error @ (RegisterError::Refused(Refusal::Full)
            | RegisterError::Busy
            | RegisterError::Often),
        ) => {
            tracing::info!(reason = %error, "registration put off");
            Err(Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
        }
        Err(RegisterError::Refused(refusal)) => {
            tracing::info!(reason = %refusal, "registration refused");
            Ok(Json(RegisterResponse { error: refusal.to_string(), ..RegisterResponse::default() }))
        }
        Err(error) => Err(unavailable(&error)),
    }
}

/// Waits until the device no longer waits for the admin.
async fn held(peer: &Peer, request: &RegisterRequest) -> Result<Answer, RegisterError> {
    let until = tokio::time::Instant::now() + HELD;
    let mut network = peer.app.hub.watch();
    loop {
        let answer = registry::register(peer, request).await?;
        if !matches!(answer, Answer::Waiting(_)) {
            return Ok(answer);
        }
        if !waits(&peer.app.hub.snapshot(), &request.node_key) {
            // Another coordinator on the same database let it wait: ask the database now and then.
            tokio::time::sleep(ELSEWHERE).await;
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
    snapshot.loaded.pending.iter().any(|pending| pending.node_key == *node_key)
}

fn response(app: &App, answer: Answer) -> RegisterResponse {
    match answer {
        Answer::Expired => {
            RegisterResponse { node_key_expired: true, ..RegisterResponse::default() }
        }
        Answer::Waiting(ticket) => {
            RegisterResponse { auth_url: app.auth_url(&ticket), ..RegisterResponse::default() }
        }
        Answer::Node(owner) => {
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
