//! `/register/TICKET`: the page behind an `AuthURL`. It shows the code by which the admin approves the device, and takes
//! an invitation for it: not every app takes a key together with a server.
//!
//! Over plain HTTP it takes none, since whoever is on the way would have it. Nothing that a device says of itself is
//! shown.

use std::time::Instant;

use axum::{
    body::Body,
    extract::{Extension, Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use chassis::body::BodyError;
use coordinator_core::{
    code,
    invitation_form::{self, FORM_MAX},
};

use super::html::{Page, Text};
use crate::{
    app::App,
    limits::Caller,
    registry::{self, RedeemOutcome, RegisterError},
};

const WAITS: Text =
    Text { english: include_str!("waits.en.html"), korean: include_str!("waits.ko.html") };

const WAITS_PLAIN: Text = Text {
    english: include_str!("waits_plain.en.html"),
    korean: include_str!("waits_plain.ko.html"),
};

const NOBODY: Text = Text {
    english: "<h1>No device waits here</h1>\n<p>It was approved or rejected, or it waited too long. Look at the \
              device.</p>\n",
    korean: "<h1>기다리는 기기가 없습니다</h1>\n<p>이미 승인되었거나 거절되었거나 시간이 지났습니다. 기기를 \
             확인하세요.</p>\n",
};

const JOINED: Text = Text {
    english: "<h1>The device has joined</h1>\n<p>Go back to the app: it goes on by itself.</p>\n",
    korean: "<h1>기기가 참여했습니다</h1>\n<p>앱으로 돌아가세요. 저절로 이어집니다.</p>\n",
};

const ACCEPTED: Text = Text {
    english: "<h1>The invitation was accepted</h1>\n<p>The device still waits for the admin of the network, who runs:</p>\n\
              <pre>sudo maru device approve {{code}}</pre>\n<p>Then the app goes on by itself.</p>\n",
    korean: "<h1>초대장이 받아들여졌습니다</h1>\n<p>네트워크 관리자의 승인이 남아 있습니다. 관리자는 다음을 \
             실행합니다.</p>\n<pre>sudo maru device approve {{code}}</pre>\n<p>그러면 앱이 저절로 이어집니다.</p>\n",
};

/// The same for whatever was wrong, so that nobody learns from it which keys or tickets there are.
const REFUSED: Text = Text {
    english: "<h1>That did not work</h1>\n<p>Either no device waits here any more, or the invitation is not whole, was \
              used already, has expired, or is not for this network or device. Look at the device, copy all of the \
              invitation, or ask the admin for another.</p>\n",
    korean: "<h1>처리할 수 없습니다</h1>\n<p>여기서 기다리는 기기가 더 이상 없거나, 초대장이 온전하지 않거나, 이미 \
             쓰였거나, 기한이 지났거나, 이 네트워크나 기기를 위한 것이 아닙니다. 기기를 확인하고 초대장 전체를 다시 \
             복사하거나 관리자에게 새 초대장을 요청하세요.</p>\n",
};

const UNREAD: Text = Text {
    english: "<h1>The invitation did not arrive</h1>\n<p>What was sent was too long, or it did not come to its end in time. \
              Copy the invitation and nothing else, then try again.</p>\n",
    korean: "<h1>초대장을 받지 못했습니다</h1>\n<p>보낸 내용이 너무 길거나 제때 끝까지 오지 않았습니다. 초대장만 복사해 다시 \
             시도하세요.</p>\n",
};

const LATER: Text = Text {
    english: "<h1>Not now</h1>\n<p>Too much was tried at once. Wait a minute, then try again.</p>\n",
    korean: "<h1>잠시 기다리세요</h1>\n<p>한꺼번에 너무 많이 시도했습니다. 1분 뒤에 다시 시도하세요.</p>\n",
};

/// Shows the code of the device that waits under the ticket.
/// Why no invitation was taken.
enum RedeemError {
    /// What was sent was not read.
    Unread(BodyError),
    /// It is no invitation of this network, or came as none is taken.
    Wrong,
    /// The registration failed.
    Register(RegisterError),
}

impl From<RegisterError> for RedeemError {
    fn from(error: RegisterError) -> Self {
        Self::Register(error)
    }
}

pub(super) async fn show(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(ticket): Path<String>,
    headers: HeaderMap,
) -> Response {
    let snapshot = app.hub.snapshot();
    let waits = snapshot.loaded.pending.iter().any(|pending| pending.ticket == ticket);
    if !waits {
        return page(StatusCode::NOT_FOUND, NOBODY, "").response(&headers);
    }
    let is_plain = app.is_plain(&caller);
    let code = code::of(&ticket);
    let text = if is_plain { WAITS_PLAIN } else { WAITS };
    Page { has_form: !is_plain, ..page(StatusCode::OK, text, &code) }.response(&headers)
}

/// Takes an invitation for the device that waits under the ticket.
pub(super) async fn redeem(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(ticket): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Err(wait) = app.tries.take(caller.origin, Instant::now()) {
        tracing::info!("too many invitations were tried from one address");
        return later(StatusCode::TOO_MANY_REQUESTS, wait.as_secs() + 1, &headers);
    }
    match try_redeem(&app, &caller, ticket, body).await {
        Ok(RedeemOutcome::Node) => page(StatusCode::OK, JOINED, "").response(&headers),
        Ok(RedeemOutcome::Waiting(code)) => {
            page(StatusCode::OK, ACCEPTED, &code).response(&headers)
        }
        Err(
            RedeemError::Unread(BodyError::NoMemory)
            | RedeemError::Register(RegisterError::Busy | RegisterError::Often),
        ) => later(StatusCode::SERVICE_UNAVAILABLE, 10, &headers),
        Err(RedeemError::Unread(unread)) => page(unread.status(), UNREAD, "").response(&headers),
        Err(RedeemError::Register(RegisterError::Refused(_)) | RedeemError::Wrong) => {
            page(StatusCode::FORBIDDEN, REFUSED, "").response(&headers)
        }
        Err(RedeemError::Register(error @ (RegisterError::Store(_) | RegisterError::Hub(_)))) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "an invitation was not taken"
            );
            later(StatusCode::SERVICE_UNAVAILABLE, 10, &headers)
        }
    }
}

/// Reads the form and does what it asks; `None` for what holds no invitation to this network.
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
    let mut response = page(status, LATER, "").response(headers);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait_s));
    response
}

fn page(status: StatusCode, text: Text, code: &str) -> Page<'_> {
    Page { status, text, address: "", code, script: None, has_form: false }
}
