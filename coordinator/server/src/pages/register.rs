//! `/register/TICKET`: the page of an `AuthURL`. It shows the code for the admin's approval, and accepts an invitation: not
//! every app accepts a key together with a server.
//!
//! Over plain HTTP it accepts no invitation, which could be intercepted. Nothing that the device reports is shown.

use std::time::Instant;

use axum::{
    body::Body,
    extract::{Extension, Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use chassis::{
    body::BodyError,
    page::{Page, escaped},
};
use coordinator_core::{
    code,
    invitation_form::{self, FORM_MAX},
};
use messages::message;

use crate::{
    app::App,
    limits::Caller,
    registry::{self, RedeemOutcome, RegisterError},
};

/// Why no invitation was taken.
enum RedeemError {
    /// The request's body was not read.
    Unread(BodyError),
    /// The body is no invitation to this network, or it came over plain HTTP.
    Wrong,
    /// The registration failed.
    Register(RegisterError),
}

impl From<RegisterError> for RedeemError {
    fn from(error: RegisterError) -> Self {
        Self::Register(error)
    }
}

/// Shows the code of the device that waits under the ticket.
pub(super) async fn show(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(ticket): Path<String>,
    headers: HeaderMap,
) -> Response {
    let snapshot = app.hub.snapshot();
    let waits = snapshot.loaded.pending.iter().any(|pending| pending.ticket == ticket);
    if !waits {
        return Page::new(StatusCode::NOT_FOUND, message!("page-nobody")).response(&headers);
    }
    let is_plain = app.is_plain(&caller);
    let code = escaped(&code::of(&ticket));
    let text = if is_plain {
        message!("page-waiting-plain", code)
    } else {
        message!("page-waiting", code)
    };
    let forms = if is_plain { Vec::new() } else { vec!["'self'".to_owned()] };
    Page { forms, ..Page::new(StatusCode::OK, text) }.response(&headers)
}

/// Accepts an invitation for the waiting device with the ticket.
pub(super) async fn redeem(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(ticket): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Err(wait) = app.tries.take(caller.origin, Instant::now()) {
        tracing::info!("refused an invitation: too many attempts from this address");
        return later(StatusCode::TOO_MANY_REQUESTS, wait.as_secs() + 1, &headers);
    }
    match try_redeem(&app, &caller, ticket, body).await {
        Ok(RedeemOutcome::Node) => {
            Page::new(StatusCode::OK, message!("page-joined")).response(&headers)
        }
        Ok(RedeemOutcome::Waiting(code)) => {
            let text = message!("page-accepted", code = escaped(&code));
            Page::new(StatusCode::OK, text).response(&headers)
        }
        Err(
            RedeemError::Unread(BodyError::NoMemory)
            | RedeemError::Register(RegisterError::Busy | RegisterError::Often),
        ) => later(StatusCode::SERVICE_UNAVAILABLE, 10, &headers),
        Err(RedeemError::Unread(unread)) => {
            Page::new(unread.status(), message!("page-unread")).response(&headers)
        }
        Err(RedeemError::Register(RegisterError::Refused(_)) | RedeemError::Wrong) => {
            // The same whatever was wrong: it shows nobody which keys or tickets exist.
            Page::new(StatusCode::FORBIDDEN, message!("page-refused")).response(&headers)
        }
        Err(RedeemError::Register(error @ (RegisterError::Store(_) | RegisterError::Hub(_)))) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot redeem an invitation"
            );
            later(StatusCode::SERVICE_UNAVAILABLE, 10, &headers)
        }
    }
}

/// Reads the form and redeems its invitation.
async fn try_redeem(
    app: &App,
    caller: &Caller,
    ticket: String,
    body: Body,
) -> Result<RedeemOutcome, RedeemError> {
    if app.is_plain(caller) {
        return Err(RedeemError::Wrong);
    }
    let form = app.bodies.read(body, FORM_MAX, caller.origin).await.map_err(RedeemError::Unread)?;
    let offer = invitation_form::parse(form.bytes()).ok_or(RedeemError::Wrong)?;
    if offer.coordinator.is_some_and(|key| key != app.noise.public()) {
        return Err(RedeemError::Wrong);
    }
    Ok(registry::redeem(app, caller.origin, ticket, offer.key).await?)
}

fn later(status: StatusCode, wait_s: u64, headers: &HeaderMap) -> Response {
    let mut response = Page::new(status, message!("page-later")).response(headers);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait_s));
    response
}
