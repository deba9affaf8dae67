//! The page at which a person confirms that an app signs in, by SSO or OAuth.
//!
//! Any website may open it, so it wants a press, which sends a token that only the page has. The listener's guard accepts
//! the form from the page's own origin alone.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chassis::page::{Page, escaped};
use mesh_identity::Header;
use mesh_listener::Shown;
use messages::{Message, message};
use telmeet_core::sign_in::{
    authorization::{Authorization, Refused},
    code::Grant,
    form::Form,
    metadata,
    one_time::Caller,
    redirect::{Redirect, ResponseMode},
};

use super::{people, state::Confirmation};
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Bytes, Route, raw},
    random,
    session::Visitor,
};

/// Path of the page of SSO.
const SSO: &str = "/sign-in/sso";
/// Path to which the pages' form is sent.
const CONFIRM: &str = "/sign-in/confirm";

pub(super) fn routes() -> Vec<Route> {
    let redirects = [
        "/_matrix/client/r0/login/sso/redirect",
        "/_matrix/client/r0/login/sso/redirect/mesh",
        "/_matrix/client/v3/login/sso/redirect",
        "/_matrix/client/v3/login/sso/redirect/mesh",
    ];
    let redirects = redirects.into_iter().flat_map(|path| raw(Method::GET, path, to_page));
    let pages = [
        raw(Method::GET, SSO, sso),
        raw(Method::GET, metadata::AUTHORIZE_PATH, authorize),
        raw(Method::POST, CONFIRM, confirm),
    ];
    redirects.chain(pages.into_iter().flatten()).collect()
}

/// Sends the browser to the page, which is not below `/_matrix`, where websites may read.
async fn to_page(RawQuery(query): RawQuery) -> Response {
    see(&format!("{SSO}?{}", query.unwrap_or_default()))
}

async fn sso(
    State(homeserver): State<Arc<Homeserver>>,
    Visitor(header): Visitor,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let form = Form::parse(query.unwrap_or_default().as_bytes());
    let redirect = form
        .and_then(|form| Redirect::parse(form.need("redirectUrl")?, &homeserver.sign_in.own_names));
    match redirect {
        Ok(redirect) => ask(&homeserver, &header, Confirmation::Sso(redirect), &headers).await,
        Err(_) => Ok(shown(refused(), &headers)),
    }
}

async fn authorize(
    State(homeserver): State<Arc<Homeserver>>,
    Visitor(header): Visitor,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    homeserver.sign_in.check_oauth(&header)?;
    let Ok(form) = Form::parse(query.unwrap_or_default().as_bytes()) else {
        return Ok(shown(refused(), &headers));
    };
    let caller = people::caller(&homeserver, &header).await?;
    let sign_in = &homeserver.sign_in;
    let find = |id: &str| sign_in.apps().find(&caller.person, id);
    match Authorization::parse(&form, find, &sign_in.own_names) {
        Ok(it) => ask(&homeserver, &header, Confirmation::OAuth(it), &headers).await,
        Err(Refused::There(address)) => Ok(see(&address)),
        Err(Refused::Here(_)) => Ok(shown(refused(), &headers)),
    }
}

/// Shows the page that asks for a press.
async fn ask(
    homeserver: &Homeserver,
    header: &Header,
    confirmation: Confirmation,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let caller = people::caller(homeserver, header).await?;
    let person = escaped(caller.person.as_str());
    let address = header.source.ip().to_canonical();
    let (redirect, app) = match &confirmation {
        Confirmation::Sso(redirect) => (redirect, None),
        Confirmation::OAuth(it) => (&it.redirect, Some(escaped(&it.app.name))),
        Confirmation::Removal => return Err(Error::Unrecognized),
    };
    let target = redirect.origin();
    // A source expression has no form for an IPv6 address.
    let source = if target.contains('[') { "http:".to_owned() } else { target.clone() };
    let target = escaped(&target);
    let random = random::bytes()?;
    let token = homeserver.sign_in.forms().issue(caller, confirmation, random, Instant::now());
    let text = match app {
        Some(app) => message!("page-sign-in-app", person, address, target, token, app),
        None => message!("page-sign-in", person, address, target, token),
    };
    let forms = vec!["'self'".to_owned(), source];
    Ok(shown(Page { forms, ..Page::new(StatusCode::OK, text) }, headers))
}

/// The press: sends the browser to the app with a code.
async fn confirm(
    State(homeserver): State<Arc<Homeserver>>,
    visitor: Visitor,
    headers: HeaderMap,
    Bytes(body): Bytes,
) -> Result<Response, Error> {
    let Some((caller, confirmation, _)) = confirmed(&homeserver, &visitor, body.bytes()).await?
    else {
        return Ok(shown(expired(), &headers));
    };
    let (sign_in, now, random) = (&homeserver.sign_in, Instant::now(), random::bytes()?);
    let address = match confirmation {
        Confirmation::Sso(redirect) => {
            let code = sign_in.codes().issue(caller, Grant::LoginToken, random, now);
            redirect.with(ResponseMode::Query, &[("loginToken", &code)])
        }
        Confirmation::OAuth(it) => {
            let grant = Grant::Authorization {
                client_id: it.app.client_id.clone(),
                redirect: it.redirect.clone(),
                scope: it.scope.clone(),
                challenge: it.challenge,
            };
            it.with_code(&sign_in.codes().issue(caller, grant, random, now))
        }
        Confirmation::Removal => return Ok(shown(expired(), &headers)),
    };
    Ok(see(&address))
}

/// What a person confirmed by sending a page's form, who now has a user id. `None` if the form is not of a page of this
/// person and node, was sent already, or is too old.
pub(super) async fn confirmed(
    homeserver: &Homeserver,
    visitor: &Visitor,
    body: &[u8],
) -> Result<Option<(Caller, Confirmation, Form)>, Error> {
    let form = Form::parse(body)?;
    let caller = people::caller(homeserver, &visitor.0).await?;
    let token = form.get("token").unwrap_or_default();
    let confirmation = homeserver.sign_in.forms().take(token, &caller, Instant::now());
    let Some(confirmation) = confirmation else {
        return Ok(None);
    };
    let user = people::entered(homeserver, visitor.person()?.clone()).await?;
    // Somebody else may have got the id that the page named.
    let is_same = user == caller.person;
    Ok(is_same.then_some((caller, confirmation, form)))
}

fn refused() -> Page {
    Page::new(StatusCode::BAD_REQUEST, message!("page-sign-in-refused"))
}

/// The page for a form that cannot be used.
pub(super) fn expired() -> Page {
    Page::new(StatusCode::FORBIDDEN, message!("page-sign-in-expired"))
}

/// A page without a form.
pub(super) fn plain(text: Message, headers: &HeaderMap) -> Response {
    shown(Page::new(StatusCode::OK, text), headers)
}

/// The response with a page that a browser may show.
pub(super) fn shown(page: Page, headers: &HeaderMap) -> Response {
    let mut response = page.response(headers);
    response.extensions_mut().insert(Shown);
    response
}

/// Sends the browser on (RFC 9110, section 15.4.4). The address may have a code in it.
pub(super) fn see(address: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(address) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}
