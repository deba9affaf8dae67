//! CORS for web pages of the listed origins: answers preflight requests and lets the page read the response (Fetch,
//! section 3.3). The listener's guard has checked the origin.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};

use super::surface::Surface;

/// How long a browser may cache the answer to a preflight request, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
/// Longest list of headers that a page may ask to send, in bytes.
const HEADERS_MAX: usize = 2048;

/// Lets the calling page read the response on `/v1` and `/api`. A preflight request carries no key, so it is answered
/// before the key is checked.
pub(super) async fn share(request: Request, next: Next) -> Response {
    match Surface::of(request.uri().path()) {
        Surface::Own => return next.run(request).await,
        Surface::OpenAi | Surface::Ollama => {}
    }
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return next.run(request).await;
    };
    let mut response = match preflight(request.method(), request.headers()) {
        Some(answer) => answer,
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    response
}

/// The answer to a preflight request; `None` for any other request.
fn preflight(method: &Method, headers: &HeaderMap) -> Option<Response> {
    let is_preflight =
        *method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !is_preflight {
        return None;
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let answer = response.headers_mut();
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    // `*` would not cover `Authorization`, and OpenAI's clients send a dozen headers of their own.
    let requested = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    if let Some(requested) = requested.filter(|requested| requested.len() <= HEADERS_MAX) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, requested.clone());
    }
    Some(response)
}
