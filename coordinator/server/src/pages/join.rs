//! `/join`: the page of an invitation. The keys are in the fragment, which browsers do not send; a script of the page reads
//! it and shows the commands to copy.

use axum::{
    extract::{Extension, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use chassis::page::{self, Page, Script};
use messages::message;

use crate::{app::App, limits::Caller};

const SOURCE: &str = include_str!("join.js");

static SCRIPT: Script = Script::new(SOURCE, || page::hash(SOURCE));

/// Shows how each kind of device joins.
pub(super) async fn show(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    // A page that came over plain HTTP may have been changed on its way, so it does not read the key.
    let is_plain = app.is_plain(&caller);
    let text = if is_plain {
        message!("page-join-plain")
    } else {
        message!("page-join", address = page::escaped(&app.config.settings.server_url()))
    };
    let script = (!is_plain).then_some(&SCRIPT);
    Page { script, ..Page::new(StatusCode::OK, text) }.response(&headers)
}
